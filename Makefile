# The extension, built by PGXS: make && sudo make install. `make help` lists every command.
EXTENSION = holdfast
MODULE_big = holdfast
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" holdfast.control)

OBJS = $(patsubst %.cpp,%.o,$(wildcard extension/*.cpp extension/pg/*.cpp extension/core/*.cpp))
FRESH_SCRIPT = sql/holdfast--$(EXTVERSION).sql
# From each earlier version straight to this one: the functions are those of now and fit no table in between.
UPGRADES = $(shell ls sql/upgrades/*.sql | sort -V)
UPGRADE_SCRIPTS = $(foreach u,$(UPGRADES),sql/holdfast--$(firstword $(subst --, ,$(notdir $u)))--$(EXTVERSION).sql)
DATA_built = $(FRESH_SCRIPT) $(UPGRADE_SCRIPTS)
EXTRA_CLEAN = $(OBJS:.o=.d)

REGRESS = $(patsubst regress/sql/%.sql,%,$(sort $(wildcard regress/sql/*.sql)))
REGRESS_OPTS = --inputdir=regress --outputdir=regress/out --load-extension=holdfast
ISOLATION = $(patsubst regress/specs/%.spec,%,$(sort $(wildcard regress/specs/*.spec)))
ISOLATION_OPTS = --inputdir=regress --outputdir=regress/out --load-extension=holdfast

PG_CPPFLAGS = -I$(CURDIR)
PG_CXXFLAGS = -std=c++17 -Wall -Wextra -Wpedantic -Wshadow -Werror -fvisibility-inlines-hidden -MMD -MP
SHLIB_LINK = -lstdc++

# Bitcode is for inlining SQL-callable functions into queries; behind a C++ boundary there is
# nothing to inline.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

-include $(OBJS:.o=.d)

SQL_FILES = $(addprefix sql/,$(shell grep -v '^--' sql/order))
FUNCTION_FILES = $(filter sql/functions/%,$(SQL_FILES))
TABLE_FILES = $(filter sql/tables/%,$(SQL_FILES))
$(FRESH_SCRIPT): $(SQL_FILES) sql/order holdfast.control
	printf '%s\n' '\echo Use "CREATE EXTENSION holdfast" to load this file. \quit' > $@
	cat $(SQL_FILES) >> $@

# An upgrade changes the tables by every script from its version on, where `-- include FILE` stands for sql/FILE, and
# replays what the tables say about themselves and all functions.
sql/holdfast--%--$(EXTVERSION).sql: $(UPGRADES) $(TABLE_FILES) $(FUNCTION_FILES) sql/order holdfast.control
	printf '%s\n' '\echo Use "ALTER EXTENSION holdfast UPDATE" to load this file. \quit' > $@
	printf '%s\n' $(UPGRADES) | sed -n '/\/$*--/,$$p' | xargs cat | \
	  awk '/^-- include /{ while ((getline line < ("sql/" $$3)) > 0) print line; next } { print }' >> $@
	sed -n -e '/^COMMENT ON/{:more' -e '/;$$/!{N;b more' -e '}' -e 'p}' $(TABLE_FILES) >> $@
	sed -E 's/^CREATE (FUNCTION|VIEW|TRIGGER)/CREATE OR REPLACE \1/' $(FUNCTION_FILES) >> $@

.PHONY: help
help:
	@echo 'make                 build the extension'
	@echo 'sudo make install    install it into the server that PG_CONFIG belongs to'
	@echo 'make installcheck    pg_regress and isolation specs against a running server'
	@echo 'scripts/check        everything that must pass before a change lands'
	@echo 'scripts/demo         a governed call on a private server, start to end'
	@echo 'scripts/tidy         the rules about what may depend on what'

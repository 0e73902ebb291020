# shellcheck shell=bash
# The steps of scripts/check. Each runs in its own process, writes what happens to its log (stdout and stderr), and
# one line a test, `ok NAME` or `not ok NAME`, to $STEP_RESULTS.

ok() { printf 'ok %s\n' "$*" >>"$STEP_RESULTS"; }
not_ok() { printf 'not ok %s\n' "$*" >>"$STEP_RESULTS"; }

# try NAME COMMAND...: one test that passes when COMMAND does.
try() {
  local name=$1
  shift
  if "$@"; then ok "$name"; else not_ok "$name"; fi
}

cpp_sources() { sources '*.cpp' '*.hpp'; }

step_format() {
  local file
  while IFS= read -r file; do
    try "$file" clang-format --dry-run -Werror "$HOLDFAST_ROOT/$file"
  done < <(cpp_sources)
}

step_tidy() {
  local status=0
  "$HOLDFAST_ROOT/scripts/tidy" | tee "$STEP_RESULTS.all" || status=$?
  grep -E '^(not )?ok ' "$STEP_RESULTS.all" >>"$STEP_RESULTS"
  return "$status"
}

step_shell() {
  local file
  cd "$HOLDFAST_ROOT" || exit
  while IFS= read -r file; do
    try "$file" shellcheck -x "$file"
  done < <(sources | xargs -d '\n' grep -lE '^#!.*\b(ba)?sh\b|^# shellcheck shell=')
}

step_extension() {
  with_lock build build_extension "$STAGE"
  ok 'the extension builds without warnings'
  chmod -R go+rX "$STAGE"
}

step_gateway() {
  with_lock build build_gateway
  ok 'the gateway and its tests build without warnings'
}

# One file, its own exit status: run by xargs below, two at a time.
clang_tidy_one() {
  local file=$1
  shift
  if clang-tidy --quiet "$HOLDFAST_ROOT/$file" "$@" 2>"$LOGS_TIDY/errors.$$"; then
    printf 'ok %s\n' "$file" >>"$STEP_RESULTS"
  else
    cat "$LOGS_TIDY/errors.$$"
    printf 'not ok %s\n' "$file" >>"$STEP_RESULTS"
  fi
  rm -f "$LOGS_TIDY/errors.$$"
}

step_clang_tidy() {
  # shellcheck disable=SC2016 # the $1 are those of the shells that xargs starts
  local with_database='clang_tidy_one "$1" -p "$2"' with_flags='clang_tidy_one "$1" -- -std=c++17 -I"$2" -isystem "$3"'
  LOGS_TIDY=$SCRATCH
  export LOGS_TIDY HOLDFAST_ROOT STEP_RESULTS
  export -f clang_tidy_one
  sources 'gateway/*.cpp' 'extension/core/*.cpp' |
    xargs -r -d '\n' -P "$JOBS" -I{} bash -c "$with_database" _ {} "$HOLDFAST_BUILD/gateway"
  sources 'extension/*.cpp' | { grep -v '^extension/core/' || true; } |
    xargs -r -d '\n' -P "$JOBS" -I{} bash -c "$with_flags" _  {} "$HOLDFAST_ROOT" "$("$PG_CONFIG" --includedir-server)"
}

step_unit() {
  local status=0
  ctest --test-dir "$HOLDFAST_BUILD/gateway" -j "$JOBS" --output-on-failure --no-tests=error | tee "$STEP_RESULTS.all" ||
    status=$?
  perl -ne 'print "ok $1\n" if /Test +#\d+: (.+?) \.* +Passed/; print "not ok $1\n" if /Test +#\d+: (.+?) \.*\*\*\*/' \
    "$STEP_RESULTS.all" >>"$STEP_RESULTS"
  return "$status"
}

# pg_regress and pg_isolation_regress say `test name ... ok` up to PostgreSQL 15 and TAP lines from 16 on.
count_regress() {
  perl -ne 'print "ok $1\n" if /^(?:test|ok +\d+ +[-+])\s+(\S+)\s.*?(?:\bok\b|\d+ ms)/ && !/FAILED/;
            print "not ok $1\n" if /^(?:test|not ok +\d+ +[-+])\s+(\S+)\s/ && /FAILED|^not ok/' "$1" >>"$STEP_RESULTS"
}

# run_installcheck VARIABLE: `make installcheck` with the tests of the other variable left out.
run_installcheck() {
  local status=0
  make -C "$HOLDFAST_ROOT" --no-print-directory PG_CONFIG="$PG_CONFIG" "$1=" installcheck |
    tee "$STEP_RESULTS.all" || status=$?
  count_regress "$STEP_RESULTS.all"
  if [[ $status -ne 0 ]]; then find "$HOLDFAST_ROOT" -maxdepth 3 -name regression.diffs -exec cat {} +; fi
  return "$status"
}

step_regress() { run_installcheck ISOLATION; }

step_isolation() { run_installcheck REGRESS; }

# Scripts with servers of their own: HOLDFAST_STAGE is the folder that PostgreSQL and the extension are staged in,
# HOLDFAST_PG_BIN its programs, TMPDIR a folder that is removed afterwards.
step_process() {
  local file
  export HOLDFAST_STAGE=$STAGE HOLDFAST_PG_BIN=$STAGE_BIN TMPDIR=$SCRATCH PATH=$STAGE_BIN:$PATH
  cd "$HOLDFAST_ROOT" || exit
  while IFS= read -r file; do
    printf '=== %s\n' "$file"
    try "$file" timeout 300 bash "$file"
  done < <(sources 'regress/t/*.sh')
}

# count_tap FILE: the tests of nested TAP. A file or a suite is not a test itself, unless it failed without one of its
# tests failing. What was skipped has not passed.
count_tap() {
  perl -ne '
    next unless /^(\s*)(not )?ok \d+ - (.*)$/;
    my ($depth, $bad, $name) = (length $1, $2 ? 1 : 0, $3);
    $bad = 1 if $name =~ /# (SKIP|TO[D]O)/i;
    my ($is_parent, $told) = (0, 0);
    while (@open && $open[-1][0] > $depth) { my $child = pop @open; $is_parent = 1; $told ||= $child->[1] }
    push @open, [$depth, $bad || $told];
    print(($bad ? "not ok " : "ok ") . "$name\n") unless $is_parent && ($told || !$bad);
  ' "$1" >>"$STEP_RESULTS"
}

step_e2e() {
  local status=0 files
  export HOLDFAST_GATEWAY=$GATEWAY
  cd "$HOLDFAST_ROOT/tests/e2e" || exit
  mapfile -t files < <(compgen -G '*.test.mjs')
  timeout 900 node --test --test-reporter=tap "${files[@]}" | tee "$STEP_RESULTS.all" || status=$?
  count_tap "$STEP_RESULTS.all"
  return "$status"
}

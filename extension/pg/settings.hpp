#pragma once

#include "extension/pg/boundary.hpp"

// The extension's settings (SHOW holdfast.…). They are defined at load time; the server writes to
// the variables.
namespace holdfast::pg {

// When a setting may change: while the server runs, by a reload of its configuration, or only at
// its start. Those of the start exist only where the library is in shared_preload_libraries.
enum class Changes { by_reload, at_start };

enum class Unit { none, milliseconds, kilobytes };

struct IntegerSetting {
  const char* name;
  const char* meaning;
  int* value;
  int standard;
  int least;
  int most;
  Changes changes = Changes::by_reload;
  Unit unit = Unit::none;
};
void define(const IntegerSetting& setting);

struct TextSetting {
  const char* name;
  const char* meaning;
  char** value;
  const char* standard;
  GucStringCheckHook check = nullptr; // of a new value; must not throw
};
void define(const TextSetting& setting);

// Called after the last one: a setting of our prefix that nobody defined is a mistake.
void settings_complete();

// The names in a comma-separated list, as the server reads identifiers; nullopt when it is none.
std::optional<std::vector<std::string>> names_in(const char* list);

// Whether the library is being loaded as one of shared_preload_libraries.
bool is_preloading();

} // namespace holdfast::pg

#include "extension/pg/settings.hpp"

namespace holdfast::pg {

namespace {

int flags_of(Unit unit) {
  switch (unit) {
  case Unit::milliseconds:
    return GUC_UNIT_MS;
  case Unit::kilobytes:
    return GUC_UNIT_KB;
  case Unit::none:
    break;
  }
  return 0;
}

} // namespace

void define(const IntegerSetting& setting) {
  const bool at_start = setting.changes == Changes::at_start;
  if (at_start && !is_preloading()) {
    *setting.value = setting.standard;
    return;
  }
  DefineCustomIntVariable(setting.name, setting.meaning, nullptr, setting.value, setting.standard,
                          setting.least, setting.most, at_start ? PGC_POSTMASTER : PGC_SIGHUP,
                          flags_of(setting.unit), nullptr, nullptr, nullptr);
}

void define(const TextSetting& setting) {
  DefineCustomStringVariable(setting.name, setting.meaning, nullptr, setting.value,
                             setting.standard, PGC_SIGHUP, 0, setting.check, nullptr, nullptr);
}

void settings_complete() {
#if PG_VERSION_NUM >= 150000
  MarkGUCPrefixReserved("holdfast");
#else
  EmitWarningsOnPlaceholders("holdfast");
#endif
}

std::optional<std::vector<std::string>> names_in(const char* list) {
  std::vector<std::string> names;
  List* parts = nullptr;
  List** made = &parts;
  const bool is_list =
      call([=] { return SplitIdentifierString(pstrdup(list != nullptr ? list : ""), ',', made); });
  if (!is_list) return std::nullopt;
  const ListCell* cell = nullptr;
  foreach (cell, parts)
    names.emplace_back(static_cast<const char*>(lfirst(cell)));
  return names;
}

bool is_preloading() {
  return process_shared_preload_libraries_in_progress;
}

} // namespace holdfast::pg

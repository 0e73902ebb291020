#include "extension/organization_setting.hpp"

#include "extension/pg/keyed_row.hpp"

namespace holdfast::organization {

namespace {

pg::KeyedTable table("holdfast", "organization_settings", "organization_settings_pkey");

// Columns of organization_settings.
constexpr int kRedactForProvider = 2;
constexpr int kCache = 3;

} // namespace

Settings settings_of(const Uuid& organization_id) {
  const Datum key[] = {pg::from_uuid(organization_id)};
  pg::KeyedRow found(table, AccessShareLock);
  Settings settings;
  if (!found.fetch(key, 1)) return settings;
  settings.redact_for_provider = found.row().boolean(kRedactForProvider);
  settings.cache = found.row().text(kCache);
  return settings;
}

void start() {
  table.watch();
}

} // namespace holdfast::organization

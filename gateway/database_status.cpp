#include "gateway/database_status.hpp"

namespace holdfast::gateway {
namespace {

// A standby has figures of its own, which are nobody's.
constexpr Statement kTelemetry{
    "holdfast_telemetry",
    "SELECT holdfast.get_telemetry() WHERE current_setting('transaction_read_only') = 'off'", true};

} // namespace

void StatusDatabase::check() {
  pool_.prepare_all({&kTelemetry});
}

std::string StatusDatabase::telemetry() {
  const Rows rows = pool_.run(kTelemetry, {});
  if (rows.size() != 1) throw DatabaseError("XX000", "get_telemetry answered no row", "", "");
  return rows.text(0, 0);
}

} // namespace holdfast::gateway

#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <optional>
#include <string>

// The audit log: a row for each request and step, in the transaction of what it tells. Everything
// here needs a pg::Spi.
namespace holdfast::audit {

// Registers the callbacks by which changed settings and partitions reach every server process, and
// defines the settings.
void start();

// By what a request is found again.
struct Ids {
  std::optional<Uuid> request_id;
  std::optional<std::string> correlation_id;
};

// One row. `routing` is jsonb, `detail` JSON text.
struct Entry {
  Uuid organization_id;
  const char* event = "";
  std::optional<std::int32_t> status; // of HTTP
  Ids ids;
  std::optional<Uuid> hold_id;
  std::optional<Uuid> workflow_id;
  std::optional<Uuid> run_id;
  std::optional<std::string> step_id;
  std::optional<Uuid> run_group;
  std::optional<Uuid> replay_token;
  std::optional<std::string> user_id;
  std::optional<Uuid> api_key_id;
  std::optional<std::string> route;
  std::optional<std::string> provider;
  std::optional<std::string> model;
  std::optional<std::int64_t> prompt_tokens;
  std::optional<std::int64_t> completion_tokens;
  std::optional<Usd> cost;
  std::optional<std::int64_t> latency_ms;
  std::optional<bool> fallback_used;
  std::optional<Datum> routing;
  std::optional<std::string> detail;
  std::optional<std::string> request_body; // as they came; kept as the organization wishes
  std::optional<std::string> response_body;
};

// Whether bodies of this organization's calls are kept: else nobody need send them.
bool keeps_bodies(const Uuid& organization_id);

// Appends a row of what was done, unless the audit of the organization is off.
void record(const Entry& entry);

// Appends a row of what was refused, always: a denial belongs on record.
void record_denial(const Entry& entry);

// The same as record(), with what the metadata of a call (jsonb) tell: requestId, correlationId,
// route, routing, failedAttempts. With "audit": false the call's gateway wants no row.
void record(Entry entry, Datum metadata);

} // namespace holdfast::audit

#pragma once

#include "extension/audit.hpp"
#include "extension/core/rate_limiter.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <optional>
#include <string>

// How often callers may call, in shared memory, so that all gateways share one count.
namespace holdfast::rate_limit {

// Defines the settings and requests the memory.
void start();

// Whether there is such memory: only where the library is preloaded.
bool is_on();

// What is asked for, and by whom.
struct Request {
  Uuid organization_id;
  std::optional<std::string> user_id;
  std::optional<Datum> ip; // an inet
  std::optional<Uuid> api_key_id;
  std::optional<std::int32_t> key_requests; // the key's own limits in a minute
  std::optional<std::int64_t> key_tokens;
  std::optional<std::string> provider;
  std::optional<std::string> route;
  std::optional<Uuid> workflow_id;
  bool starts_run = false;
  bool waits = false; // and asks again: a refusal is nobody's answer, and not on record
  std::int32_t tokens = 0;
  audit::Ids ids;
};

struct Decision {
  bool allowed = true;
  std::optional<LimitLayer> layer; // none: nothing limits
  LimitUnit unit = LimitUnit::requests;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  std::int64_t window = 0; // microseconds
  std::int32_t reset_ms = 0;
  std::int32_t retry_after_ms = 0;
};

// Counts the request, or records its denial (audit event limited) and sets PostgREST's status
// to 429. Needs a pg::Spi. Throws Error 55000 where there is no memory.
Decision decide(const Request& request);

// Writes what is counted to a file from time to time, so that a crash forgets little.
void save_if_due();
std::int32_t save_interval_ms();

} // namespace holdfast::rate_limit

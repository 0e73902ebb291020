#pragma once

#include "extension/audit.hpp"
#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <cstdint>
#include <optional>
#include <string>

// Calls that are too dear to be made without an admin's word. Needs a pg::Spi.
namespace holdfast::approval {

// Registers the callback by which thresholds reach every server process.
void start();

// What is to be approved.
struct Request {
  Uuid organization_id;
  Uuid api_key_id;
  std::optional<std::string> user_id;
  std::optional<Uuid> workflow_id;
  std::optional<std::string> route;
  audit::Ids ids; // of the request that asked first
  std::string fingerprint;
  std::string provider;
  std::string model;
  std::int32_t prompt_tokens = 0;
  std::int32_t completion_tokens = 0;
  Usd estimate;
  Usd threshold;
};

// One approval, as far as a call needs it.
struct Approval {
  Uuid approval_id;
  bool waiting = true; // else it was given
  Usd estimate;
  Usd threshold;
  TimestampTz expires_at = 0;
  std::optional<std::string> used_key; // under which the call was made before
};

// The lower of the organization's own threshold and `above`; nothing when there is neither.
std::optional<Usd> threshold(const Uuid& organization_id, const std::optional<Usd>& above);

// The approval that the request waits for: the one it asked for before, or a new one.
Approval ask(const Request& request, TimestampTz now);

// What a call presents.
struct Ticket {
  Uuid organization_id;
  Uuid approval_id;
  std::string fingerprint;
  std::optional<Uuid> workflow_id;
};

// The approval of that id, locked to the end of the transaction. Throws PT404 when there is none,
// PT403 when it was refused, PT409 when it is for another request.
Approval present(const Ticket& ticket);

// Throws PT409 when the approval has run out.
void require_lasting(const Approval& approval, TimestampTz now);

// The call is made under this idempotency key, and from now on under no other.
void use(const Uuid& organization_id, const Uuid& approval_id, const std::string& key);

} // namespace holdfast::approval

// Idempotency keys of governed calls: a call under a key is made once, and repeats get its answer.
#pragma once

#include "extension/core/usd.hpp"
#include "extension/core/uuid.hpp"
#include "extension/pg/postgres.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::call_key {

// One organization's key.
struct Key {
  Uuid organization_id;
  std::string name;
};

// What an earlier call under the key did.
struct Earlier {
  bool in_flight = false; // else it was answered
  std::optional<std::int32_t> answer_status;
  std::optional<std::string> answer;
  std::optional<Usd> cost;
};

// Claims the key for the call of `hold_id`; or tells what an earlier call with the same fingerprint
// did. Throws PT409 when the earlier one was another request.
std::optional<Earlier> claim(const Key& key, const std::string& fingerprint, const Uuid& hold_id,
                             TimestampTz now);

// Gives back a key whose call has done nothing that could be repeated.
void forget(const Key& key, const Uuid& hold_id);

// Keeps the answer (text) of the key's call for its repeats.
void keep_answer(const Key& key, const Uuid& hold_id, std::int32_t status, Datum answer);

// The call goes on under another hold.
void move(const Key& key, const Uuid& hold_id, const Uuid& new_hold_id);

} // namespace holdfast::call_key

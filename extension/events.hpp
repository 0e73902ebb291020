#pragma once

#include "extension/core/json_object.hpp"
#include "extension/core/uuid.hpp"

#include <optional>

// What others may listen to, on the channel holdfast_events: only what the operator turns on.
namespace holdfast::events {

enum class Kind { denial, settlement, transition, alert };

// Defines the setting.
void start();

// Whether such events are sent. Asked first: it costs next to nothing.
bool is_wanted(Kind kind);

// Sends an event with these members at the transaction's end, if it is wanted.
void send(Kind kind, const std::optional<Uuid>& organization_id, const JsonObject& members);

} // namespace holdfast::events

#pragma once

#include "extension/core/uuid.hpp"

namespace holdfast::organization {

// What an organization has decided for all its calls.
struct Settings {
  bool redact_for_provider = false; // providers get redacted prompts
};

// Read without the executor, for each call asks.
Settings settings_of(const Uuid& organization_id);

// Has to be called at load time.
void start();

} // namespace holdfast::organization

#pragma once

#include "extension/core/uuid.hpp"

#include <string>

namespace holdfast::organization {

// What an organization has decided for all its calls.
struct Settings {
  bool redact_for_provider = false; // providers get redacted prompts
  std::string cache = "asked";      // whose answers are kept: off, asked, all

  bool caches(bool asked) const { return cache == "all" || (cache == "asked" && asked); }
};

// Read without the executor, for each call asks.
Settings settings_of(const Uuid& organization_id);

// Has to be called at load time.
void start();

} // namespace holdfast::organization

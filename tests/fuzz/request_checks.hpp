// What must hold of a request that a front door has taken.
#pragma once

#include "gateway/bounded_json.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/token_bound.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace holdfast::fuzz {

// Its bounds are bounds, and each provider is sent JSON, or it is said why not.
inline void check(const ChatRequest& chat, int most_tokens) {
  require(chat.max_tokens >= 1 && chat.max_tokens <= most_tokens && chat.choices >= 1,
          "the completion is bounded");
  require(prompt_token_estimate(chat) <= prompt_token_bound(chat) && prompt_token_bound(chat) > 0 &&
              completion_token_bound(chat) >= chat.max_tokens,
          "an estimate is not above its bound");
  for (const provider::ProviderInfo& info : provider::all_providers()) {
    if (info.adapter == nullptr) continue;
    if (const auto cannot = info.adapter->unsupported(chat)) {
      require(!cannot->capability.empty() && !cannot->param.empty(),
              "it is said what cannot be done");
      continue;
    }
    const provider::HttpRequest sent = info.adapter->chat_request(chat, "key");
    require(sent.method == "POST" && sent.path.find_first_of(" \r\n") == std::string::npos,
            "a request has a path");
    require(parse_bounded_json(sent.body, 1 << 20).has_value(), "a request is JSON");
  }
}

} // namespace holdfast::fuzz

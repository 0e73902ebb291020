#include "gateway/providers/mistral.hpp"

#include "gateway/json_read.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace holdfast::provider {

namespace {

using nlohmann::json;

constexpr std::string_view kAlphabet =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kCallIdBytes = 9;

void fit_message(json& message) {
  const std::string role = json_read::text(message, "role");
  if (role == "developer") message["role"] = "system";
  if (role != "tool") message.erase("name");
  if (const std::string refusal = json_read::text(message, "refusal"); !refusal.empty()) {
    message.erase("refusal");
    if (message["content"].is_null()) message["content"] = refusal;
  }
  if (message.contains("tool_call_id"))
    message["tool_call_id"] = mistral_call_id(json_read::text(message, "tool_call_id"));
  if (!message.contains("tool_calls")) return;
  for (json& call : message["tool_calls"])
    call["id"] = mistral_call_id(json_read::text(call, "id"));
}

} // namespace

OpenAiCompatible::Dialect Mistral::dialect() const {
  Dialect dialect;
  dialect.features.logprobs = false;
  dialect.features.logit_bias = false;
  dialect.extras = {"frequency_penalty", "presence_penalty", "parallel_tool_calls",
                    "reasoning_effort"};
  dialect.stream_options = false;
  return dialect;
}

void Mistral::finish_body(json& body) const {
  for (json& message : body["messages"])
    fit_message(message);
  if (!body.contains("seed")) return;
  body["random_seed"] = std::move(body["seed"]);
  body.erase("seed");
}

std::string mistral_call_id(const std::string& id) {
  const auto fits = [](char c) { return kAlphabet.find(c) != std::string_view::npos; };
  if (id.size() == kCallIdBytes && std::all_of(id.begin(), id.end(), fits)) return id;
  // FNV-1a: a call and its result must get the same id, in this request and in all later ones.
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : id)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::string made;
  for (; made.size() < kCallIdBytes; hash /= kAlphabet.size())
    made.push_back(kAlphabet[hash % kAlphabet.size()]);
  return made;
}

} // namespace holdfast::provider

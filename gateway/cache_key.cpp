#include "gateway/cache_key.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"

#include <array>
#include <cstdio>

namespace holdfast::gateway {
namespace {

using nlohmann::json;

// Values one after another, each with its length, so that no two lists of values are the same text.
class KeyText {
public:
  KeyText& add(std::string_view value) {
    text_ += std::to_string(value.size());
    text_ += ':';
    text_ += value;
    return *this;
  }
  KeyText& add(std::int64_t value) { return add(std::to_string(value)); }
  KeyText& add(double value) {
    std::array<char, 32> digits{};
    const int size = std::snprintf(digits.data(), digits.size(), "%.17g", value);
    return add(std::string_view(digits.data(), static_cast<std::size_t>(size)));
  }
  KeyText& add_json(const json& value) {
    if (value.is_null()) return none();
    return add(dump_json(value));
  }
  template <class Value>
  KeyText& add(const std::optional<Value>& value) {
    return value ? add(*value) : none();
  }
  KeyText& add(const std::vector<std::string>& values) {
    count(values.size());
    for (const std::string& value : values)
      add(value);
    return *this;
  }
  // How many values follow.
  KeyText& count(std::size_t values) {
    text_ += '#';
    text_ += std::to_string(values);
    text_ += ':';
    return *this;
  }
  KeyText& none() {
    text_ += '-';
    return *this;
  }
  const std::string& text() const { return text_; }

private:
  std::string text_;
};

void add_message(KeyText& key, const Message& message) {
  key.add(message.role).count(message.parts.size());
  for (const ContentPart& part : message.parts)
    key.add(static_cast<std::int64_t>(part.kind)).add(part.text).add(part.detail);
  key.count(message.tool_calls.size());
  for (const ToolCall& call : message.tool_calls)
    key.add(call.id).add(call.name).add(call.arguments);
  key.add(message.tool_call_id).add(message.name).add(message.refusal);
}

// What a provider is told, but answers the same without.
json answering_extra(json extra) {
  for (const char* name : {"user", "metadata", "safety_identifier", "prompt_cache_key", "store"})
    extra.erase(name);
  return extra;
}

} // namespace

std::string cache_key(const CallOrder& order, std::string_view dialect) {
  const ChatRequest& chat = order.chat;
  KeyText key;
  key.add(order.controls.key.organization_id).add(dialect).add(chat.model);
  key.add(order.provider).count(order.candidates.size());
  for (const Candidate& candidate : order.candidates)
    key.add(candidate.provider).add(candidate.model);
  key.add(order.routing);
  key.add(order.fallbacks ? std::optional<std::int64_t>(*order.fallbacks) : std::nullopt);
  key.add(order.capabilities).count(chat.messages.size());
  for (const Message& message : chat.messages)
    add_message(key, message);
  key.add_json(chat.tools).add_json(chat.tool_choice).add_json(chat.response_format);
  key.add(chat.stop);
  key.add(chat.temperature).add(chat.top_p).add(chat.seed);
  key.add(static_cast<std::int64_t>(chat.max_tokens)).add(static_cast<std::int64_t>(chat.choices));
  key.add_json(answering_extra(chat.extra));
  return sha256(key.text());
}

} // namespace holdfast::gateway

#include "gateway/providers/sandbox.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_schema.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/providers/translate.hpp"
#include "gateway/token_bound.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::provider::sandbox {

namespace {

constexpr int kMaxPieces = 64;
constexpr int kDimensions = 1536;

constexpr std::array<std::string_view, 16> kWords = {
    "This", "text", "was", "made", "by",     "the", "sandbox", "provider",
    "and",  "not",  "by",  "a",    "model,", "for", "trial",   "only."};

// The word at this place, with the space that parts it from the one before.
std::string word_at(int place) {
  if (place == 0) return "[sandbox]";
  return " " + std::string(kWords[static_cast<std::size_t>(place - 1) % kWords.size()]);
}

std::string words(int begin, int end) {
  std::string text;
  for (int place = begin; place < end; ++place)
    text += word_at(place);
  return text;
}

// JSON that fits the schema that is asked for; nothing where none is, or where it has rules that
// are not known here.
std::optional<std::string> fitting(const ChatRequest& request) {
  const nlohmann::json& schema = response_schema(request);
  const auto rules = JsonValue::parse(schema.is_object() ? dump_json(schema) : "");
  if (!rules) return std::nullopt;
  try {
    const auto example = JsonSchema::parse(*rules).example("[sandbox]");
    return example ? std::optional(example->str()) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// FNV-1a, and a mark of the text's end.
void mix_into(std::uint64_t& hash, std::string_view text) {
  for (const char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  hash = (hash ^ 0xFFU) * 1099511628211U;
}

constexpr std::uint64_t kHashStart = 14695981039346656037U;

// Over everything the answer depends on: the same request has the same id.
std::string answer_id(const ChatRequest& request) {
  std::uint64_t hash = kHashStart;
  const auto mix = [&](std::string_view text) { mix_into(hash, text); };
  mix(request.model);
  mix(std::to_string(request.max_tokens) + "x" + std::to_string(request.choices));
  for (const Message& message : request.messages) {
    mix(message.role);
    for (const ContentPart& part : message.parts)
      mix(part.text);
  }
  std::string id = "chatcmpl-sandbox-";
  for (int shift = 60; shift >= 0; shift -= 4)
    id.push_back("0123456789abcdef"[(hash >> static_cast<unsigned>(shift)) & 0xFU]);
  return id;
}

Usage usage_of(const ChatRequest& request) {
  Usage usage;
  usage.prompt_tokens = prompt_token_bound(request);
  usage.completion_tokens = completion_token_bound(request);
  return usage;
}

StreamEvent event_of(const std::string& id, const ChatRequest& request) {
  StreamEvent event;
  event.id = id;
  event.model = request.model;
  return event;
}

StreamEvent piece(const std::string& id, const ChatRequest& request, ChatDelta delta) {
  StreamEvent event = event_of(id, request);
  event.deltas.push_back(std::move(delta));
  return event;
}

// Numbers from splitmix64, made a vector of length 1.
std::vector<float> vector_of(std::uint64_t seed, int dimensions) {
  std::vector<float> vector;
  double squares = 0;
  for (int i = 0; i < dimensions; ++i) {
    seed += 0x9E3779B97F4A7C15U;
    std::uint64_t mixed = (seed ^ seed >> 30U) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ mixed >> 27U) * 0x94D049BB133111EBU;
    mixed ^= mixed >> 31U;
    const double value = static_cast<double>(mixed >> 11U) / 4503599627370496.0 - 1;
    squares += value * value;
    vector.push_back(static_cast<float>(value));
  }
  const auto length = static_cast<float>(std::sqrt(squares));
  for (float& value : vector)
    value /= length;
  return vector;
}

} // namespace

ChatAnswer answer(const ChatRequest& request) {
  ChatAnswer made;
  made.id = answer_id(request);
  made.model = request.model;
  const std::optional<std::string> form = fitting(request);
  for (int index = 0; index < request.choices; ++index) {
    Choice choice;
    choice.index = index;
    choice.content = form.value_or(words(0, request.max_tokens));
    choice.finish_reason = form ? "stop" : "length";
    made.choices.push_back(std::move(choice));
  }
  made.usage = usage_of(request);
  return made;
}

std::vector<StreamEvent> stream(const ChatRequest& request) {
  const std::string id = answer_id(request);
  const int piece_words = (request.max_tokens + kMaxPieces - 1) / kMaxPieces;
  const std::optional<std::string> form = fitting(request);
  std::vector<StreamEvent> events;
  for (int index = 0; index < request.choices; ++index) {
    ChatDelta delta;
    delta.index = index;
    if (form) {
      delta.content = *form;
      events.push_back(piece(id, request, delta));
    }
    for (int begin = 0; !form && begin < request.max_tokens; begin += piece_words) {
      delta.content = words(begin, std::min(begin + piece_words, request.max_tokens));
      events.push_back(piece(id, request, delta));
    }
    delta.content.clear();
    delta.finish_reason = form ? "stop" : "length";
    events.push_back(piece(id, request, delta));
  }
  StreamEvent usage = event_of(id, request);
  usage.usage = usage_of(request);
  events.push_back(std::move(usage));
  StreamEvent done = event_of(id, request);
  done.done = true;
  events.push_back(std::move(done));
  return events;
}

EmbeddingAnswer embed(const EmbeddingRequest& request) {
  EmbeddingAnswer made;
  made.model = request.model;
  for (std::size_t i = 0; i < request.size(); ++i) {
    std::uint64_t hash = kHashStart;
    mix_into(hash, request.model);
    if (request.texts.empty()) {
      for (const std::int64_t token : request.tokens[i])
        mix_into(hash, std::to_string(token));
    } else {
      mix_into(hash, request.texts[i]);
    }
    made.vectors.push_back(vector_of(hash, request.dimensions.value_or(kDimensions)));
  }
  made.usage.emplace();
  made.usage->prompt_tokens = prompt_token_bound(request);
  return made;
}

} // namespace holdfast::provider::sandbox

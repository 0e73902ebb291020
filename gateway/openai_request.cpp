#include "gateway/bounded_json.hpp"
#include "gateway/openai_fields.hpp"
#include "gateway/openai_format.hpp"
#include "gateway/openai_members.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxLogitBiases = 1024;
constexpr std::size_t kMaxLabelBytes = 256;
constexpr int kMaxChoices = 8;

void read_token_limit(const json& body, const RequestLimits& limits, ChatRequest& chat) {
  const json& old_name = optional_member(body, "max_tokens");
  const json& new_name = optional_member(body, "max_completion_tokens");
  if (!old_name.is_null() && !new_name.is_null())
    refuse_value("max_tokens", "and `max_completion_tokens` exclude each other: send only one.");
  chat.max_tokens = std::min(limits.default_max_tokens, limits.max_completion_tokens);
  const json& given = new_name.is_null() ? old_name : new_name;
  if (given.is_null()) return;
  const char* param = new_name.is_null() ? "max_tokens" : "max_completion_tokens";
  chat.max_tokens = static_cast<int>(read_integer(given, param, 1, limits.max_completion_tokens));
}

void read_sampling(const json& body, ChatRequest& chat) {
  const json& temperature = optional_member(body, "temperature");
  if (!temperature.is_null()) chat.temperature = read_number(temperature, "temperature", 0, 2);
  const json& top_p = optional_member(body, "top_p");
  if (!top_p.is_null()) chat.top_p = read_number(top_p, "top_p", 0, 1);
  const json& choices = optional_member(body, "n");
  if (!choices.is_null())
    chat.choices = static_cast<int>(read_integer(choices, "n", 1, kMaxChoices));
}

void check_logit_bias(const json& biases) {
  require_object(biases, "logit_bias");
  if (biases.size() > kMaxLogitBiases)
    refuse_value("logit_bias",
                 "must have at most " + std::to_string(kMaxLogitBiases) + " entries.");
  for (const json& bias : biases)
    read_number(bias, "logit_bias", -100, 100);
}

// The members that are passed on as they are. None of them changes a token's price.
void read_extra(const json& body, ChatRequest& chat) {
  const auto pass_on = [&](const char* name, auto&& check) {
    const json& value = optional_member(body, name);
    if (value.is_null()) return;
    check(value, name);
    chat.extra[name] = value;
  };
  const auto penalty = [](const json& v, const char* name) { read_number(v, name, -2, 2); };
  const auto flag = [](const json& v, const char* name) { read_bool(v, name); };
  const auto label = [](const json& v, const char* name) { read_label(v, name, kMaxLabelBytes); };
  pass_on("frequency_penalty", penalty);
  pass_on("presence_penalty", penalty);
  pass_on("logprobs", flag);
  pass_on("parallel_tool_calls", flag);
  pass_on("logit_bias", [](const json& v, const char*) { check_logit_bias(v); });
  pass_on("top_logprobs", [](const json& v, const char* name) { read_integer(v, name, 0, 20); });
  for (const char* name :
       {"reasoning_effort", "verbosity", "user", "safety_identifier", "prompt_cache_key"})
    pass_on(name, label);
  if (chat.extra.contains("top_logprobs") && !chat.extra.value("logprobs", false))
    refuse_value("top_logprobs", "is only allowed when `logprobs` is true.");
}

void refuse_unsupported_members(const json& body) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kUnsupported = {{
      {"functions", "is not supported: use `tools`."},
      {"function_call", "is not supported: use `tool_choice`."},
      {"audio", "is not supported."},
      {"web_search_options", "is not supported."},
  }};
  for (const auto& [name, message] : kUnsupported)
    if (!optional_member(body, name).is_null()) refuse_unsupported(name, message);
}

bool read_stream(const json& body, ChatRequest& chat) {
  const json& stream = optional_member(body, "stream");
  if (!stream.is_null()) chat.stream = read_bool(stream, "stream");
  const json& options = optional_member(body, "stream_options");
  if (options.is_null()) return false;
  require_object(options, "stream_options");
  if (!chat.stream) refuse_value("stream_options", "is only allowed when `stream` is true.");
  const json& include_usage = optional_member(options, "include_usage");
  return !include_usage.is_null() && read_bool(include_usage, "stream_options.include_usage");
}

ClientRequest read_request(const json& body, const RequestLimits& limits) {
  ClientRequest request;
  ChatRequest& chat = request.chat;
  chat.model = read_label(required_member(body, "model", ""), "model", kMaxLabelBytes);
  refuse_unsupported_members(body);
  read_messages(body, chat);
  read_token_limit(body, limits, chat);
  read_sampling(body, chat);
  read_seed(body, chat);
  read_stop(body, chat);
  read_tools(body, "tool_choice", chat);
  read_response_format(body, "response_format", chat);
  read_extra(body, chat);
  request.include_usage = read_stream(body, chat);
  return request;
}

} // namespace

std::variant<ClientRequest, RequestError> parse_client_request(const json& body,
                                                               const RequestLimits& limits) {
  if (!body.is_object()) return RequestError{"", "The body must be a JSON object.", "invalid_type"};
  try {
    return read_request(body, limits);
  } catch (const Refusal& refusal) {
    return refusal.error;
  }
}

} // namespace holdfast::openai_format

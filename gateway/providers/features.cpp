#include "gateway/providers/features.hpp"

#include "gateway/json_read.hpp"
#include "gateway/providers/translate.hpp"

namespace holdfast::provider {

namespace {

using nlohmann::json;

bool uses_functions(const ChatRequest& request) {
  if (!request.tools.is_null()) return true;
  for (const Message& message : request.messages)
    if (message.role == "tool" || !message.tool_calls.empty()) return true;
  return false;
}

std::optional<UnsupportedFeature> unsupported_image(const ChatRequest& request,
                                                    const Features& features) {
  for (const Message& message : request.messages)
    for (const ContentPart& part : message.parts) {
      if (part.kind != ContentPart::Kind::image_url) continue;
      if (!features.vision) return UnsupportedFeature{"vision", "messages"};
      if (!features.image_urls && !parse_data_url(part.text))
        return UnsupportedFeature{"image_urls", "messages"};
    }
  return std::nullopt;
}

bool asks_for(const json& extra, const char* name) {
  const json& value = json_read::member(extra, name);
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() < 0 || value.get<double>() > 0;
  return value.is_object() && !value.empty();
}

std::optional<UnsupportedFeature> unsupported_extra(const json& extra, const Features& features) {
  if (!features.logprobs && asks_for(extra, "logprobs"))
    return UnsupportedFeature{"logprobs", "logprobs"};
  if (!features.logit_bias && asks_for(extra, "logit_bias"))
    return UnsupportedFeature{"logit_bias", "logit_bias"};
  for (const char* name : {"frequency_penalty", "presence_penalty"})
    if (!features.penalties && asks_for(extra, name)) return UnsupportedFeature{"penalties", name};
  return std::nullopt;
}

} // namespace

std::optional<UnsupportedFeature> first_unsupported(const ChatRequest& request,
                                                    const Features& features) {
  if (!features.functions && uses_functions(request))
    return UnsupportedFeature{"functions", "tools"};
  if (auto image = unsupported_image(request, features)) return image;
  const std::string format = json_read::text(request.response_format, "type");
  if (!features.json_mode && format == "json_object")
    return UnsupportedFeature{"json_mode", "response_format"};
  if (!features.json_schema && format == "json_schema")
    return UnsupportedFeature{"json_schema", "response_format"};
  if (!features.seed && request.seed) return UnsupportedFeature{"seed", "seed"};
  if (request.stop.size() > features.max_stops) return UnsupportedFeature{"stop", "stop"};
  if (request.choices > features.max_choices) return UnsupportedFeature{"choices", "n"};
  if (request.temperature && *request.temperature > features.max_temperature)
    return UnsupportedFeature{"temperature", "temperature"};
  return unsupported_extra(request.extra, features);
}

} // namespace holdfast::provider

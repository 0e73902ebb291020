#include "gateway/routing_controls.hpp"

#include "gateway/http_error.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/request_json.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostFallbacks = 10;
constexpr std::size_t kMostCapabilities = 20;
constexpr std::size_t kLongestName = 64;

HttpError bad_value(const std::string& field, const std::string& wanted) {
  return {400, "bad_value", field + " must be " + wanted + ".", field};
}

std::string checked_routing(const std::string& text, const std::string& field) {
  if (text == "cheapest" || text == "fastest" || text == "specified") return text;
  throw bad_value(field, "cheapest, fastest or specified");
}

std::string checked_capability(const std::string& text, const std::string& field) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  if (text.empty() || text.size() > kLongestName || !plain)
    throw bad_value(field, "names of capabilities, as GET /api/ai/providers shows them");
  return text;
}

// A `provider/model` that is to stand in for the first.
Candidate checked_fallback(const Config& config, const std::string& text,
                           const std::string& field) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size())
    throw bad_value(field, "provider/model, as in groq/llama-3.3-70b");
  Candidate candidate{text.substr(0, slash), text.substr(slash + 1)};
  if (!provider::find_provider(candidate.provider))
    throw HttpError(400, "unknown_provider",
                    field + " names a provider that is not known: " + candidate.provider + ".",
                    field);
  if (!find_provider_config(config, candidate.provider))
    throw HttpError(422, "provider_not_configured",
                    "The provider " + candidate.provider + " has no key in this gateway.", field);
  return candidate;
}

// The items of a list with commas, blanks around them cut.
std::vector<std::string> items_of(const std::string& text) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    std::string item = text.substr(at, comma - at);
    item.erase(0, item.find_first_not_of(' '));
    item.erase(item.find_last_not_of(' ') + 1);
    if (!item.empty()) items.push_back(std::move(item));
    at = comma + 1;
  }
  return items;
}

std::vector<std::string> texts_of(const nlohmann::json& body, const char* name, std::size_t most) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return {};
  const bool texts =
      found->is_array() && found->size() <= most &&
      std::all_of(found->begin(), found->end(), [](const auto& item) { return item.is_string(); });
  if (!texts)
    throw bad_value("The field " + std::string(name),
                    "a list of at most " + std::to_string(most) + " texts");
  return found->get<std::vector<std::string>>();
}

} // namespace

void split_model(const Config& config, CallOrder& order) {
  if (order.chat.model == kAnyModel) return ask_any(config, order);
  const std::size_t slash = order.chat.model.find('/');
  if (slash == std::string::npos || slash + 1 == order.chat.model.size()) return;
  const std::string prefix = order.chat.model.substr(0, slash);
  if (!find_provider_config(config, prefix)) return;
  order.provider = prefix;
  order.chat.model.erase(0, slash + 1);
}

void ask_any(const Config& config, CallOrder& order) {
  for (const ProviderConfig& active : config.providers) {
    const std::string& model = provider::find_provider(active.name)->default_model;
    if (model.empty()) continue;
    if (active.name == config.default_provider) {
      order.provider = active.name;
      order.chat.model = model;
    }
    order.candidates.push_back({active.name, model});
  }
  if (order.candidates.empty())
    throw HttpError(422, "provider_not_configured",
                    "No active provider has a default model, so the request must name one.",
                    "model");
  if (!order.provider) order.chat.model = order.candidates.front().model;
}

void read_routing_headers(const Config& config, const httplib::Request& request, CallOrder& order) {
  if (request.has_header("X-Holdfast-Routing"))
    order.routing =
        checked_routing(request.get_header_value("X-Holdfast-Routing"), "X-Holdfast-Routing");
  if (request.has_header("X-Holdfast-Capabilities"))
    for (const std::string& name : items_of(request.get_header_value("X-Holdfast-Capabilities")))
      order.capabilities.push_back(checked_capability(name, "X-Holdfast-Capabilities"));
  if (!request.has_header("X-Holdfast-Fallback")) return;
  const std::string fallbacks = request.get_header_value("X-Holdfast-Fallback");
  if (fallbacks == "none") {
    order.fallbacks = 0;
    return;
  }
  for (const std::string& item : items_of(fallbacks))
    order.named_fallbacks.push_back(checked_fallback(config, item, "X-Holdfast-Fallback"));
  if (order.named_fallbacks.empty() || order.named_fallbacks.size() > kMostFallbacks)
    throw bad_value("X-Holdfast-Fallback", "none, or 1 to 10 of provider/model");
}

void read_routing_members(const Config& config, const nlohmann::json& body, CallOrder& order) {
  if (const auto routing = optional_text(body, "routing"))
    order.routing = checked_routing(*routing, "routing");
  for (const std::string& name : texts_of(body, "capabilities", kMostCapabilities))
    order.capabilities.push_back(checked_capability(name, "capabilities"));
  const auto disabled = body.find("disableFallback");
  if (disabled != body.end() && !disabled->is_null()) {
    if (!disabled->is_boolean()) throw bad_value("The field disableFallback", "true or false");
    if (disabled->get<bool>()) {
      order.fallbacks = 0;
      return;
    }
  }
  for (const std::string& item : texts_of(body, "fallbacks", kMostFallbacks))
    order.named_fallbacks.push_back(checked_fallback(config, item, "fallbacks"));
}

void add_fallbacks(const Config& config, CallOrder& order) {
  if (order.named_fallbacks.empty()) return;
  if (!order.provider && order.candidates.empty())
    for (const ProviderConfig& active : config.providers)
      order.candidates.push_back({active.name, order.chat.model});
  if (order.provider) order.candidates.clear();
  for (Candidate& fallback : order.named_fallbacks)
    order.candidates.push_back(std::move(fallback));
  order.named_fallbacks.clear();
  order.routing = "specified";
}

} // namespace holdfast::gateway

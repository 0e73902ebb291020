// Which provider and model a request wants, in the words of its dialect.
#pragma once

#include "gateway/governed_call.hpp"

#include <string>

namespace holdfast::gateway {

// The model that stands for "any": each provider's default model is a candidate.
inline constexpr const char* kAnyModel = "auto";

// `provider/model` names the provider when this gateway may ask it, `auto` none and no model; else
// the name is the model's. To be called once the model and the routing controls are read.
void split_model(const Config& config, CallOrder& order);

// Makes each active provider's default model a candidate, --default-provider's the first choice.
// Throws HttpError 422 when no active provider has a default model.
void ask_any(const Config& config, CallOrder& order);

// X-Holdfast-Routing, X-Holdfast-Capabilities and X-Holdfast-Fallback. Throws HttpError 400, 422.
void read_routing_headers(const Config& config, const httplib::Request& request, CallOrder& order);

// The members `routing`, `capabilities`, `fallbacks` and `disableFallback` of /api/ai. Throws
// HttpError 400, 422.
void read_routing_members(const Config& config, const nlohmann::json& body, CallOrder& order);

// Lets the fallbacks that were read stand in for the model, in their order. Last of all.
void add_fallbacks(const Config& config, CallOrder& order);

} // namespace holdfast::gateway

// Whether the model that answered is the one that was asked for.
#pragma once

#include "gateway/http_error.hpp"

#include <string>

namespace holdfast::gateway {

// Names are compared as prices are found: without letter case, dates, variants and provider
// prefixes. A provider that names no model has not drifted; the name it knows the model by is the
// model's too.
bool has_drifted(const std::string& provider, const std::string& asked,
                 const std::string& answered);

// For an operator who does not take another model's answer: 502 `model_drift`.
HttpError drift_error(const std::string& provider, const std::string& asked,
                      const std::string& answered);

} // namespace holdfast::gateway

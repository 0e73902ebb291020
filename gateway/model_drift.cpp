#include "gateway/model_drift.hpp"

#include "extension/core/model_name.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/providers/registry.hpp"

namespace holdfast::gateway {

bool has_drifted(const std::string& provider, const std::string& asked,
                 const std::string& answered) {
  if (answered.empty() || answered.size() > 256) return false;
  const std::string plain = plain_model(answered);
  return plain != plain_model(asked) && plain != plain_model(provider::wire_model(provider, asked));
}

HttpError drift_error(const std::string& provider, const std::string& asked,
                      const std::string& answered) {
  HttpError error(502, "model_drift",
                  "The provider " + provider + " answered with another model than " + asked +
                      ", which this gateway does not take. What it used was charged.");
  error.details = {{"provider", dump_json(provider)},
                   {"askedModel", dump_json(asked)},
                   {"answeredModel", dump_json(answered)}};
  return error;
}

} // namespace holdfast::gateway

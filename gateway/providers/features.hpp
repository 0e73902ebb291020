// What a provider can do, as a table, and the check of a request against it.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/providers/provider.hpp"

#include <cstddef>
#include <optional>

namespace holdfast::provider {

// All that OpenAI's chat API can do, unless a provider says otherwise.
struct Features {
  bool functions = true;
  bool vision = true;
  bool image_urls = true; // images by https URL; data URLs are vision alone
  bool json_mode = true;
  bool json_schema = true;
  bool seed = true;
  bool logprobs = true;
  bool logit_bias = true;
  bool penalties = true;
  std::size_t max_stops = 16;
  int max_choices = 128;
  double max_temperature = 2;
};

// The first feature of the request that is missing. A parameter that changes nothing (`logprobs`
// false, a penalty of 0) asks for nothing.
std::optional<UnsupportedFeature> first_unsupported(const ChatRequest& request,
                                                    const Features& features);

} // namespace holdfast::provider

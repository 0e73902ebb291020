// Which provider and model a request wants, in the words of its dialect.
#pragma once

#include "gateway/governed_call.hpp"

namespace holdfast::gateway {

// `provider/model` names the provider when this gateway may ask it; else the name is the model's.
void split_model(const Config& config, CallOrder& order);

} // namespace holdfast::gateway

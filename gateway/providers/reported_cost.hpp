// What a provider says that a call cost.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::provider {

// The number at this path of member names, as it is written in the JSON text: money never becomes a
// double. Nothing when there is none, or it is negative or absurdly long, large or small.
std::optional<std::string> cost_text(std::string_view json_text,
                                     const std::vector<std::string>& path);

// True for 0, 0.0, 0e5.
bool is_zero_cost(std::string_view cost);

} // namespace holdfast::provider

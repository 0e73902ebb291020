#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// The ids under which a model may be priced, most specific first: the id itself in lower case,
// then without `:free`-like variants, `-latest`, date suffixes and leading `provider/` parts, one
// cut at a time. The last one is the plain id.
std::vector<std::string> model_candidates(std::string_view model);

// The plain id: the last candidate.
std::string plain_model(std::string_view model);

} // namespace holdfast

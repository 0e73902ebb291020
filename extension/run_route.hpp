#pragma once

#include "extension/routing.hpp"
#include "extension/run.hpp"

// Which providers a step of a run may ask, and in what order.
namespace holdfast::run {

// The provider and the model that a step asks for, as its variant has them.
RunFallback asked_of(const Run& run, std::size_t step);

// The providers that may serve it and have not failed it; nullopt: any.
std::optional<std::vector<std::string>> providers_of(const Run& run, std::size_t step);

// The providers of a worker, and the standard model of each.
struct Served {
  std::vector<std::string> providers;
  std::vector<std::string> models;
};

// Who serves the step, and who of this worker's providers can stand in. Throws Error as
// routing::find_route() does.
routing::Route find_route(const Run& run, std::size_t step, const Served& served,
                          std::int64_t prompt_tokens, std::int64_t completion_tokens,
                          TimestampTz now);

} // namespace holdfast::run

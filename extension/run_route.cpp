// The way of a step through providers: its own, those that its definition names, or any.
#include "extension/run_route.hpp"

#include "extension/core/json_object.hpp"
#include "extension/pg/values.hpp"
#include "extension/pricing.hpp"

#include <algorithm>

namespace holdfast::run {

namespace {

// Unless the definition names more of them, as for any other call.
constexpr std::size_t kMostStandIns = 2;

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What the step asks for, and then its fallbacks.
std::vector<RunFallback> choices_of(const Run& run, std::size_t i) {
  std::vector<RunFallback> choices = run.definition.steps[i].fallbacks;
  choices.insert(choices.begin(), asked_of(run, i));
  return choices;
}

// The candidates that a choice comes to here, but for those that have failed the step.
std::vector<routing::Candidate> candidates_of(const RunFallback& choice, const Served& served,
                                              const std::vector<std::string>& given_up) {
  std::vector<routing::Candidate> candidates;
  for (std::size_t i = 0; i < served.providers.size(); ++i) {
    const std::string& provider = served.providers[i];
    if (provider == kWebhook || (choice.provider && *choice.provider != provider)) continue;
    if (!choice.model && i >= served.models.size()) continue;
    const std::string& model = choice.model ? *choice.model : served.models[i];
    if (!contains(given_up, provider + '/' + model)) candidates.push_back({provider, model});
  }
  return candidates;
}

void sort_by_price(std::vector<routing::Candidate>& candidates, std::int64_t prompt,
                   std::int64_t completion, std::int32_t day) {
  const auto bound = [&](const routing::Candidate& candidate) {
    const Price* price = pricing::book().try_find(candidate.provider, candidate.model, day);
    return price == nullptr ? Usd::most_given() : cost_bound(*price, prompt, completion);
  };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const routing::Candidate& a, const routing::Candidate& b) {
                     return bound(a) < bound(b);
                   });
}

// Nobody here serves the step: says what is unpriced, or what is not active.
[[noreturn]] void refuse(const Run& run, std::size_t i, TimestampTz now) {
  const RunFallback asked = asked_of(run, i);
  if (asked.model)
    pricing::book().find(asked.provider.value_or(""), *asked.model, pg::utc_day(now));
  throw invalid("No provider that is active here serves the step.")
      .detail(JsonObject().text("model", asked.model.value_or("")).str());
}

} // namespace

RunFallback asked_of(const Run& run, std::size_t i) {
  const RunStep& step = run.definition.steps[i];
  RunFallback asked{step.provider, step.model};
  for (const RunVariant& variant : step.variants) {
    if (variant.id != run.state.steps[i].variant) continue;
    if (variant.provider) asked.provider = variant.provider;
    if (variant.model) asked.model = variant.model;
  }
  return asked;
}

std::optional<std::vector<std::string>> providers_of(const Run& run, std::size_t i) {
  if (run.definition.steps[i].delivers()) return std::vector<std::string>{kWebhook};
  std::vector<std::string> providers;
  for (const RunFallback& choice : choices_of(run, i)) {
    if (!choice.provider) return std::nullopt;
    const bool failed =
        choice.model && contains(run.steps[i].given_up, *choice.provider + '/' + *choice.model);
    if (!failed) providers.push_back(*choice.provider);
  }
  return providers;
}

routing::Route find_route(const Run& run, std::size_t i, const Served& served,
                          std::int64_t prompt_tokens, std::int64_t completion_tokens,
                          TimestampTz now) {
  routing::Wish wish;
  std::optional<organization::Key> key;
  if (run.subject.api_key_id)
    key = organization::key_of(run.organization_id(), *run.subject.api_key_id);
  wish.key = key ? &*key : nullptr;
  wish.strategy = "specified";
  wish.prompt_tokens = prompt_tokens;
  wish.completion_tokens = completion_tokens;
  const std::vector<std::string>& given_up = run.steps[i].given_up;
  const std::vector<RunFallback> choices = choices_of(run, i);
  for (const RunFallback& choice : choices) {
    std::vector<routing::Candidate> candidates = candidates_of(choice, served, given_up);
    sort_by_price(candidates, prompt_tokens, completion_tokens, pg::utc_day(now));
    wish.candidates.insert(wish.candidates.end(), candidates.begin(), candidates.end());
  }
  if (wish.candidates.empty()) refuse(run, i, now);
  // As the definition orders them; where it leaves the choice open, the cheapest.
  if (choices.size() == 1 && !choices.front().provider) wish.strategy = "cheapest";
  const std::size_t most = std::max(kMostStandIns, choices.size() - 1);
  wish.most_fallbacks = static_cast<std::int32_t>(most - std::min(most, given_up.size()));
  routing::Route route = routing::find_route(wish, now);
  if (!given_up.empty()) route.reason = "stands in for " + given_up.back() + ", which failed";
  return route;
}

} // namespace holdfast::run

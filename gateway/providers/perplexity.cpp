#include "gateway/providers/perplexity.hpp"

#include "gateway/json_read.hpp"
#include "gateway/providers/reported_cost.hpp"

#include <utility>

namespace holdfast::provider {

namespace {

using json_read::member;
using nlohmann::json;

std::string title_of(const json& results, const std::string& url) {
  if (!results.is_array()) return {};
  for (const json& result : results)
    if (json_read::text(result, "url") == url) return json_read::text(result, "title");
  return {};
}

} // namespace

OpenAiCompatible::Dialect Perplexity::dialect() const {
  Dialect dialect;
  Features& features = dialect.features;
  features.functions = false;
  features.json_mode = false;
  features.seed = false;
  features.logprobs = false;
  features.logit_bias = false;
  features.max_stops = 0;
  features.max_choices = 1;
  dialect.extras = {"frequency_penalty", "presence_penalty", "reasoning_effort"};
  dialect.thinks_in_content = true;
  return dialect;
}

std::optional<Usage> Perplexity::usage_of(const json& body, std::string_view text) const {
  auto usage = OpenAiCompatible::usage_of(body, text);
  if (!usage) return usage;
  // Deep research counts its reasoning beside the completion.
  const std::int64_t reasoning = json_read::token_count(member(body, "usage"), "reasoning_tokens");
  usage->completion_tokens += reasoning;
  usage->reasoning_tokens += reasoning;
  // No call is free: the cost is 0 as long as the stream goes on.
  const auto cost = cost_text(text, {"usage", "cost", "total_cost"});
  if (cost && !is_zero_cost(*cost)) usage->reported_cost_usd = cost;
  return usage;
}

std::vector<Citation> Perplexity::citations_of(const json& body) const {
  std::vector<Citation> citations;
  const json& urls = member(body, "citations");
  if (!urls.is_array()) return citations;
  for (const json& url : urls) {
    if (!url.is_string()) continue;
    Citation citation;
    citation.url = url.get<std::string>();
    citation.title = title_of(member(body, "search_results"), citation.url);
    citations.push_back(std::move(citation));
  }
  return citations;
}

bool Perplexity::is_last_chunk(const json& chunk) const {
  return json_read::text(chunk, "object") == "chat.completion.done";
}

} // namespace holdfast::provider

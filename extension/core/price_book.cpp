#include "extension/core/price_book.hpp"

#include "extension/core/error.hpp"
#include "extension/core/json_object.hpp"
#include "extension/core/model_name.hpp"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::string_view kSandbox = "sandbox";

Error unpriced(std::string_view provider, std::string_view model) {
  const std::string who = provider.empty() ? "any provider" : std::string(provider);
  return invalid("No price of model \"" + std::string(model) + "\" at " + who + " is in force.")
      .detail(JsonObject()
                  .text("provider", provider)
                  .text("model", model)
                  .text("normalizedModel", plain_model(model))
                  .str())
      .hint("Add its price to holdfast.ai_provider_pricing, or name a model that "
            "holdfast.list_models() shows.");
}

Error ambiguous(std::string_view model, const std::vector<const Price*>& prices) {
  std::string names;
  for (const Price* price : prices)
    names += (names.empty() ? "" : ", ") + price->provider;
  return invalid("Model \"" + std::string(model) + "\" is priced by several providers: " + names +
                 ".")
      .detail(JsonObject().text("model", model).text("providers", names).str())
      .hint("Name the provider.");
}

bool dearer(const Price* a, const Price* b) {
  const Usd cost_a = a->base.input + a->base.output;
  const Usd cost_b = b->base.input + b->base.output;
  return cost_a != cost_b ? cost_a > cost_b : a->provider < b->provider;
}

} // namespace

void PriceBook::add(Price price) {
  Prices& prices = by_model_[price.model];
  const auto newer = [](const Price& a, const Price& b) {
    return a.effective_day != b.effective_day ? a.effective_day > b.effective_day
                                              : a.provider < b.provider;
  };
  prices.insert(std::upper_bound(prices.begin(), prices.end(), price, newer), std::move(price));
}

std::string PriceBook::normalize(std::string_view model) const {
  const std::vector<std::string> candidates = model_candidates(model);
  for (const std::string& id : candidates) {
    if (by_model_.count(id) > 0) return id;
  }
  return candidates.back();
}

// One price a provider: the newest not after `day`, under the most specific name that has any.
std::vector<const Price*> PriceBook::in_force(std::string_view provider, std::string_view model,
                                              std::int32_t day) const {
  std::vector<const Price*> found;
  const auto known = [&](const Price& price) {
    return std::any_of(found.begin(), found.end(),
                       [&](const Price* p) { return p->provider == price.provider; });
  };
  const auto look_under = [&](const std::string& id) {
    const auto prices = by_model_.find(id);
    if (prices == by_model_.end()) return;
    for (const Price& price : prices->second) {
      if (price.effective_day > day || known(price)) continue;
      if (provider.empty() || provider == kSandbox || provider == price.provider)
        found.push_back(&price);
    }
  };
  look_under(std::string(model)); // as most callers write it: no other names to be made
  if (!found.empty()) return found;
  for (const std::string& id : model_candidates(model)) {
    look_under(id);
    if (!found.empty()) break;
  }
  return found;
}

const Price& PriceBook::find(std::string_view provider, std::string_view model,
                             std::int32_t day) const {
  std::vector<const Price*> prices = in_force(provider, model, day);
  if (prices.empty()) throw unpriced(provider, model);
  if (provider == kSandbox) return **std::min_element(prices.begin(), prices.end(), dearer);
  if (prices.size() > 1) throw ambiguous(model, prices);
  return *prices.front();
}

const Price* PriceBook::try_find(std::string_view provider, std::string_view model,
                                 std::int32_t day) const {
  const std::vector<const Price*> prices = in_force(provider, model, day);
  if (prices.empty()) return nullptr;
  if (provider == kSandbox) return *std::min_element(prices.begin(), prices.end(), dearer);
  return prices.size() == 1 ? prices.front() : nullptr;
}

std::optional<Offer> PriceBook::cheapest(const std::vector<std::string>& providers,
                                         std::string_view model, std::int32_t day,
                                         std::int64_t prompt, std::int64_t completion) const {
  std::optional<Offer> best;
  for (const std::string& provider : providers) {
    const Price* price = try_find(provider, model, day);
    if (price == nullptr) continue;
    if (!best ||
        cost_bound(*price, prompt, completion) < cost_bound(*best->price, prompt, completion))
      best = Offer{provider, price};
  }
  return best;
}

} // namespace holdfast

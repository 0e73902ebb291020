#pragma once

#include "extension/core/price.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace holdfast {

// A provider and the price it serves a model at; the price lives as long as its book.
struct Offer {
  std::string provider;
  const Price* price;
};

// All prices, in memory: finds the price of a model under any of its names, at any day.
class PriceBook {
public:
  // Prices of one provider and model may be added in any order of their days.
  void add(Price price);
  void clear() { by_model_.clear(); }
  bool empty() const { return by_model_.empty(); }

  // The priced id of this name, for any provider; the plain id when nothing is priced under it.
  std::string normalize(std::string_view model) const;

  // The price in force on `day`. An empty provider means whichever provider prices the model, if
  // only one does. Throws Error PT422: unpriced, not yet priced on that day, or priced by several
  // providers. The sandbox imitates other providers' models: its price is the dearest of theirs.
  const Price& find(std::string_view provider, std::string_view model, std::int32_t day) const;

  // As find, nullptr where it would throw.
  const Price* try_find(std::string_view provider, std::string_view model, std::int32_t day) const;

  // Which of these providers serves the call for the least (then the first in the list), nullopt
  // when none of them prices the model on that day.
  std::optional<Offer> cheapest(const std::vector<std::string>& providers, std::string_view model,
                                std::int32_t day, std::int64_t prompt,
                                std::int64_t completion) const;

private:
  using Prices = std::vector<Price>; // of one model id, newest day first, then provider
  std::vector<const Price*> in_force(std::string_view provider, std::string_view model,
                                     std::int32_t day) const;
  std::unordered_map<std::string, Prices> by_model_;
};

} // namespace holdfast

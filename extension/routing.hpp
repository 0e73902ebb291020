#pragma once

#include "extension/core/error.hpp"
#include "extension/core/price_book.hpp"
#include "extension/organization.hpp"
#include "extension/pg/postgres.hpp"

#include <optional>
#include <string>
#include <vector>

// Which provider and model serve a call, and which stand in for them. Needs a pg::Spi.
namespace holdfast::routing {

// Registers the callback by which pauses of providers reach every server process.
void start();

struct Candidate {
  std::string provider;
  std::string model;
};

// What a call asks of the routing.
struct Wish {
  const organization::Key* key = nullptr; // whose bounds apply
  std::string strategy;                   // cheapest, fastest, specified
  bool names_first = false; // the first candidate is the caller's own choice: it stays the first
  std::vector<Candidate> candidates;
  std::vector<std::string> capabilities; // all of them, as ai_provider_pricing names them
  std::int32_t most_fallbacks = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// One of a chain: a price that lives as long as the book, and what is known of the link.
struct Link {
  Candidate candidate;
  const Price* price = nullptr;
  Usd bound; // the most that the call costs here
  std::optional<std::int32_t> latency_ms;
};

// The first serves the call, the others stand in when it fails, in this order.
struct Route {
  std::string strategy;
  std::string reason;
  std::vector<Link> chain;
  std::vector<std::pair<Candidate, std::string>> skipped;
  std::optional<Error> why_not; // what a candidate was skipped for, when a wait may mend it

  Usd dearest() const;
  // Drops the stand-ins that cost more than `most`.
  void keep_within(Usd most);
  // {strategy, reason, chain: [{provider, model, mostUSD, latencyMs}], skipped: [{…, reason}]}.
  std::string json() const;
};

// The same wish, prices and pauses give the same route. Throws Error PT422 when no candidate can
// serve it, PT403 when the key may call none that could, PT503 when all that could are paused or
// have an open circuit breaker.
Route find_route(const Wish& wish, TimestampTz now);

} // namespace holdfast::routing

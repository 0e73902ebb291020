// What an attempt tells about its provider, for all gateways and for the ledger.
#pragma once

#include "gateway/chat.hpp"
#include "gateway/database.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace holdfast::gateway {

// A provider that may serve a call, and the model to ask of it.
struct Candidate {
  std::string provider;
  std::string model;
};

// Tells all gateways to leave the provider alone when it says that it is exhausted. Never throws:
// others will find out for themselves.
void heed(Database& database, const Candidate& asked, const ProviderError& error);
void heed(Database& database, const Candidate& asked, std::optional<int> exhausted_ms);

// Whether a failure tells of the provider's health: not what the caller asked for, nor the
// account's limits.
bool is_its_own_fault(const ProviderError& error);

// The model that answered, and whether it is another than asked for, as members of the ledger's
// metadata; none when nothing was named that a ledger entry can hold.
nlohmann::json answering_model(const Candidate& asked, const std::string& answered);

} // namespace holdfast::gateway

// A governed call from one attempt to the next.
#include "gateway/governed_call.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_read.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/token_bound.hpp"

#include <algorithm>

namespace holdfast::gateway {

// The headers that tell who serves the call.
void GovernedCall::tell_provider() {
  context_.provider = opened_.provider;
  const std::string reason = json_read::text(routing_, "reason");
  const std::string strategy = json_read::text(routing_, "strategy");
  std::string told = strategy.empty() ? "" : strategy + ": " + reason;
  if (link_ > 0) told = "fallback: " + chain_.front().provider + " failed";
  const auto set = [&](const char* name, const std::string& value) {
    auto& notices = context_.notices;
    notices.erase(std::remove_if(notices.begin(), notices.end(),
                                 [&](const auto& notice) { return notice.first == name; }),
                  notices.end());
    if (!value.empty()) notices.emplace_back(name, value);
  };
  set("X-Holdfast-Provider", opened_.provider);
  set("X-Holdfast-Routing", told);
}

std::string GovernedCall::routing_text() const {
  ObjectText text;
  text.add("strategy", json_read::text(routing_, "strategy"));
  text.add("reason", json_read::text(routing_, "reason"));
  if (!attempts_.empty()) text.add("failedAttempts", attempts_);
  return text.text();
}

std::string GovernedCall::metadata_text() const {
  nlohmann::json metadata = order_.metadata;
  if (!routing_.is_null()) metadata["routing"] = routing_;
  if (!attempts_.empty()) metadata["failedAttempts"] = attempts_;
  return dump_json(metadata);
}

// No words of the provider's: what it says of a request may quote it.
void GovernedCall::note_attempt(const ProviderError& error) {
  attempts_.push_back({{"provider", opened_.provider},
                       {"model", opened_.model},
                       {"class", error_class_name(error.error_class)},
                       {"status", error.status},
                       {"charged", error.maybe_charged}});
}

NextAttempt GovernedCall::next_attempt(const ProviderError& error, std::size_t link) const {
  NextAttempt next;
  next.organization_id = order_.controls.key.organization_id;
  next.hold_id = opened_.hold_id;
  next.new_hold_id = new_uuid();
  next.provider = chain_[link].provider;
  next.model = chain_[link].model;
  next.prompt_tokens = order_.prompt_bound();
  next.completion_tokens = completion_token_bound(order_.chat);
  next.ttl_ms = config_->hold_ttl_ms;
  next.sizing = order_.controls.sizing.value_or("strict");
  next.fallback_used = fallback_used();
  next.metadata_json = metadata_text();
  if (!provider_reported_) {
    next.provider_ok = provider_ok_;
    next.latency_ms = latency_ms_;
  }
  next.trial = opened_.trial;
  if (error.maybe_charged) {
    const Usage used = counter_.usage();
    next.used_prompt_tokens = used.prompt_tokens;
    next.used_completion_tokens = used.completion_tokens;
  }
  return next;
}

// An attempt at the same provider that cost nothing needs no other hold.
bool GovernedCall::retry(const NextAttempt& next) {
  const RetryAdmission admission = services_.database.retry_attempt(next);
  opened_.trial = admission.trial;
  provider_reported_ = true;
  if (!admission.admitted) return false;
  ++failures_;
  forget_outcome();
  return true;
}

void GovernedCall::take_over(const NextAttempt& next, std::size_t link, bool again) {
  const BegunAttempt begun = services_.database.next_attempt(next);
  if (begun.cost_usd) charged_before_ += Usd::parse(*begun.cost_usd).value_or(Usd());
  services_.holds.forget(opened_.hold_id);
  services_.holds.watch(next.organization_id, next.new_hold_id);
  failures_ = again ? failures_ + 1 : 0;
  link_ = link;
  forget_outcome();
  opened_.trial = begun.trial;
  opened_.hold_id = next.new_hold_id;
  opened_.provider = next.provider;
  opened_.model = next.model;
  order_.chat.model = next.model;
  context_.model = next.model;
  counter_ = order_.counter();
  tell_provider();
}

void GovernedCall::forget_outcome() {
  provider_ok_.reset();
  latency_ms_.reset();
  provider_reported_ = false;
  is_counted_ = false;
}

bool GovernedCall::try_link(const ProviderError& error, std::size_t link, bool again) {
  const NextAttempt next = next_attempt(error, link);
  if (again && !error.maybe_charged && provider_ok_) return retry(next);
  take_over(next, link, again);
  return true;
}

bool GovernedCall::move_on(const ProviderError& error, bool again) {
  if (!again && !has_next()) return false;
  note_attempt(error);
  note_failed(error);
  const std::size_t last = again ? link_ : chain_.size() - 1;
  for (std::size_t link = again ? link_ : link_ + 1; link <= last; ++link) {
    try {
      if (try_link(error, link, again)) return true;
    } catch (const DatabaseError& refused) {
      log_event(LogLevel::warning, "fallback_refused", context_, refused.what());
      // Another of the chain may be cheaper, or better off.
      const bool own_matter =
          refused.sqlstate == "PT402" || refused.sqlstate == "PT429" || refused.sqlstate == "PT503";
      if (!own_matter) break;
    } catch (const DatabaseUnavailable& away) {
      log_event(LogLevel::error, "database_unavailable", context_, away.what());
      break;
    }
  }
  attempts_.erase(attempts_.size() - 1);
  return false;
}

void GovernedCall::heed(const ProviderError& error) {
  gateway::heed(services_.database, {opened_.provider, opened_.model}, error);
}

void GovernedCall::heed(std::optional<int> exhausted_ms) {
  gateway::heed(services_.database, {opened_.provider, opened_.model}, exhausted_ms);
}

} // namespace holdfast::gateway

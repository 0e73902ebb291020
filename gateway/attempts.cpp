#include "gateway/attempts.hpp"

#include "gateway/log.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

namespace holdfast::gateway {
namespace {

constexpr std::int64_t kFirstWaitMs = 250;
constexpr std::int64_t kLongestWaitMs = 8000;
// With another provider in the chain, this one is not waited for longer.
constexpr std::int64_t kLongestWaitWithNextMs = 1000;
constexpr std::chrono::milliseconds kSlice{50};

double random_share() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

// Sleeps in slices, so that a client that leaves or a stop is noticed. False when one did.
bool wait_for(std::int64_t wait_ms, const std::function<bool()>& stopped) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (std::chrono::steady_clock::now() < end) {
    if (stopped && stopped()) return false;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    std::this_thread::sleep_for(std::min(kSlice, left + std::chrono::milliseconds(1)));
  }
  return true;
}

bool try_again(GovernedCall& call, const ProviderError& error,
               const std::function<bool()>& stopped) {
  if (!may_pass(error) || call.failures() >= call.config().max_retries) return false;
  const std::int64_t wait_ms = retry_wait_ms(error, call.failures(), random_share());
  if (call.has_next() && wait_ms > kLongestWaitWithNextMs) return false;
  if (call.context().elapsed_ms() + wait_ms > call.config().retry_deadline_ms) return false;
  return wait_for(wait_ms, stopped) && call.move_on(error, true);
}

// False when this failure is the last word.
bool go_on(GovernedCall& call, const ProviderError& error, const std::function<bool()>& stopped) {
  call.heed(error);
  if (error.error_class == ErrorClass::client_gone) return false;
  if (call.context().elapsed_ms() > call.config().retry_deadline_ms) return false;
  if (try_again(call, error, stopped)) return true;
  return may_be_handed_on(error) && !(stopped && stopped()) && call.move_on(error, false);
}

std::variant<BegunStream, ProviderError> begin_once(GovernedCall& call,
                                                    const std::function<bool()>& stopped) {
  BegunStream begun{call.start_provider(stopped), std::nullopt};
  if (auto error = begun.attempt->begin_stream()) return std::move(*error);
  call.heed(begun.attempt->exhausted_ms());
  begun.first = begun.attempt->next();
  if (begun.first && begun.first->error) {
    call.counter().add(*begun.first);
    return std::move(*begun.first->error);
  }
  return begun;
}

} // namespace

bool may_pass(const ProviderError& error) {
  // An answer that came and cannot be read is no better the next time, but charged again.
  const bool unreadable = error.error_class == ErrorClass::server && error.maybe_charged;
  return is_transient(error.error_class) && !unreadable;
}

bool may_be_handed_on(const ProviderError& error) {
  return is_transient(error.error_class) || error.error_class == ErrorClass::auth ||
         error.error_class == ErrorClass::quota_exhausted;
}

std::int64_t retry_wait_ms(const ProviderError& error, int failures, double random) {
  if (error.retry_after_ms) return *error.retry_after_ms;
  const std::int64_t whole = std::min(kFirstWaitMs << std::min(failures, 10), kLongestWaitMs);
  return whole / 2 + static_cast<std::int64_t>(random * static_cast<double>(whole) / 2);
}

std::variant<EmbeddingAnswer, ProviderError> embeddings_of(GovernedCall& call,
                                                           const std::function<bool()>& stopped) {
  while (true) {
    EmbeddingAttempt attempt = call.embed(stopped);
    const auto* error = std::get_if<ProviderError>(&attempt.result);
    if (error == nullptr) {
      call.heed(attempt.exhausted_ms);
      return std::move(attempt.result);
    }
    if (!go_on(call, *error, stopped)) return std::move(attempt.result);
  }
}

std::variant<ChatAnswer, ProviderError> answer_of(GovernedCall& call,
                                                  const std::function<bool()>& stopped) {
  while (true) {
    const auto attempt = call.start_provider(stopped);
    auto result = attempt->answer();
    const auto* error = std::get_if<ProviderError>(&result);
    if (error == nullptr) {
      call.heed(attempt->exhausted_ms());
      return result;
    }
    if (!go_on(call, *error, stopped)) return result;
  }
}

std::variant<BegunStream, ProviderError> begin_stream_of(GovernedCall& call,
                                                         const std::function<bool()>& stopped) {
  while (true) {
    auto result = begin_once(call, stopped);
    const auto* error = std::get_if<ProviderError>(&result);
    if (error == nullptr || !go_on(call, *error, stopped)) return result;
  }
}

} // namespace holdfast::gateway

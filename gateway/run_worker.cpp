#include "gateway/run_worker.hpp"

#include "extension/core/input_text.hpp"
#include "gateway/attempts.hpp"
#include "gateway/bounded_json.hpp"
#include "gateway/call.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/metrics.hpp"
#include "gateway/provider_news.hpp"
#include "gateway/providers/registry.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

using std::chrono::milliseconds;

constexpr int kMostClaimed = 64;
constexpr int kMostReaped = 100;
constexpr int kMostBegun = 100;     // runs of batches
constexpr milliseconds kPoll{1000}; // where no notice comes, as through a pooler
constexpr milliseconds kReapEvery{5000};
constexpr int kBeatsPerLease = 3;
constexpr int kListenSliceMs = 200;
constexpr milliseconds kFirstRetry{100};
constexpr milliseconds kLongestRetry{2000};

std::string key_of(const ClaimedStep& step) {
  return step.run_id + " " + step.step_id + " " + step.fence;
}

void log_step(LogLevel level, const char* event, const ClaimedStep& step, const std::string& what) {
  LogRecord(level, event)
      .add("organizationId", step.organization_id)
      .add("runId", step.run_id)
      .add("step", step.step_id)
      .add("fence", step.fence)
      .message(what)
      .write();
}

Message message(const char* role, const std::string& text) {
  Message made;
  made.role = role;
  made.parts.push_back({ContentPart::Kind::text, text, ""});
  return made;
}

// Where the provider can be held to the schema itself, it is; the prompt names it to all.
void ask_for_schema(const ClaimedStep& step, ChatRequest& chat) {
  if (!step.schema) return;
  const provider::ProviderInfo* info = provider::find_provider(step.provider);
  chat.response_format = {
      {"type", "json_schema"},
      {"json_schema", {{"name", step.step_id}, {"schema", nlohmann::json::parse(*step.schema)}}}};
  const bool has_adapter = info != nullptr && info->adapter != nullptr;
  if (!has_adapter || !info->adapter->unsupported(chat)) return;
  chat.response_format = {{"type", "json_object"}};
  if (info->adapter->unsupported(chat)) chat.response_format = nullptr;
}

ChatRequest chat_of(const ClaimedStep& step) {
  ChatRequest chat;
  chat.model = provider::wire_model(step.provider, step.model);
  if (step.system_prompt && !step.system_prompt->empty())
    chat.messages.push_back(message("system", *step.system_prompt));
  chat.messages.push_back(message("user", step.prompt));
  chat.temperature = step.temperature;
  chat.max_tokens = step.max_tokens;
  ask_for_schema(step, chat);
  return chat;
}

Usage usage_of(const UsageCounter& counter) {
  Usage used = counter.usage();
  if (used.reported_cost_usd && !is_json_number(*used.reported_cost_usd))
    used.reported_cost_usd.reset();
  return used;
}

std::string content_of(const ChatAnswer& answer) {
  if (answer.choices.empty()) return {};
  const Choice& first = answer.choices.front();
  // PostgreSQL's text has no NUL.
  return without_nul(first.content.empty() ? first.refusal : first.content);
}

StepFailure failure_of(const ClaimedStep& step, const ProviderError& error) {
  StepFailure failure;
  failure.code = error_class_name(error.error_class);
  failure.message = without_nul(error_from_provider(error, step.provider).message);
  failure.transient = may_pass(error);
  failure.elsewhere = may_be_handed_on(error);
  failure.retry_after_ms = error.retry_after_ms;
  failure.provider_ok = !is_its_own_fault(error);
  return failure;
}

// Whether a later attempt to write may succeed.
bool may_land(const DatabaseError& error) {
  const std::string kind = error.sqlstate.substr(0, 2);
  return kind != "PT" && kind != "22" && kind != "23";
}

} // namespace

RunWorker::RunWorker(Services& services, RunDatabase& runs, RunNews& news)
    : services_(services), runs_(runs), news_(news), name_("gateway-" + new_uuid()) {
  threads_.emplace_back([this] { listen(); });
  if (services.config.now()->run_steps == 0) return;
  threads_.emplace_back([this] { claim(); });
  threads_.emplace_back([this] { keep(); });
  for (int i = 0; i < services.config.now()->run_steps; ++i)
    threads_.emplace_back([this] { work(); });
}

RunWorker::~RunWorker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
}

void RunWorker::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

bool RunWorker::wait_idle_until(Clock::time_point until) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_until(lock, until, [this] { return at_work() == 0 && !claiming_; });
}

int RunWorker::at_work() const {
  return static_cast<int>(waiting_.size() + running_.size());
}

bool RunWorker::sleep(milliseconds most) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, most, [this] { return ending_; });
  return !ending_;
}

// One thread asks for work: when a notice says that there is some, when a place is free again, and
// from time to time.
void RunWorker::claim() {
  while (true) {
    int places = 0;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const auto free = [this] { return services_.config.now()->run_steps - at_work(); };
      changed_.wait_for(lock, kPoll, [&] { return stopping_ || (has_work_ && free() > 0); });
      if (stopping_) return;
      has_work_ = false;
      places = std::min(free(), kMostClaimed);
      if (places <= 0) continue;
      claiming_ = true;
    }
    std::vector<ClaimedStep> steps = take_steps(places);
    const std::lock_guard<std::mutex> lock(mutex_);
    claiming_ = false;
    has_work_ = has_work_ || !steps.empty(); // there may be more
    for (ClaimedStep& step : steps)
      waiting_.push_back(std::move(step));
    changed_.notify_all();
  }
}

std::vector<ClaimedStep> RunWorker::take_steps(int most) {
  const auto config = services_.config.now();
  std::vector<std::string> providers;
  std::vector<std::string> models; // the standard model of each
  for (const ProviderConfig& provider : config->providers) {
    const provider::ProviderInfo* info = provider::find_provider(provider.name);
    providers.push_back(provider.name);
    models.emplace_back(info != nullptr ? info->default_model : "");
  }
  providers.emplace_back("webhook"); // every gateway delivers
  try {
    runs_.tend_batches(kMostBegun);
    return runs_.claim(name_, providers, models, most, config->run_lease_ms);
  } catch (const std::exception& error) {
    log_event(LogLevel::error, "claim_failed", error.what());
    sleep(kPoll);
    return {};
  }
}

void RunWorker::listen() {
  RunListener listener(services_.database.pool().conninfo(), services_.database.pool().deadline());
  const bool works = services_.config.now()->run_steps > 0;
  while (sleep(milliseconds(works || news_.is_watched() ? 0 : kListenSliceMs))) {
    if (!works && !news_.is_watched()) continue;
    try {
      for (const auto& [channel, payload] : listener.wait(kListenSliceMs)) {
        if (channel == "holdfast_runs") {
          news_.tell(payload);
          continue;
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        has_work_ = true;
        changed_.notify_all();
      }
    } catch (const std::exception& error) {
      log_event(LogLevel::warning, "listen_failed", error.what());
      sleep(kPoll);
    }
  }
}

// One thread keeps leases alive and looks after what other workers have left.
void RunWorker::keep() {
  const milliseconds beat_every(services_.config.now()->run_lease_ms / kBeatsPerLease);
  auto next_beat = Clock::now() + beat_every;
  auto next_reap = Clock::now();
  while (true) {
    const auto next = std::min(next_beat, next_reap);
    const auto wait = std::chrono::duration_cast<milliseconds>(next - Clock::now());
    if (!sleep(std::max(wait, milliseconds(1)))) return;
    if (Clock::now() >= next_beat) {
      beat();
      next_beat = Clock::now() + beat_every;
    }
    if (Clock::now() >= next_reap) {
      reap();
      next_reap = Clock::now() + std::min(kReapEvery, beat_every);
    }
  }
}

void RunWorker::beat() {
  std::vector<ClaimedStep> steps;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, step] : running_)
      steps.push_back(step);
    steps.insert(steps.end(), waiting_.begin(), waiting_.end());
  }
  if (steps.empty()) return;
  try {
    // A call that is nobody's any more goes on: it is billed all the same, and only its answer
    // tells how much.
    const int lost = runs_.heartbeat(name_, steps, services_.config.now()->run_lease_ms);
    if (lost > 0)
      log_event(LogLevel::warning, "steps_lost",
                std::to_string(lost) + " steps are no longer ours");
  } catch (const std::exception& error) {
    log_event(LogLevel::warning, "heartbeat_failed", error.what());
  }
}

void RunWorker::reap() {
  try {
    if (runs_.reap(kMostReaped) == 0) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    has_work_ = true;
    changed_.notify_all();
  } catch (const std::exception& error) {
    log_event(LogLevel::warning, "reap_failed", error.what());
  }
}

void RunWorker::work() {
  while (true) {
    ClaimedStep step;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !waiting_.empty() || (ending_ && !claiming_); });
      if (waiting_.empty()) return;
      step = std::move(waiting_.front());
      waiting_.pop_front();
      running_.emplace(key_of(step), step);
    }
    try {
      run_step(step);
    } catch (const std::exception& error) {
      // Its lease runs out, and it is taken again.
      log_step(LogLevel::error, "step_error", step, error.what());
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      running_.erase(key_of(step));
      has_work_ = true;
    }
    changed_.notify_all();
  }
}

// Whether the provider cannot do what the step asks for: another may.
bool RunWorker::refuse_unable(const ClaimedStep& step, const ChatRequest& chat) {
  const provider::ProviderInfo* info = provider::find_provider(step.provider);
  if (info == nullptr || info->adapter == nullptr) return false;
  const auto feature = info->adapter->unsupported(chat);
  if (!feature) return false;
  StepFailure failure;
  failure.code = "unsupported_feature";
  failure.message = "The provider " + step.provider + " cannot do " + feature->param + ".";
  failure.elsewhere = true;
  report(step, [&] { return runs_.fail(step, failure); });
  return true;
}

// Nothing is charged for handing a document over.
void RunWorker::deliver_step(const ClaimedStep& step) {
  const auto begun = Clock::now();
  if (services_.cut) return; // not begun: another worker's
  const Delivery delivery{step.run_id + ":" + step.step_id, step.organization_id, step.run_id,
                          step.step_id, step.prompt};
  const auto now_s = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const auto result = deliver(services_.transport, services_.config.now()->webhook, delivery, now_s,
                              [this] { return services_.cut.load(); });
  const auto latency = std::chrono::duration_cast<milliseconds>(Clock::now() - begun).count();
  if (const auto* told = std::get_if<DeliveryFailure>(&result)) {
    if (told->is_stopped) return; // another worker's
    StepFailure failure;
    failure.code = told->code;
    failure.message = told->message;
    failure.transient = told->transient;
    failure.retry_after_ms = told->retry_after_ms;
    log_step(LogLevel::warning, "step_failed", step, failure.code);
    report(step, [&] { return runs_.fail(step, failure); });
    return;
  }
  report(step, [&] {
    return runs_.complete(step, std::get<std::string>(result), std::nullopt, latency, "{}");
  });
}

void RunWorker::run_step(const ClaimedStep& step) {
  if (step.delivers) {
    deliver_step(step);
    return;
  }
  const auto begun = Clock::now();
  const ChatRequest chat = chat_of(step);
  const auto config = services_.config.now();
  const ProviderConfig* provider = find_provider_config(*config, step.provider);
  if (services_.cut || provider == nullptr) return; // not begun: another worker's
  if (refuse_unable(step, chat)) return;
  TransportLimits limits = config->limits;
  limits.first_byte_timeout_ms = limits.total_timeout_ms;
  UsageCounter counter(chat);
  const auto call = ProviderCall::start(services_.transport, chat, *provider, limits,
                                        [this] { return services_.cut.load(); });
  const auto result = call->answer();
  const auto latency = std::chrono::duration_cast<milliseconds>(Clock::now() - begun).count();
  const Candidate asked{step.provider, step.model};
  if (const auto* error = std::get_if<ProviderError>(&result)) {
    if (error->error_class == ErrorClass::client_gone) return; // a stop cut it: another worker's
    heed(services_.database, asked, *error);
    metrics().count_attempt(step.provider, std::string(error_class_name(error->error_class)), -1);
    StepFailure failure = failure_of(step, *error);
    if (error->maybe_charged) failure.usage = usage_of(counter);
    failure.latency_ms = latency;
    log_step(LogLevel::warning, "step_failed", step, failure.code);
    report(step, [&] { return runs_.fail(step, failure); });
    return;
  }
  metrics().count_attempt(step.provider, "ok", latency);
  const auto& answer = std::get<ChatAnswer>(result);
  heed(services_.database, asked, call->exhausted_ms());
  counter.add(answer);
  const std::string content = content_of(answer);
  const Usage usage = usage_of(counter);
  const std::string metadata = dump_json(answering_model(asked, answer.model));
  report(step, [&] { return runs_.complete(step, content, usage, latency, metadata); });
}

// What a provider has charged is written however long that takes, but for the end of a stop.
void RunWorker::report(const ClaimedStep& step, const std::function<FinishedStep()>& write) {
  milliseconds wait = kFirstRetry;
  while (true) {
    try {
      if (!write().accepted)
        log_step(LogLevel::warning, "step_superseded", step, "it was no longer ours");
      return;
    } catch (const DatabaseError& error) {
      log_step(LogLevel::error, "step_report_failed", step, error.sqlstate + ": " + error.what());
      if (!may_land(error)) return;
    } catch (const DatabaseUnavailable& error) {
      log_step(LogLevel::error, "step_report_failed", step, error.what());
    }
    if (services_.database.pool().deadline().has_passed()) {
      log_step(LogLevel::error, "step_unsettled", step,
               "the gateway ends without having written it");
      return;
    }
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, kLongestRetry);
  }
}

} // namespace holdfast::gateway

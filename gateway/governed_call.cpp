#include "gateway/governed_call.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/http_error.hpp"
#include "gateway/ids.hpp"
#include "gateway/json_read.hpp"
#include "gateway/json_text.hpp"
#include "gateway/log.hpp"
#include "gateway/metrics.hpp"
#include "gateway/prompt_text.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/token_bound.hpp"

#include <algorithm>

namespace holdfast::gateway {
namespace {

constexpr int kGone = 410;
constexpr std::size_t kLongestModelName = 256;

// Each input of embeddings is a prompt of its own.
void check_prompt_size(const CallOrder& order, std::size_t max_prompt_bytes) {
  const std::size_t bytes = order.embedding ? longest_text(*order.embedding)
                                            : static_cast<std::size_t>(prompt_bytes(order.chat));
  if (bytes <= max_prompt_bytes) return;
  HttpError error(413, "prompt_too_large",
                  "The prompt has " + std::to_string(bytes) + " bytes of text, more than the " +
                      std::to_string(max_prompt_bytes) + " allowed. Shorten it.");
  error.details = {{"promptBytes", std::to_string(bytes)},
                   {"maxPromptBytes", std::to_string(max_prompt_bytes)}};
  throw error;
}

void check_model_name(const std::string& model) {
  if (!model.empty() && model.size() <= kLongestModelName) return;
  throw HttpError(400, "bad_value",
                  "The field model must have 1 to " + std::to_string(kLongestModelName) +
                      " bytes of text.",
                  "model");
}

// What the provider cannot do of this request. The sandbox takes everything.
std::optional<provider::UnsupportedFeature> unsupported_by(const Candidate& candidate,
                                                           const CallOrder& order) {
  const provider::ProviderInfo* info = provider::find_provider(candidate.provider);
  if (info == nullptr || info->adapter == nullptr) return std::nullopt;
  if (order.embedding) {
    if (info->embeddings == nullptr) return provider::UnsupportedFeature{"embeddings", "model"};
    return info->embeddings->unsupported(*order.embedding);
  }
  const ChatRequest& chat = order.chat;
  if (candidate.model == chat.model) return info->adapter->unsupported(chat);
  ChatRequest with_model = chat;
  with_model.model = candidate.model;
  return info->adapter->unsupported(with_model);
}

HttpError unsupported_feature(const provider::UnsupportedFeature& feature,
                              const std::string& whose) {
  HttpError error(422, "unsupported_feature",
                  whose + " cannot do what `" + feature.param + "` asks for (" +
                      feature.capability + "). Leave it out, or name another provider.",
                  feature.param);
  error.details = {{"capability", dump_json(feature.capability)}};
  return error;
}

// Those who may be asked: they can do all that the request asks for.
std::vector<Candidate> able_candidates(const Config& config, const CallOrder& order) {
  if (order.provider) {
    if (const auto feature = unsupported_by({*order.provider, order.chat.model}, order))
      throw unsupported_feature(*feature, "The provider " + *order.provider);
  }
  std::vector<Candidate> asked = order.candidates;
  if (asked.empty())
    for (const ProviderConfig& provider : config.providers)
      asked.push_back({provider.name, order.chat.model});
  std::vector<Candidate> able;
  std::optional<provider::UnsupportedFeature> missing;
  for (Candidate& candidate : asked) {
    auto feature = unsupported_by(candidate, order);
    if (!feature) {
      able.push_back(std::move(candidate));
    } else if (!missing) {
      missing = std::move(feature);
    }
  }
  if (able.empty() && missing && !order.provider)
    throw unsupported_feature(*missing, "No provider with a key in this gateway");
  return able;
}

// One that is named stands alone unless the request names others.
int fallbacks_of(const Config& config, const CallOrder& order) {
  const bool open_to_others = !order.provider || !order.candidates.empty();
  return std::min(order.fallbacks.value_or(open_to_others ? config.max_fallbacks : 0),
                  config.max_fallbacks);
}

// See GroupItem.
std::string subject_of(const CallOrder& order) {
  const auto& controls = order.controls;
  return controls.workflow_id.value_or("") + '/' + controls.key.hash + '/' +
         controls.user_id.value_or("");
}

OpenRequest open_request(const Config& config, const CallOrder& order) {
  OpenRequest request;
  request.organization_id = order.controls.key.organization_id;
  request.hold_id = new_uuid();
  request.key_hash = order.controls.key.hash;
  request.subject = subject_of(order);
  request.model = order.chat.model;
  request.prompt_tokens = order.prompt_bound();
  request.completion_tokens = completion_token_bound(order.chat);
  request.provider = order.provider;
  for (Candidate& candidate : able_candidates(config, order)) {
    request.providers.push_back(std::move(candidate.provider));
    request.models.push_back(std::move(candidate.model));
  }
  request.routing = order.routing;
  request.fallbacks = fallbacks_of(config, order);
  request.capabilities = order.capabilities;
  request.workflow_id = order.controls.workflow_id;
  request.user_id = order.controls.user_id;
  request.idempotency_key = order.controls.idempotency_key;
  request.fingerprint = order.fingerprint;
  request.approve_above = config.approve_above_usd;
  request.approval_id = order.controls.approval_id;
  request.ttl_ms = config.hold_ttl_ms;
  request.sizing = order.controls.sizing.value_or("strict");
  return request;
}

void set_notice(RequestContext& context, const std::string& name, const std::string& value) {
  for (auto& notice : context.notices)
    if (notice.first == name) {
      notice.second = value;
      return;
    }
  context.notices.emplace_back(name, value);
}

// What the budgets made of the order: a cheaper model, fewer tokens, a warning. Said in headers.
void follow_budgets(const OpenedCall& opened, ChatRequest& chat, RequestContext& context) {
  if (opened.model != chat.model) {
    chat.model = opened.model;
    context.model = opened.model;
    set_notice(context, "X-Holdfast-Model", opened.model);
  }
  const std::int64_t choices = std::max(chat.choices, 1);
  const std::int64_t granted = opened.completion_tokens.value_or(chat.max_tokens * choices);
  const std::int64_t most = std::max<std::int64_t>(granted / choices, 1);
  if (most < chat.max_tokens) {
    chat.max_tokens = static_cast<int>(most);
    context.notices.emplace_back("X-Holdfast-Max-Tokens", std::to_string(most));
  }
  if (opened.warning) context.notices.emplace_back("X-Holdfast-Warning", *opened.warning);
}

// Whether no budget has made another call of it, by a cheaper model or fewer tokens.
bool is_as_asked(const OpenedCall& opened, const CallOrder& order) {
  const bool is_candidate =
      std::any_of(order.candidates.begin(), order.candidates.end(),
                  [&](const Candidate& candidate) { return candidate.model == opened.model; });
  const std::int64_t asked = completion_token_bound(order.chat);
  return (opened.model == order.chat.model || is_candidate) &&
         opened.completion_tokens.value_or(asked) >= asked;
}

// The chain that the database chose; the call's own provider alone when it cannot be read.
std::vector<Candidate> chain_of(const OpenedCall& opened, const nlohmann::json& routing) {
  std::vector<Candidate> chain;
  for (const auto& link : json_read::member(routing, "chain"))
    chain.push_back({json_read::text(link, "provider"), json_read::text(link, "model")});
  if (chain.empty()) chain.push_back({opened.provider, opened.model});
  return chain;
}

const char* name_of(OpenOutcome outcome) {
  switch (outcome) {
  case OpenOutcome::denied:
    return "denied";
  case OpenOutcome::limited:
    return "limited";
  case OpenOutcome::approval_required:
    return "approval_required";
  case OpenOutcome::in_flight:
    return "in_flight";
  case OpenOutcome::replay:
    return "replayed";
  case OpenOutcome::granted:
    break;
  }
  return "granted";
}

// A refusal that the database raises leaves no record by itself. One of an unknown key is nobody's.
OpenedCall ask_database(Database& database, const RequestContext& context,
                        const OpenRequest& asked) {
  try {
    return database.open_call(asked);
  } catch (const DatabaseError& error) {
    metrics().count_opening("refused");
    if (error.sqlstate.compare(0, 2, "PT") == 0 && error.sqlstate != "PT401") {
      const HttpError told = error_from_database(error);
      try {
        database.record_refusal({told.status, told.code, asked});
      } catch (const std::exception& trouble) {
        log_event(LogLevel::warning, "refusal_unrecorded", context, trouble.what());
      }
    }
    throw;
  }
}

// Of a call that may have been opened, though nobody could be asked: its hold is given back as soon
// as the database is there.
void withdraw(Services& services, const OpenRequest& asked, SettlementQueue::Place place) {
  Settlement released;
  released.organization_id = asked.organization_id;
  released.hold_id = asked.hold_id;
  released.answer_status = 503;
  services.settlements.keep({Resolution::Kind::release, std::move(released)}, std::move(place));
}

OpenedCall open_or_withdraw(Services& services, const RequestContext& context,
                            const OpenRequest& asked,
                            std::optional<SettlementQueue::Place>& place) {
  try {
    OpenedCall opened = ask_database(services.database, context, asked);
    services.settlements.retry_now();
    return opened;
  } catch (const DatabaseUnavailable& away) {
    if (away.in_doubt) withdraw(services, asked, std::move(*place));
    throw;
  }
}

HttpError no_place() {
  HttpError error(503, "settlements_waiting",
                  "Too many calls wait to be settled in the database, so no more are made. Try "
                  "again shortly.");
  error.retry_after_s = 5;
  return error;
}

} // namespace

std::int64_t CallOrder::prompt_bound() const {
  return embedding ? prompt_token_bound(*embedding) : prompt_token_bound(chat);
}

UsageCounter CallOrder::counter() const {
  return embedding ? UsageCounter(*embedding) : UsageCounter(chat);
}

std::variant<std::unique_ptr<GovernedCall>, StoredAnswer>
GovernedCall::open(Services& services, RequestContext& context, CallOrder order) {
  check_model_name(order.chat.model);
  normalize_prompt(order.chat);
  if (order.embedding) normalize_prompt(*order.embedding);
  const auto config = services.config.now();
  check_prompt_size(order, config->max_prompt_bytes);
  context.model = order.chat.model;
  auto place = services.settlements.reserve();
  if (!place) throw no_place();
  OpenRequest asked = open_request(*config, order);
  if (!config->audit) order.metadata["audit"] = false;
  if (!context.client_ip.empty()) asked.client_ip = context.client_ip;
  asked.route = context.route;
  asked.request_id = context.request_id;
  asked.correlation_id = context.correlation_id;
  OpenedCall opened = open_or_withdraw(services, context, asked, place);
  context.provider = opened.provider;
  if (opened.rate && opened.outcome != OpenOutcome::limited) {
    for (auto& header : rate_headers(*opened.rate))
      context.notices.push_back(std::move(header));
  }
  metrics().count_opening(name_of(opened.outcome));
  switch (opened.outcome) {
  case OpenOutcome::denied:
    throw error_from_denial(opened);
  case OpenOutcome::limited:
    throw error_from_rate_limit(opened);
  case OpenOutcome::in_flight:
    throw error_in_flight(opened);
  case OpenOutcome::approval_required:
    throw error_approval_required(opened);
  case OpenOutcome::replay:
    return StoredAnswer{opened.answer_status, std::move(opened.answer), opened.estimated_cost};
  case OpenOutcome::granted:
    break;
  }
  services.cache.learn(order.controls.key.organization_id, opened.caches_all);
  if (!is_as_asked(opened, order)) order.flight.reset();
  follow_budgets(opened, order.chat, context);
  if (opened.redact) redact_prompt(order.chat);
  if (opened.redact && order.embedding) redact_prompt(*order.embedding);
  LogRecord(LogLevel::debug, "call_opened")
      .of(context)
      .add("holdId", opened.hold_id)
      .add("provider", opened.provider)
      .add("model", opened.model)
      .write();
  return std::make_unique<GovernedCall>(services, config, context, std::move(order),
                                        std::move(opened), std::move(*place));
}

GovernedCall::GovernedCall(Services& services, std::shared_ptr<const Config> config,
                           RequestContext& context, CallOrder order, OpenedCall opened,
                           SettlementQueue::Place place)
    : services_(services), config_(std::move(config)), context_(context), order_(std::move(order)),
      opened_(std::move(opened)), counter_(order_.counter()), place_(std::move(place)),
      routing_(parse_bounded_json(opened_.routing_json).value_or(nlohmann::json())),
      chain_(chain_of(opened_, routing_)) {
  tell_provider();
  if (opened_.keeps_bodies) request_body_ = std::string(context.body);
  services_.holds.watch(order_.controls.key.organization_id, opened_.hold_id);
}

GovernedCall::~GovernedCall() {
  if (!place_) return;
  try {
    const HttpError error(kGone, "interrupted",
                          "The first call with this Idempotency-Key was interrupted. What it had "
                          "used was charged; send a new key to make the call again.");
    settle(error.status, error_body(error, ErrorShape::api, context_.request_id));
  } catch (const std::exception& error) {
    LogRecord(LogLevel::error, "settlement_error")
        .of(context_)
        .add("holdId", opened_.hold_id)
        .message(error.what())
        .write();
  }
}

const ProviderConfig& GovernedCall::begin_attempt() {
  const ProviderConfig* config = find_provider_config(*config_, opened_.provider);
  if (config == nullptr) {
    release(422);
    throw HttpError(422, "provider_not_configured",
                    "The provider " + opened_.provider + " has no key in this gateway.");
  }
  attempt_began_ = std::chrono::steady_clock::now();
  return *config;
}

std::unique_ptr<ProviderCall> GovernedCall::start_provider(std::function<bool()> client_gone) {
  const ProviderConfig& config = begin_attempt();
  TransportLimits limits = config_->limits;
  // The first byte of an answer that is not streamed comes when all of it is made.
  if (!order_.chat.stream) limits.first_byte_timeout_ms = limits.total_timeout_ms;
  std::string wire = provider::wire_model(opened_.provider, opened_.model);
  if (wire == order_.chat.model)
    return ProviderCall::start(services_.transport, order_.chat, config, limits,
                               std::move(client_gone));
  ChatRequest translated = order_.chat;
  translated.model = std::move(wire);
  return ProviderCall::start(services_.transport, translated, config, limits,
                             std::move(client_gone));
}

EmbeddingAttempt GovernedCall::embed(std::function<bool()> client_gone) {
  const ProviderConfig& config = begin_attempt();
  TransportLimits limits = config_->limits;
  limits.first_byte_timeout_ms = limits.total_timeout_ms;
  order_.embedding->model = provider::wire_model(opened_.provider, opened_.model);
  return gateway::embed(services_.transport, *order_.embedding, config, limits,
                        std::move(client_gone));
}

void GovernedCall::note_answering_model(const std::string& model) {
  order_.metadata.update(answering_model({opened_.provider, opened_.model}, model));
}

void GovernedCall::note_began() {
  if (latency_ms_) return;
  const auto took = std::chrono::steady_clock::now() - attempt_began_;
  latency_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  if (!provider_ok_) provider_ok_ = true;
}

void GovernedCall::count_attempt(const ProviderError* error) {
  if (is_counted_) return;
  is_counted_ = true;
  if (error != nullptr)
    metrics().count_attempt(opened_.provider, std::string(error_class_name(error->error_class)),
                            -1);
  else if (latency_ms_)
    metrics().count_attempt(opened_.provider, "ok", *latency_ms_);
}

void GovernedCall::note_failed(const ProviderError& error) {
  count_attempt(&error);
  if (error.error_class == ErrorClass::client_gone) return;
  note_began();
  provider_ok_ = !is_its_own_fault(error);
}

void GovernedCall::note_provider(Settlement& end) const {
  if (!provider_reported_) {
    end.provider_ok = provider_ok_;
    end.latency_ms = latency_ms_;
  }
  end.trial = opened_.trial;
}

Settlement GovernedCall::settlement(int answer_status, const std::string& answer) const {
  const Usage usage = counter_.usage();
  Settlement settled;
  settled.organization_id = order_.controls.key.organization_id;
  settled.subject = subject_of(order_);
  settled.hold_id = opened_.hold_id;
  settled.model = opened_.model;
  settled.prompt_tokens = usage.prompt_tokens;
  settled.completion_tokens = usage.completion_tokens;
  settled.cached_tokens = usage.cached_tokens;
  settled.cache_write_tokens = usage.cache_write_tokens;
  settled.reasoning_tokens = usage.reasoning_tokens;
  settled.estimated = usage.estimated;
  if (usage.reported_cost_usd && is_json_number(*usage.reported_cost_usd)) {
    settled.reported_cost_usd = usage.reported_cost_usd;
  }
  settled.answer_status = answer_status;
  settled.answer = answer;
  settled.metadata_json = metadata_text();
  settled.fallback_used = fallback_used();
  settled.request = request_body_;
  note_provider(settled);
  return settled;
}

std::optional<SettledCall> GovernedCall::resolve(Resolution resolution) {
  services_.holds.forget(opened_.hold_id);
  SettlementQueue::Place place = std::move(*place_);
  place_.reset();
  SettledCall settled;
  switch (try_resolution(services_.database, resolution, &settled)) {
  case ResolutionResult::done:
    return settled;
  case ResolutionResult::later:
    services_.settlements.keep(std::move(resolution), std::move(place));
    break;
  case ResolutionResult::refused:
    services_.settlements.record_refused(resolution);
    break;
  }
  return std::nullopt;
}

std::optional<SettledCall> GovernedCall::settle(int answer_status, const std::string& answer) {
  count_attempt(nullptr);
  auto settled = resolve({Resolution::Kind::settle, settlement(answer_status, answer)});
  if (settled && settled->cost_usd)
    if (const auto cost = Usd::parse(*settled->cost_usd))
      settled->cost_usd = (*cost + charged_before_).str();
  if (settled) context_.cost_usd = settled->cost_usd;
  return settled;
}

void GovernedCall::keep_in_cache(const ChatAnswer& answer, const std::string& stored) {
  const auto is_withheld = [](const Choice& choice) {
    return choice.finish_reason == "content_filter";
  };
  const auto& choices = answer.choices;
  const bool is_whole =
      !choices.empty() && std::none_of(choices.begin(), choices.end(), is_withheld);
  if (order_.flight && is_whole && !fallback_used())
    order_.flight->keep(provider(), model(), counter_.usage(), stored);
  order_.flight.reset();
}

void GovernedCall::release(int answer_status) {
  Settlement released;
  released.answer_status = answer_status;
  released.metadata_json = metadata_text();
  released.organization_id = order_.controls.key.organization_id;
  released.hold_id = opened_.hold_id;
  note_provider(released);
  resolve({Resolution::Kind::release, std::move(released)});
}

} // namespace holdfast::gateway

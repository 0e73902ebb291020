#include "gateway/config.hpp"

#include "extension/core/usd.hpp"
#include "gateway/config_file.hpp"
#include "gateway/providers/registry.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

namespace holdfast::gateway {
namespace {

constexpr int kRefused = 2;
constexpr const char* kConfigFlag = "--config";
constexpr const char* kJwtSecret = "HOLDFAST_JWT_SECRET"; // no flag: those can be seen by all
constexpr int kHoldMarginMs = 60000;
constexpr const char* kWebhookUrl = "HOLDFAST_PUBLISH_WEBHOOK_URL";
constexpr const char* kWebhookSecret = "HOLDFAST_PUBLISH_WEBHOOK_SECRET";

// What is wrong with a value, as the end of a sentence; nothing when it was taken.
using Complaint = std::optional<std::string>;

struct Setting {
  std::string flag;
  std::string variable;
  std::string default_text;
  std::string help;
  std::function<Complaint(Config&, const std::string&)> apply;
};

std::optional<long long> to_number(const std::string& text) {
  long long number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || text.empty()) return std::nullopt;
  return number;
}

template <typename Field>
std::function<Complaint(Config&, const std::string&)> number(long long least, long long most,
                                                             Field field) {
  return [=](Config& config, const std::string& text) -> Complaint {
    const auto value = to_number(text);
    if (!value || *value < least || *value > most) {
      return "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    }
    auto& target = field(config);
    target = static_cast<std::decay_t<decltype(target)>>(*value);
    return std::nullopt;
  };
}

Complaint set_listen(Config& config, const std::string& text) {
  const std::string wanted = "must be HOST:PORT, as in 127.0.0.1:8787 or [::1]:8787";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return wanted;
  std::string host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    return wanted;
  const auto port = to_number(text.substr(colon + 1));
  if (host.empty() || !port || *port < 0 || *port > 65535) return wanted;
  config.listen_host = host;
  config.listen_port = static_cast<int>(*port);
  return std::nullopt;
}

Complaint set_database(Config& config, const std::string& text) {
  if (text.empty()) return "must be a libpq connection string";
  config.database = text;
  return std::nullopt;
}

Complaint set_default_provider(Config& config, const std::string& text) {
  if (!provider::find_provider(text)) return "names no provider that is known";
  config.default_provider = text;
  return std::nullopt;
}

Complaint set_trusted_proxies(Config& config, const std::string& text) {
  config.trusted_proxies.clear();
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string_view name = rest.substr(0, comma);
    while (!name.empty() && name.front() == ' ')
      name.remove_prefix(1);
    const auto network = parse_network(name);
    if (!network) return "must be addresses or networks, separated by commas: 10.0.0.0/8,::1";
    config.trusted_proxies.push_back(*network);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return std::nullopt;
}

Complaint set_metrics_token(Config& config, const std::string& text) {
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
  if (!printable || text.size() < 16 || text.size() > 255)
    return "must be 16 to 255 printable ASCII characters without spaces";
  config.metrics_token = text;
  return std::nullopt;
}

Complaint set_audit(Config& config, const std::string& text) {
  if (text != "true" && text != "false") return "must be true or false";
  config.audit = text == "true";
  return std::nullopt;
}

Complaint set_least_level(Config& config, const std::string& text) {
  const auto level = log_level_named(text);
  if (!level) return "must be debug, info, warning or error";
  config.log_level = *level;
  return std::nullopt;
}

Complaint set_text(std::string& setting, const std::string& text) {
  setting = text;
  return std::nullopt;
}

Complaint set_model_drift(Config& config, const std::string& text) {
  if (text != "record" && text != "refuse") return "must be record or refuse";
  config.refuse_drift = text == "refuse";
  return std::nullopt;
}

Complaint set_redaction(Config& config, const std::string& text) {
  if (text != "true" && text != "false") return "must be true or false";
  config.redact = text == "true";
  return std::nullopt;
}

template <typename Field>
std::function<Complaint(Config&, const std::string&)> amount(Field field) {
  return [=](Config& config, const std::string& text) -> Complaint {
    const auto usd = Usd::parse(text);
    if (!usd || *usd < Usd() || *usd > Usd::most_given()) return "must be an amount in USD: 1.00";
    field(config) = text;
    return std::nullopt;
  };
}

#define HOLDFAST_FIELD(member)                                                                     \
  [](Config & config) -> auto& {                                                                   \
    return config.member;                                                                          \
  }

std::vector<Setting> call_settings() {
  return {
      {"--max-body-bytes", "", "1048576", "largest request body",
       number(1024, 67108864, HOLDFAST_FIELD(max_body_bytes))},
      {"--max-prompt-bytes", "ORCHESTRATOR_MAX_INPUT_LENGTH", "51200", "most text in a prompt",
       number(1, 67108864, HOLDFAST_FIELD(max_prompt_bytes))},
      {"--default-max-tokens", "", "1024", "completion tokens of a request that names none",
       number(1, 1000000, HOLDFAST_FIELD(default_max_tokens))},
      {"--max-completion-tokens", "", "128000", "most completion tokens a request may ask for",
       number(1, 1000000, HOLDFAST_FIELD(max_completion_tokens))},
      {"--connect-timeout-ms", "", "5000", "to connect to a provider",
       number(1, 600000, HOLDFAST_FIELD(limits.connect_timeout_ms))},
      {"--first-byte-timeout-ms", "", "60000", "until a provider's stream begins",
       number(1, 3600000, HOLDFAST_FIELD(limits.first_byte_timeout_ms))},
      {"--idle-timeout-ms", "", "30000", "between two pieces of a provider's answer",
       number(1, 3600000, HOLDFAST_FIELD(limits.idle_timeout_ms))},
      {"--total-timeout-ms", "", "600000", "for a provider's whole answer",
       number(1, 86400000, HOLDFAST_FIELD(limits.total_timeout_ms))},
      {"--hold-ttl-ms", "", "the total timeout + 60000",
       "life of a hold; one that is needed longer is extended in time",
       number(10000, 172800000, HOLDFAST_FIELD(hold_ttl_ms))},
      {"--max-answer-bytes", "", "16777216", "largest answer of a provider",
       number(1024, 268435456, HOLDFAST_FIELD(limits.max_answer_bytes))},
      {"--max-retries", "", "2", "more attempts at one provider after a failure that may pass",
       number(0, 10, HOLDFAST_FIELD(max_retries))},
      {"--max-fallbacks", "", "2", "other providers that may stand in for one that fails",
       number(0, 10, HOLDFAST_FIELD(max_fallbacks))},
      {"--retry-deadline-ms", "", "30000", "after this time of a call no new attempt is begun",
       number(0, 3600000, HOLDFAST_FIELD(retry_deadline_ms))},
      {"--model-drift", "", "record",
       "record or refuse an answer of another model than the one asked for", set_model_drift},
      {"--redaction", "ORCHESTRATOR_ENABLE_REDACTION", "true",
       "whether people and keys are taken out of all that is logged", set_redaction},
      {"--auto-approve-usd", "ORCHESTRATOR_AUTO_APPROVE_THRESHOLD_USD", "1.00",
       "estimate in USD above which a call waits for an admin's approval",
       amount(HOLDFAST_FIELD(approve_above_usd))},
      {"--default-provider", "ORCHESTRATOR_DEFAULT_PROVIDER", "the cheapest for the call",
       "whose default model serves a request that names neither", set_default_provider},
  };
}

// --max-retries is HOLDFAST_MAX_RETRIES, where no older name is known.
std::string variable_of(const std::string& flag) {
  std::string name = "HOLDFAST_";
  for (const char c : flag.substr(2))
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::vector<Setting> rule_settings() {
  return {
      {"--rate-limit-user-rpm", "ORCHESTRATOR_RATE_LIMIT_USER_RPM", "what the database says",
       "requests a minute of a user, which must be what the database keeps",
       number(0, 1000000000, HOLDFAST_FIELD(rules.user_rpm))},
      {"--rate-limit-global-rpm", "ORCHESTRATOR_RATE_LIMIT_GLOBAL_RPM", "what the database says",
       "requests a minute in all, which must be what the database keeps",
       number(0, 1000000000, HOLDFAST_FIELD(rules.global_rpm))},
      {"--circuit-breaker-threshold", "ORCHESTRATOR_CIRCUIT_BREAKER_THRESHOLD",
       "what the database says", "percent of failures, which must be what the database keeps",
       number(0, 100, HOLDFAST_FIELD(rules.breaker_threshold_percent))},
      {"--circuit-breaker-cooldown-ms", "ORCHESTRATOR_CIRCUIT_BREAKER_COOLDOWN_MS",
       "what the database says", "life of an open breaker, which must be what the database keeps",
       number(1, 86400000, HOLDFAST_FIELD(rules.breaker_cooldown_ms))},
      {"--max-workflow-steps", "ORCHESTRATOR_MAX_WORKFLOW_STEPS", "what the database says",
       "steps of a workflow, which must be what the database keeps",
       number(1, 1000, HOLDFAST_FIELD(rules.workflow_steps))},
      {"--max-workflow-cost", "ORCHESTRATOR_MAX_WORKFLOW_COST", "what the database says",
       "most USD of a run, which must be what the database keeps",
       amount(HOLDFAST_FIELD(rules.workflow_cost_usd))},
      {"--max-workflow-runtime-ms", "ORCHESTRATOR_MAX_WORKFLOW_RUNTIME_MS",
       "what the database says", "longest run, which must be what the database keeps",
       number(1, 2147483647, HOLDFAST_FIELD(rules.workflow_runtime_ms))},
  };
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> all = {
        {"--listen", "HOLDFAST_LISTEN", "127.0.0.1:8787",
         "address to serve on; port 0 takes any free port", set_listen},
        {"--database", "HOLDFAST_DATABASE", "none, needed",
         "libpq connection string of a database with the extension holdfast", set_database},
        {"--database-pool", "", "16", "most connections to the database",
         number(1, 64, HOLDFAST_FIELD(database_pool_size))},
        {"--threads", "", "1024", "requests at work at the same time, streams included",
         number(1, 4096, HOLDFAST_FIELD(threads))},
        {"--trusted-proxies", "HOLDFAST_TRUSTED_PROXIES", "none",
         "proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas",
         set_trusted_proxies},
        {"--tls-certificate", "", "none",
         "PEM file with the certificate and its chain: then https is spoken, and nothing else",
         [](Config& config, const std::string& text) {
           return set_text(config.tls_settings.certificate_path, text);
         }},
        {"--tls-key", "", "none", "PEM file with the certificate's private key",
         [](Config& config, const std::string& text) {
           return set_text(config.tls_settings.key_path, text);
         }},
        {"--log-level", "HOLDFAST_LOG_LEVEL", "info",
         "least level that is logged: debug, info, warning or error", set_least_level},
        {"--metrics-token", "HOLDFAST_METRICS_TOKEN", "none",
         "who sends it as Authorization: Bearer may read /metrics; without one, this machine only",
         set_metrics_token},
        {"--audit", "ORCHESTRATOR_ENABLE_AUDIT", "true",
         "whether calls that were made leave a row in the audit log; refusals always do",
         set_audit},
        {"--cache-answers", "", "10000", "most kept answers in the gateway's memory",
         number(0, 10000000, HOLDFAST_FIELD(cache_answers))},
        {"--cache-bytes", "", "67108864", "most memory of the kept answers",
         number(0, 68719476736, HOLDFAST_FIELD(cache_bytes))},
        {"--spool", "", "none",
         "folder for settlements that the database has not taken when the gateway stops",
         [](Config& config, const std::string& text) { return set_text(config.spool, text); }},
        {"--run-steps", "", "16",
         "steps of workflows done at the same time; 0 leaves them to others",
         number(0, 256, HOLDFAST_FIELD(run_steps))},
        {"--run-lease-ms", "", "30000", "until a step of a gateway that died is taken by another",
         number(1000, 3600000, HOLDFAST_FIELD(run_lease_ms))},
        {"--jwt-keys", "", "none", "JWKS file with the public keys of RS256 and ES256 tokens",
         [](Config& config, const std::string& text) {
           return set_text(config.token_settings.keys_path, text);
         }},
        {"--jwt-audience", "", "authenticated", "what the claim aud of a token must hold",
         [](Config& config, const std::string& text) {
           return set_text(config.token_settings.audience, text);
         }},
        {"--jwt-issuer", "", "any", "what the claim iss of a token must be",
         [](Config& config, const std::string& text) {
           return set_text(config.token_settings.issuer, text);
         }},
        {"--drain-timeout-ms", "", "30000", "for running calls to finish after SIGTERM or SIGINT",
         number(0, 3600000, HOLDFAST_FIELD(drain_timeout_ms))},
    };
    for (const auto& more : {call_settings(), rule_settings()})
      all.insert(all.end(), more.begin(), more.end());
    for (Setting& setting : all)
      if (setting.variable.empty()) setting.variable = variable_of(setting.flag);
    return all;
  }();
  return table;
}

#undef HOLDFAST_FIELD

std::string help_text() {
  std::string text =
      "holdfast-gateway " HOLDFAST_VERSION ": governs AI calls through a PostgreSQL database.\n\n"
      "Usage: holdfast-gateway --database CONNINFO [flags]\n\n"
      "A flag comes before its environment variable, that before the file of settings, that before "
      "the default.\nSIGHUP reads the file again.\n\n"
      "  --config FILE\n      lines of NAME=value, with the names of the environment variables\n"
      "      default: none; environment: HOLDFAST_CONFIG\n";
  for (const Setting& setting : settings()) {
    text += "  " + setting.flag + " VALUE\n      " + setting.help +
            "\n      default: " + setting.default_text + "; environment: " + setting.variable +
            "\n";
  }
  text += "  --help\n      this text\n  --version\n      the version\n\n"
          "HOLDFAST_JWT_SECRET in the environment is the shared key of HS256 tokens.\n"
          "A provider is active when its key is in the environment; without any, the sandbox is:\n";
  for (const auto& info : provider::all_providers()) {
    if (info.key_variable.empty()) continue;
    const bool needs_url = info.default_base_url.empty();
    text += "  " + info.key_variable + "\n      key of " + info.display_name +
            (needs_url ? ", optional; active when " + info.base_url_variable + " is set\n"
                       : "; base URL in " + info.base_url_variable + ", default " +
                             info.default_base_url + "\n");
  }
  text += std::string("Documents are delivered to a webhook, signed:\n  ") + kWebhookUrl + ", " +
          kWebhookSecret + "\n      without them they are kept in the result of their step\n";
  return text;
}

ConfigExit refuse(const std::string& what) {
  return {kRefused, "holdfast-gateway: " + what + "\nSee holdfast-gateway --help.\n"};
}

const Setting* find_setting(const std::string& flag) {
  const auto& table = settings();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Setting& setting) { return setting.flag == flag; });
  return found == table.end() ? nullptr : &*found;
}

// Values come from people and may hold secrets (a conninfo does), so no refusal shows one.
std::optional<ConfigExit> apply_environment(Config& config, const Environment& environment) {
  for (const Setting& setting : settings()) {
    const auto value = environment(setting.variable);
    if (!value) continue;
    if (const auto complaint = setting.apply(config, *value)) {
      return refuse(setting.variable + " " + *complaint);
    }
  }
  return std::nullopt;
}

std::optional<ConfigExit> apply_arguments(Config& config, bool& ttl_given,
                                          const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    const std::string flag = arguments[i].substr(0, equals);
    if (flag == "--help") return ConfigExit{0, help_text()};
    if (flag == "--version") return ConfigExit{0, "holdfast-gateway " HOLDFAST_VERSION "\n"};
    const Setting* setting = find_setting(flag);
    if (!setting && flag != kConfigFlag) {
      // What is no flag may be a connection string with a password in it.
      return refuse(flag.rfind("--", 0) == 0 ? "unknown flag " + flag : "an argument is no flag");
    }
    if (equals == std::string::npos && i + 1 == arguments.size()) {
      return refuse(flag + " needs a value");
    }
    const std::string value =
        equals == std::string::npos ? arguments[++i] : arguments[i].substr(equals + 1);
    if (!setting) continue; // the file: it was read before
    if (const auto complaint = setting->apply(config, value))
      return refuse(flag + " " + *complaint);
    ttl_given = ttl_given || flag == "--hold-ttl-ms";
  }
  return std::nullopt;
}

bool is_http_url(const std::string& url) {
  const std::size_t scheme = url.rfind("http://", 0) == 0    ? 7
                             : url.rfind("https://", 0) == 0 ? 8
                                                             : 0;
  return scheme != 0 && url.size() > scheme && url.find_first_of(" \t\r\n") == std::string::npos;
}

bool is_header_text(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

// The base URL without slashes at its end, "" when none is set.
std::string read_base_url(const provider::ProviderInfo& info, const Environment& environment) {
  std::string base_url = environment(info.base_url_variable).value_or("");
  while (!base_url.empty() && base_url.back() == '/')
    base_url.pop_back();
  return base_url;
}

std::optional<ConfigExit> read_providers(Config& config, const Environment& environment) {
  for (const auto& info : provider::all_providers()) {
    if (info.key_variable.empty()) continue;
    const auto key = environment(info.key_variable);
    const std::string base_url = read_base_url(info, environment);
    const bool needs_url = info.default_base_url.empty();
    if (needs_url ? base_url.empty() : !key) {
      if (!key) continue;
      return refuse(info.key_variable + " is set, but " + info.base_url_variable + " is not");
    }
    if (key && !is_header_text(*key)) {
      return refuse(info.key_variable + " must be printable ASCII without spaces");
    }
    if (!base_url.empty() && !is_http_url(base_url)) {
      return refuse(info.base_url_variable + " must be an http or https URL");
    }
    config.providers.push_back({info.name, base_url, key.value_or("")});
  }
  if (config.providers.empty()) config.providers.push_back({"sandbox", "", ""});
  return std::nullopt;
}

// The keys that tokens are checked with, where there are any.
std::optional<ConfigExit> read_tokens(Config& config, const Environment& environment) {
  TokenSettings& settings = config.token_settings;
  settings.secret = environment(kJwtSecret).value_or("");
  if (settings.secret.empty() && settings.keys_path.empty()) return std::nullopt;
  auto made = TokenVerifier::make(settings);
  if (const auto* fault = std::get_if<TokenFault>(&made)) return refuse(fault->what);
  config.tokens = std::get<std::shared_ptr<const TokenVerifier>>(std::move(made));
  return std::nullopt;
}

std::optional<ConfigExit> read_tls(Config& config) {
  const TlsSettings& settings = config.tls_settings;
  if (settings.certificate_path.empty() != settings.key_path.empty())
    return refuse("--tls-certificate and --tls-key must be set together, or neither");
  if (settings.key_path.empty()) return std::nullopt;
  auto made = TlsContext::make(settings);
  if (const auto* fault = std::get_if<TlsFault>(&made))
    return refuse("--tls-certificate and --tls-key: " + fault->what);
  config.tls = std::get<std::shared_ptr<const TlsContext>>(std::move(made));
  return std::nullopt;
}

std::optional<ConfigExit> read_webhook(Config& config, const Environment& environment) {
  config.webhook = {environment(kWebhookUrl).value_or(""),
                    environment(kWebhookSecret).value_or("")};
  if (config.webhook.url.empty() != config.webhook.secret.empty())
    return refuse(std::string(kWebhookUrl) + " and " + kWebhookSecret +
                  " must be set together, or neither");
  if (!config.webhook.url.empty() && !is_http_url(config.webhook.url))
    return refuse(std::string(kWebhookUrl) + " must be an http or https URL");
  return std::nullopt;
}

std::optional<ConfigExit> check_together(const Config& config) {
  if (config.database.empty()) {
    return refuse("--database (or HOLDFAST_DATABASE) is needed: a libpq connection string");
  }
  if (config.default_max_tokens > config.max_completion_tokens) {
    return refuse("--default-max-tokens must not be above --max-completion-tokens");
  }
  if (!config.default_provider.empty() && !find_provider_config(config, config.default_provider)) {
    return refuse("--default-provider (or ORCHESTRATOR_DEFAULT_PROVIDER) names a provider without "
                  "a key in the environment");
  }
  return std::nullopt;
}

std::optional<std::string> config_path(const std::vector<std::string>& arguments,
                                       const Environment& environment) {
  const std::string with_value = std::string(kConfigFlag) + "=";
  std::optional<std::string> path = environment("HOLDFAST_CONFIG");
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].rfind(with_value, 0) == 0) path = arguments[i].substr(with_value.size());
    if (arguments[i] == kConfigFlag && i + 1 < arguments.size()) path = arguments[i + 1];
  }
  return path;
}

bool is_variable(const std::string& name) {
  const auto& table = settings();
  const auto& providers = provider::all_providers();
  return name == kJwtSecret || name == kWebhookUrl || name == kWebhookSecret ||
         std::any_of(table.begin(), table.end(),
                     [&](const Setting& setting) { return setting.variable == name; }) ||
         std::any_of(providers.begin(), providers.end(), [&](const auto& info) {
           return !name.empty() && (info.key_variable == name || info.base_url_variable == name);
         });
}

// What the process's environment says, else the file.
std::variant<Environment, ConfigExit> with_file(const std::string& path,
                                                const Environment& environment) {
  auto read = read_config_file(path);
  if (const auto* fault = std::get_if<ConfigFileFault>(&read)) return refuse(fault->what);
  auto& values = std::get<ConfigValues>(read);
  for (const auto& [name, value] : values)
    if (!is_variable(name)) return refuse(path + " sets " + name + ", which is no setting");
  return Environment([environment, values](const std::string& name) {
    auto value = environment(name);
    const auto found = values.find(name);
    if (!value && found != values.end() && !found->second.empty()) value = found->second;
    return value;
  });
}

} // namespace

std::variant<Config, ConfigExit> read_config(const std::vector<std::string>& arguments,
                                             const Environment& process) {
  Environment environment = process;
  if (const auto path = config_path(arguments, process)) {
    auto both = with_file(*path, process);
    if (const auto* exit = std::get_if<ConfigExit>(&both)) return *exit;
    environment = std::get<Environment>(std::move(both));
  }
  Config config;
  bool ttl_given = false;
  if (const auto exit = apply_environment(config, environment)) return *exit;
  if (const auto exit = apply_arguments(config, ttl_given, arguments)) return *exit;
  if (!ttl_given) config.hold_ttl_ms = config.limits.total_timeout_ms + kHoldMarginMs;
  if (const auto exit = read_providers(config, environment)) return *exit;
  if (const auto exit = read_tokens(config, environment)) return *exit;
  if (const auto exit = read_tls(config)) return *exit;
  if (const auto exit = read_webhook(config, environment)) return *exit;
  if (const auto exit = check_together(config)) return *exit;
  return config;
}

std::vector<std::string> keep_start_settings(const Config& running, Config& next) {
  std::vector<std::string> changed;
  const auto keep = [&](const char* flag, const auto& old_value, auto& new_value) {
    if (!(new_value == old_value)) changed.emplace_back(flag);
    new_value = old_value;
  };
  keep("--listen", running.listen_host, next.listen_host);
  keep("--listen", running.listen_port, next.listen_port);
  keep("--database", running.database, next.database);
  keep("--database-pool", running.database_pool_size, next.database_pool_size);
  keep("--threads", running.threads, next.threads);
  keep("--max-body-bytes", running.max_body_bytes, next.max_body_bytes);
  keep("--trusted-proxies", running.trusted_proxies, next.trusted_proxies);
  keep("--hold-ttl-ms", running.hold_ttl_ms, next.hold_ttl_ms);
  keep("--cache-answers", running.cache_answers, next.cache_answers);
  keep("--cache-bytes", running.cache_bytes, next.cache_bytes);
  keep("--spool", running.spool, next.spool);
  keep("--run-steps", running.run_steps, next.run_steps);
  keep("--run-lease-ms", running.run_lease_ms, next.run_lease_ms);
  if ((running.tls == nullptr) != (next.tls == nullptr))
    keep("--tls-certificate", running.tls, next.tls);
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  return changed;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

const ProviderConfig* find_provider_config(const Config& config, const std::string& name) {
  static const ProviderConfig sandbox{"sandbox", "", ""};
  for (const ProviderConfig& provider : config.providers) {
    if (provider.name == name) return &provider;
  }
  return name == sandbox.name ? &sandbox : nullptr;
}

} // namespace holdfast::gateway

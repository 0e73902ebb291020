// The gateway's settings: flags first, then the environment, then a file, then defaults.
#pragma once

#include "gateway/call.hpp"
#include "gateway/client_address.hpp"
#include "gateway/log.hpp"
#include "gateway/tls.hpp"
#include "gateway/token.hpp"
#include "gateway/transport.hpp"
#include "gateway/webhook.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::gateway {

// Rules that the database keeps for all gateways, where this one's operator says what they are to
// be.
struct ExpectedRules {
  std::optional<int> user_rpm;
  std::optional<int> global_rpm;
  std::optional<int> breaker_threshold_percent;
  std::optional<int> breaker_cooldown_ms;
  std::optional<int> workflow_steps;
  std::optional<std::string> workflow_cost_usd;
  std::optional<int> workflow_runtime_ms;
};

// Everything an operator can set. `providers` are those with a key, in the registry's order; the
// sandbox alone when there is none.
struct Config {
  std::string listen_host = "127.0.0.1";
  int listen_port = 8787;
  std::string database;
  int database_pool_size = 16;
  int threads = 1024;
  std::size_t max_body_bytes = 1048576;
  std::size_t max_prompt_bytes = 51200;
  int default_max_tokens = 1024;
  int max_completion_tokens = 128000;
  TransportLimits limits;
  int hold_ttl_ms = 660000;
  int drain_timeout_ms = 30000;
  int max_retries = 2;
  int max_fallbacks = 2;
  int retry_deadline_ms = 30000;
  bool refuse_drift = false;
  bool redact = true;                     // what the gateway logs and has stored about prompts
  std::string approve_above_usd = "1.00"; // a dearer call waits for an approval
  int cache_answers = 10000;              // in memory
  std::int64_t cache_bytes = 67108864;
  std::string spool;  // folder for settlements that a stop leaves
  int run_steps = 16; // done at the same time; 0: by other gateways
  int run_lease_ms = 30000;
  std::string default_provider;
  LogLevel log_level = LogLevel::info;
  bool audit = true;
  std::string metrics_token; // "": only this machine itself reads them
  std::vector<Network> trusted_proxies;
  ExpectedRules rules;
  std::vector<ProviderConfig> providers;
  TokenSettings token_settings{"", "", "authenticated", ""};
  std::shared_ptr<const TokenVerifier> tokens; // null where no key for them is set
  TlsSettings tls_settings;
  std::shared_ptr<const TlsContext> tls; // null: plain HTTP
  Webhook webhook;                       // where documents are delivered
};

// The program ends here: --help and --version with status 0, a refused setting with status 2.
struct ConfigExit {
  int status = 0;
  std::string text;
};

// The value of an environment variable, nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// Reads the arguments (without the program's name), the environment, and the file that one of them
// names. A refusal names the flag or the variable, and never shows a secret.
std::variant<Config, ConfigExit> read_config(const std::vector<std::string>& arguments,
                                             const Environment& process);

// Puts back into `next` what only a restart changes; returns the flags of those that differ.
std::vector<std::string> keep_start_settings(const Config& running, Config& next);

// The process's own environment; a variable that is set but empty counts as not set.
std::optional<std::string> process_environment(const std::string& name);

// The settings of a provider this gateway may call: an active one, or the sandbox; else null.
const ProviderConfig* find_provider_config(const Config& config, const std::string& name);

} // namespace holdfast::gateway

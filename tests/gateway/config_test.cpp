#include "gateway/config.hpp"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <map>

namespace holdfast::gateway {
namespace {

using Variables = std::map<std::string, std::string>;

std::variant<Config, ConfigExit> read(const std::vector<std::string>& arguments,
                                      const Variables& variables = {}) {
  return read_config(arguments, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

Config accepted(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  const auto result = read(arguments, variables);
  if (const auto* exit = std::get_if<ConfigExit>(&result)) {
    ADD_FAILURE() << exit->text;
    return {};
  }
  return std::get<Config>(result);
}

std::string refused(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  const auto result = read(arguments, variables);
  const auto* exit = std::get_if<ConfigExit>(&result);
  EXPECT_NE(exit, nullptr);
  if (exit == nullptr) return "";
  EXPECT_EQ(exit->status, 2);
  return exit->text;
}

TEST(ConfigTest, DefaultsAreThoseOfTheHelp) {
  const Config config = accepted({"--database", "dbname=x"});
  EXPECT_EQ(config.listen_host, "127.0.0.1");
  EXPECT_EQ(config.listen_port, 8787);
  EXPECT_EQ(config.threads, 1024);
  EXPECT_EQ(config.max_prompt_bytes, 51200U);
  EXPECT_EQ(config.limits.total_timeout_ms, 600000);
  EXPECT_EQ(config.hold_ttl_ms, 660000);
}

TEST(ConfigTest, FlagComesBeforeEnvironment) {
  const Variables variables = {{"HOLDFAST_DATABASE", "dbname=env"},
                               {"HOLDFAST_LISTEN", "127.0.0.1:1"},
                               {"ORCHESTRATOR_MAX_INPUT_LENGTH", "99"}};
  const Config config = accepted({"--listen=[::1]:0"}, variables);
  EXPECT_EQ(config.database, "dbname=env");
  EXPECT_EQ(config.listen_host, "::1");
  EXPECT_EQ(config.listen_port, 0);
  EXPECT_EQ(config.max_prompt_bytes, 99U);
}

TEST(ConfigTest, AWebhookHasASecretAndNobodySeesIt) {
  const Variables both = {{"HOLDFAST_PUBLISH_WEBHOOK_URL", "https://cms.example/hook"},
                          {"HOLDFAST_PUBLISH_WEBHOOK_SECRET", "s3cret"}};
  EXPECT_EQ(accepted({"--database", "x"}, both).webhook.url, "https://cms.example/hook");
  EXPECT_EQ(accepted({"--database", "x"}, both).webhook.secret, "s3cret");
  EXPECT_TRUE(accepted({"--database", "x"}).webhook.url.empty());
  const std::string alone =
      refused({"--database", "x"}, {{"HOLDFAST_PUBLISH_WEBHOOK_SECRET", "s3cret"}});
  EXPECT_NE(alone.find("HOLDFAST_PUBLISH_WEBHOOK_URL"), std::string::npos) << alone;
  EXPECT_EQ(alone.find("s3cret"), std::string::npos) << alone;
  refused({"--database", "x"}, {{"HOLDFAST_PUBLISH_WEBHOOK_URL", "ftp://x"},
                                {"HOLDFAST_PUBLISH_WEBHOOK_SECRET", "s3cret"}});
}

TEST(ConfigTest, ACertificateHasAKeyAndNobodySeesIt) {
  EXPECT_EQ(accepted({"--database", "x"}).tls, nullptr);
  for (const char* flag : {"--tls-certificate", "--tls-key"})
    EXPECT_NE(refused({"--database", "x", flag, "/dev/null"}).find("set together"),
              std::string::npos);
  const std::string empty =
      refused({"--database", "x", "--tls-certificate", "/dev/null", "--tls-key", "/dev/null"});
  EXPECT_NE(empty.find("/dev/null has no certificate"), std::string::npos) << empty;
}

TEST(ConfigTest, HoldLifeFollowsTheTotalTimeoutUnlessGiven) {
  EXPECT_EQ(accepted({"--database", "x", "--total-timeout-ms", "1000"}).hold_ttl_ms, 61000);
  EXPECT_EQ(accepted({"--database", "x", "--hold-ttl-ms", "20000"}).hold_ttl_ms, 20000);
}

TEST(ConfigTest, ApprovalThresholdIsAnAmount) {
  EXPECT_EQ(accepted({"--database", "x"}).approve_above_usd, "1.00");
  const Variables dear = {{"ORCHESTRATOR_AUTO_APPROVE_THRESHOLD_USD", "2.5"}};
  EXPECT_EQ(accepted({"--database", "x"}, dear).approve_above_usd, "2.5");
  EXPECT_EQ(accepted({"--database", "x", "--auto-approve-usd", "0"}, dear).approve_above_usd, "0");
  for (const char* value : {"", "-1", "NaN", "1e3", "$1", "0.0000000000000000001"})
    EXPECT_NE(refused({"--database", "x", "--auto-approve-usd", value})
                  .find("--auto-approve-usd must be"),
              std::string::npos)
        << value;
}

TEST(ConfigTest, BadValueIsRefusedByName) {
  for (const char* value : {"0", "-1", "4097", "x", "1.5", "", "99999999999999999999"}) {
    const std::string text = refused({"--database", "x", "--threads", value});
    EXPECT_NE(text.find("--threads must be"), std::string::npos) << value;
  }
  for (const char* value : {"", "host", ":80", "h:65536", "h:x", "::1:80"}) {
    EXPECT_NE(refused({"--listen", value}).find("--listen must be"), std::string::npos) << value;
  }
  EXPECT_NE(refused({"--database", "x"}, {{"ORCHESTRATOR_MAX_INPUT_LENGTH", "many"}})
                .find("ORCHESTRATOR_MAX_INPUT_LENGTH must be"),
            std::string::npos);
  EXPECT_NE(refused({"--nope", "x"}).find("--nope"), std::string::npos);
  EXPECT_NE(refused({"--threads"}).find("--threads needs a value"), std::string::npos);
  EXPECT_NE(refused({}).find("--database"), std::string::npos);
  EXPECT_NE(
      refused({"--database", "x", "--default-max-tokens", "9", "--max-completion-tokens", "8"})
          .find("--default-max-tokens"),
      std::string::npos);
}

TEST(ConfigTest, ProviderIsActiveByItsKey) {
  const Config none = accepted({"--database", "x"});
  ASSERT_EQ(none.providers.size(), 1U);
  EXPECT_EQ(none.providers[0].name, "sandbox");
  const Config one = accepted({"--database", "x"},
                              {{"OPENAI_API_KEY", "sk-1"}, {"OPENAI_BASE_URL", "http://h/v1/"}});
  ASSERT_EQ(one.providers.size(), 1U);
  EXPECT_EQ(one.providers[0].name, "openai");
  EXPECT_EQ(one.providers[0].api_key, "sk-1");
  EXPECT_EQ(one.providers[0].base_url, "http://h/v1");
  EXPECT_EQ(find_provider_config(one, "openai")->api_key, "sk-1");
  EXPECT_NE(find_provider_config(one, "sandbox"), nullptr);
  EXPECT_EQ(find_provider_config(one, "nobody"), nullptr);
}

TEST(ConfigTest, CustomIsActiveByItsBaseUrl) {
  const Config config = accepted({"--database", "x"}, {{"CUSTOM_BASE_URL", "http://h:8000/v1/"}});
  ASSERT_EQ(config.providers.size(), 1U);
  EXPECT_EQ(config.providers[0].name, "custom");
  EXPECT_EQ(config.providers[0].base_url, "http://h:8000/v1");
  EXPECT_EQ(config.providers[0].api_key, "");
  EXPECT_EQ(
      accepted({"--database", "x"}, {{"CUSTOM_BASE_URL", "http://h"}, {"CUSTOM_API_KEY", "k"}})
          .providers[0]
          .api_key,
      "k");
  EXPECT_NE(refused({"--database", "x"}, {{"CUSTOM_API_KEY", "k"}}).find("CUSTOM_BASE_URL is not"),
            std::string::npos);
}

TEST(ConfigTest, DefaultProviderNeedsItsKey) {
  EXPECT_NE(refused({"--database", "x", "--default-provider", "openai"}).find("without a key"),
            std::string::npos);
  EXPECT_NE(refused({"--database", "x", "--default-provider", "nobody"}).find("no provider"),
            std::string::npos);
  EXPECT_EQ(accepted({"--database", "x"}, {{"ORCHESTRATOR_DEFAULT_PROVIDER", "sandbox"}})
                .default_provider,
            "sandbox");
}

TEST(ConfigTest, TrustedProxiesAreAddressesOrNetworks) {
  const std::vector<std::string> plain = {"--database", "dbname=x"};
  EXPECT_TRUE(accepted(plain).trusted_proxies.empty());
  const Config config = accepted(plain, {{"HOLDFAST_TRUSTED_PROXIES", "10.0.0.0/8, ::1"}});
  ASSERT_EQ(config.trusted_proxies.size(), 2U);
  EXPECT_TRUE(contains(config.trusted_proxies[0], "10.9.8.7"));
  EXPECT_TRUE(contains(config.trusted_proxies[1], "::1"));
  EXPECT_NE(refused({"--database", "dbname=x", "--trusted-proxies", "everyone"})
                .find("--trusted-proxies"),
            std::string::npos);
}

TEST(ConfigTest, RefusalsShowNoSecret) {
  const std::string secret = "hunter2 hunter2";
  EXPECT_EQ(refused({"--database", "x"}, {{"OPENAI_API_KEY", secret}}).find("hunter2"),
            std::string::npos);
  EXPECT_EQ(refused({"--listen", secret}).find("hunter2"), std::string::npos);
  EXPECT_EQ(refused({"postgres://u:hunter2@h/d"}).find("hunter2"), std::string::npos);
  EXPECT_NE(refused({"--database", "x"}, {{"OPENAI_API_KEY", "k"}, {"OPENAI_BASE_URL", "ftp://h"}})
                .find("OPENAI_BASE_URL"),
            std::string::npos);
}

TEST(ConfigTest, HelpNamesEveryFlagAndVariable) {
  const auto result = read({"--help"}, {{"OPENAI_API_KEY", "hunter2"}});
  const auto& exit = std::get<ConfigExit>(result);
  EXPECT_EQ(exit.status, 0);
  for (const char* word : {"--listen",
                           "--database",
                           "--database-pool",
                           "--threads",
                           "--max-body-bytes",
                           "--max-prompt-bytes",
                           "--default-max-tokens",
                           "--max-completion-tokens",
                           "--connect-timeout-ms",
                           "--first-byte-timeout-ms",
                           "--idle-timeout-ms",
                           "--total-timeout-ms",
                           "--hold-ttl-ms",
                           "--drain-timeout-ms",
                           "--max-answer-bytes",
                           "--default-provider",
                           "--version",
                           "HOLDFAST_LISTEN",
                           "HOLDFAST_DATABASE",
                           "ORCHESTRATOR_MAX_INPUT_LENGTH",
                           "ORCHESTRATOR_DEFAULT_PROVIDER",
                           "OPENAI_API_KEY",
                           "OPENAI_BASE_URL"}) {
    EXPECT_NE(exit.text.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(exit.text.find("hunter2"), std::string::npos);
}

// A file of settings that ends with the test.
class SettingsFile {
public:
  explicit SettingsFile(const std::string& text) : path_(::testing::TempDir() + "holdfast.conf") {
    std::ofstream(path_) << text;
  }
  ~SettingsFile() { std::remove(path_.c_str()); }
  SettingsFile(const SettingsFile&) = delete;
  SettingsFile& operator=(const SettingsFile&) = delete;
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

TEST(ConfigTest, FileSaysWhatTheEnvironmentDoesNot) {
  const SettingsFile file(
      "# providers\n\nOPENAI_API_KEY = from-file \nHOLDFAST_DATABASE=dbname=file\n"
      "HOLDFAST_MAX_RETRIES=7\nHOLDFAST_MAX_RETRIES=5\nHOLDFAST_THREADS=\n");
  const Config config = accepted({"--config", file.path()}, {{"HOLDFAST_DATABASE", "dbname=env"}});
  EXPECT_EQ(config.database, "dbname=env");
  EXPECT_EQ(config.max_retries, 5);
  EXPECT_EQ(config.threads, 1024);
  ASSERT_EQ(config.providers.size(), 1U);
  EXPECT_EQ(config.providers[0].api_key, "from-file");
  EXPECT_EQ(accepted({"--config=" + file.path(), "--max-retries", "1"}).max_retries, 1);
  EXPECT_EQ(accepted({"--database=x"}, {{"HOLDFAST_CONFIG", file.path()}}).max_retries, 5);
}

TEST(ConfigTest, FileIsRefusedByNameAndLineWithoutItsSecrets) {
  const SettingsFile unknown("OPENAI_API_KEY=secret\nOPENAI_KEY=secret\n");
  const std::string told = refused({"--database=x", "--config", unknown.path()});
  EXPECT_NE(told.find("OPENAI_KEY, which is no setting"), std::string::npos) << told;
  EXPECT_EQ(told.find("secret"), std::string::npos) << told;
  const SettingsFile broken("# one\nsecret without a name\n");
  const std::string line = refused({"--database=x", "--config", broken.path()});
  EXPECT_NE(line.find("line 2"), std::string::npos) << line;
  EXPECT_EQ(line.find("secret"), std::string::npos) << line;
  const SettingsFile bad("HOLDFAST_MAX_RETRIES=many\n");
  EXPECT_NE(refused({"--database=x", "--config", bad.path()}).find("HOLDFAST_MAX_RETRIES"),
            std::string::npos);
  EXPECT_NE(refused({"--database=x", "--config=/no/such/file"}).find("/no/such/file"),
            std::string::npos);
  EXPECT_NE(refused({"--database=x", "--config"}).find("--config needs a value"),
            std::string::npos);
}

TEST(ConfigTest, WhatOnlyARestartChangesStaysAndIsNamed) {
  const Config running = accepted({"--database=x", "--listen=127.0.0.1:1"});
  Config next = accepted(
      {"--database=y", "--listen=127.0.0.2:2", "--max-retries=9", "--trusted-proxies=10.0.0.0/8"});
  const std::vector<std::string> named = keep_start_settings(running, next);
  EXPECT_EQ(named, (std::vector<std::string>{"--listen", "--database", "--trusted-proxies"}));
  EXPECT_EQ(next.database, "x");
  EXPECT_EQ(next.listen_port, 1);
  EXPECT_EQ(next.max_retries, 9);
  EXPECT_TRUE(next.trusted_proxies.empty());
}

} // namespace
} // namespace holdfast::gateway

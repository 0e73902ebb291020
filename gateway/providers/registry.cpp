#include "gateway/providers/registry.hpp"

#include "gateway/providers/custom.hpp"
#include "gateway/providers/deepinfra.hpp"
#include "gateway/providers/groq.hpp"
#include "gateway/providers/mistral.hpp"
#include "gateway/providers/openai.hpp"
#include "gateway/providers/openrouter.hpp"
#include "gateway/providers/perplexity.hpp"
#include "gateway/providers/together.hpp"

namespace holdfast::provider {

const std::vector<ProviderInfo>& all_providers() {
  static const OpenAi openai;
  static const Groq groq;
  static const Perplexity perplexity;
  static const Mistral mistral;
  static const Together together;
  static const OpenRouter openrouter;
  static const DeepInfra deepinfra;
  static const Custom custom;
  static const std::vector<ProviderInfo> providers = {
      {"openai",
       "OpenAI",
       "OPENAI_API_KEY",
       "OPENAI_BASE_URL",
       "https://api.openai.com/v1",
       "gpt-4o-mini",
       {"text", "functions", "vision", "streaming"},
       &openai},
      {"groq",
       "Groq",
       "GROQ_API_KEY",
       "GROQ_BASE_URL",
       "https://api.groq.com/openai/v1",
       "llama-3.3-70b",
       {"text", "functions", "vision", "fast-inference", "streaming"},
       &groq},
      {"perplexity",
       "Perplexity",
       "PERPLEXITY_API_KEY",
       "PERPLEXITY_BASE_URL",
       "https://api.perplexity.ai",
       "sonar",
       {"text", "vision", "online-search", "citations", "streaming"},
       &perplexity},
      {"mistral",
       "Mistral",
       "MISTRAL_API_KEY",
       "MISTRAL_BASE_URL",
       "https://api.mistral.ai/v1",
       "mistral-large",
       {"text", "functions", "vision", "streaming"},
       &mistral},
      {"together",
       "Together AI",
       "TOGETHER_API_KEY",
       "TOGETHER_BASE_URL",
       "https://api.together.xyz/v1",
       "llama-3.1-70b",
       {"text", "functions", "vision", "streaming"},
       &together},
      {"openrouter",
       "OpenRouter",
       "OPENROUTER_API_KEY",
       "OPENROUTER_BASE_URL",
       "https://openrouter.ai/api/v1",
       "claude-3.5-sonnet",
       {"text", "functions", "vision", "multi-model", "streaming"},
       &openrouter},
      {"deepinfra",
       "DeepInfra",
       "DEEPINFRA_API_KEY",
       "DEEPINFRA_BASE_URL",
       "https://api.deepinfra.com/v1/openai",
       "llama-3.1-70b",
       {"text", "functions", "vision", "streaming"},
       &deepinfra},
      {"custom",
       "Custom (OpenAI-compatible)",
       "CUSTOM_API_KEY",
       "CUSTOM_BASE_URL",
       "",
       "",
       {"text", "functions", "vision", "streaming"},
       &custom},
      {"sandbox", "Sandbox", "", "", "", "gpt-4o-mini", {"text", "streaming"}, nullptr},
  };
  return providers;
}

const ProviderInfo* find_provider(std::string_view name) {
  for (const ProviderInfo& provider : all_providers())
    if (provider.name == name) return &provider;
  return nullptr;
}

} // namespace holdfast::provider

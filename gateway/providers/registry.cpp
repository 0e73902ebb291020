#include "gateway/providers/registry.hpp"

#include "gateway/providers/openai.hpp"

namespace holdfast::provider {

const std::vector<ProviderInfo>& all_providers() {
  static const OpenAi openai;
  static const std::vector<ProviderInfo> providers = {
      {"openai",
       "OpenAI",
       "OPENAI_API_KEY",
       "OPENAI_BASE_URL",
       "https://api.openai.com/v1",
       "gpt-4o-mini",
       {"text", "functions", "vision", "streaming"},
       &openai},
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

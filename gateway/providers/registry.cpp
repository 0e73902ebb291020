#include "gateway/providers/registry.hpp"

#include "gateway/providers/anthropic.hpp"
#include "gateway/providers/cohere.hpp"
#include "gateway/providers/cohere_embeddings.hpp"
#include "gateway/providers/custom.hpp"
#include "gateway/providers/deepinfra.hpp"
#include "gateway/providers/gemini.hpp"
#include "gateway/providers/gemini_embeddings.hpp"
#include "gateway/providers/groq.hpp"
#include "gateway/providers/mistral.hpp"
#include "gateway/providers/openai.hpp"
#include "gateway/providers/openai_embeddings.hpp"
#include "gateway/providers/openrouter.hpp"
#include "gateway/providers/perplexity.hpp"
#include "gateway/providers/together.hpp"

#include <array>

namespace holdfast::provider {

namespace {

const OpenAi openai;
const Anthropic anthropic;
const Gemini gemini;
const Cohere cohere;
const Groq groq;
const Perplexity perplexity;
const Mistral mistral;
const Together together;
const OpenRouter openrouter;
const DeepInfra deepinfra;
const Custom custom;

OpenAiEmbeddings::Dialect mistral_embeddings_dialect() {
  OpenAiEmbeddings::Dialect dialect;
  dialect.features.token_ids = false;
  dialect.dimensions_member = "output_dimension";
  dialect.user = false;
  return dialect;
}

OpenAiEmbeddings::Dialect together_embeddings_dialect() {
  OpenAiEmbeddings::Dialect dialect;
  dialect.features.token_ids = false;
  dialect.features.dimensions = false;
  dialect.base64 = false;
  dialect.user = false;
  return dialect;
}

OpenAiEmbeddings::Dialect openrouter_embeddings_dialect() {
  OpenAiEmbeddings::Dialect dialect;
  dialect.base64 = false;
  dialect.input_type = true;
  dialect.reports_cost = true;
  return dialect;
}

OpenAiEmbeddings::Dialect deepinfra_embeddings_dialect() {
  OpenAiEmbeddings::Dialect dialect;
  dialect.features.token_ids = false;
  dialect.features.most_inputs = 1024;
  dialect.base64 = false;
  dialect.user = false;
  return dialect;
}

// Nothing is known of the server: it is asked for what all of them have.
OpenAiEmbeddings::Dialect custom_embeddings_dialect() {
  OpenAiEmbeddings::Dialect dialect;
  dialect.base64 = false;
  return dialect;
}

const OpenAiEmbeddings openai_embeddings(openai, {});
const GeminiEmbeddings gemini_embeddings(gemini);
const CohereEmbeddings cohere_embeddings;
const OpenAiEmbeddings mistral_embeddings(mistral, mistral_embeddings_dialect());
const OpenAiEmbeddings together_embeddings(together, together_embeddings_dialect());
const OpenAiEmbeddings openrouter_embeddings(openrouter, openrouter_embeddings_dialect());
const OpenAiEmbeddings deepinfra_embeddings(deepinfra, deepinfra_embeddings_dialect());
const OpenAiEmbeddings custom_embeddings(custom, custom_embeddings_dialect());

const std::vector<ProviderInfo> provider_table = {
    {"openai",
     "OpenAI",
     "OPENAI_API_KEY",
     "OPENAI_BASE_URL",
     "https://api.openai.com/v1",
     "gpt-4o-mini",
     {"text", "functions", "vision", "embeddings", "streaming"},
     &openai,
     &openai_embeddings},
    {"anthropic",
     "Anthropic",
     "ANTHROPIC_API_KEY",
     "ANTHROPIC_BASE_URL",
     "https://api.anthropic.com",
     "claude-3-5-haiku",
     {"text", "functions", "vision", "long-context", "streaming"},
     &anthropic},
    {"gemini",
     "Google Gemini",
     "GEMINI_API_KEY",
     "GEMINI_BASE_URL",
     "https://generativelanguage.googleapis.com/v1beta",
     "gemini-1.5-flash",
     {"text", "functions", "vision", "ultra-long-context", "embeddings", "streaming"},
     &gemini,
     &gemini_embeddings},
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
     {"text", "functions", "vision", "embeddings", "streaming"},
     &mistral,
     &mistral_embeddings},
    {"together",
     "Together AI",
     "TOGETHER_API_KEY",
     "TOGETHER_BASE_URL",
     "https://api.together.xyz/v1",
     "llama-3.1-70b",
     {"text", "functions", "vision", "embeddings", "streaming"},
     &together,
     &together_embeddings},
    {"cohere",
     "Cohere",
     "COHERE_API_KEY",
     "COHERE_BASE_URL",
     "https://api.cohere.com",
     "command-r",
     {"text", "functions", "vision", "citations", "embeddings", "streaming"},
     &cohere,
     &cohere_embeddings},
    {"openrouter",
     "OpenRouter",
     "OPENROUTER_API_KEY",
     "OPENROUTER_BASE_URL",
     "https://openrouter.ai/api/v1",
     "claude-3.5-sonnet",
     {"text", "functions", "vision", "multi-model", "embeddings", "streaming"},
     &openrouter,
     &openrouter_embeddings},
    {"deepinfra",
     "DeepInfra",
     "DEEPINFRA_API_KEY",
     "DEEPINFRA_BASE_URL",
     "https://api.deepinfra.com/v1/openai",
     "llama-3.1-70b",
     {"text", "functions", "vision", "embeddings", "streaming"},
     &deepinfra,
     &deepinfra_embeddings},
    {"custom",
     "Custom (OpenAI-compatible)",
     "CUSTOM_API_KEY",
     "CUSTOM_BASE_URL",
     "",
     "",
     {"text", "functions", "vision", "embeddings", "streaming"},
     &custom,
     &custom_embeddings},
    {"sandbox", "Sandbox", "", "", "", "gpt-4o-mini", {"text", "embeddings", "streaming"}, nullptr},
};

struct WireModel {
  std::string_view provider;
  std::string_view model;
  std::string_view wire;
};

constexpr std::array<WireModel, 7> kWireModels = {{
    {"anthropic", "claude-3-5-haiku", "claude-3-5-haiku-20241022"},
    {"groq", "llama-3.3-70b", "llama-3.3-70b-versatile"},
    {"mistral", "mistral-large", "mistral-large-latest"},
    {"together", "llama-3.1-70b", "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo"},
    {"cohere", "command-r", "command-r-08-2024"},
    {"openrouter", "claude-3.5-sonnet", "anthropic/claude-3.5-sonnet"},
    {"deepinfra", "llama-3.1-70b", "meta-llama/Meta-Llama-3.1-70B-Instruct"},
}};

} // namespace

std::string wire_model(std::string_view provider, const std::string& model) {
  for (const WireModel& known : kWireModels)
    if (known.provider == provider && known.model == model) return std::string(known.wire);
  return model;
}

const std::vector<ProviderInfo>& all_providers() {
  return provider_table;
}

const ProviderInfo* find_provider(std::string_view name) {
  for (const ProviderInfo& provider : all_providers())
    if (provider.name == name) return &provider;
  return nullptr;
}

} // namespace holdfast::provider

// The one table of providers.
#pragma once

#include "gateway/providers/embedding_adapter.hpp"
#include "gateway/providers/provider.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::provider {

// What the gateway knows of a provider. The variables are names of environment variables. `adapter`
// lives as long as the program; it is null for the sandbox, which has no HTTP, key or base URL.
// `embeddings` is null where there are none, and for the sandbox, which makes its own.
// Without a default base URL the provider is active when the operator sets one, and its key is
// optional. Without a default model a request must name one.
struct ProviderInfo {
  std::string name;
  std::string display_name;
  std::string key_variable;
  std::string base_url_variable;
  std::string default_base_url;
  std::string default_model;
  std::vector<std::string> capabilities;
  const Adapter* adapter = nullptr;
  const EmbeddingAdapter* embeddings = nullptr;
};

// All providers, in the order they are listed to users. The sandbox is last.
const std::vector<ProviderInfo>& all_providers();

// The name under which the provider takes a model on the wire: the shipped prices name some models
// as people do. Other names are the provider's own.
std::string wire_model(std::string_view provider, const std::string& model);

// The provider of that exact name, or null.
const ProviderInfo* find_provider(std::string_view name);

} // namespace holdfast::provider

// Every provider's vectors: as many as were asked for, all of finite numbers, or an error. And
// vectors as base64.
#include "tests/fuzz/answer_checks.hpp"
#include "tests/fuzz/provider_input.hpp"

#include <cmath>

namespace {

using holdfast::fuzz::require;

void check_vector(const std::vector<float>& vector) {
  for (const float number : vector)
    require(std::isfinite(number), "a vector has numbers");
  const auto again = holdfast::vector_of_base64(holdfast::base64_of(vector));
  require(vector.empty() || again == vector, "a vector written as base64 is the same");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = holdfast::fuzz::text_of(data, size);
  if (const auto vector = holdfast::vector_of_base64(text)) check_vector(*vector);
  const auto input = holdfast::fuzz::provider_input(text);
  if (!input || input->info->embeddings == nullptr) return 0;
  for (const std::vector<std::string>& asked : {std::vector<std::string>{"a"}, {"a", "b"}}) {
    holdfast::EmbeddingRequest request;
    request.texts = asked;
    const auto parsed = input->info->embeddings->parse(request, input->answer);
    if (const auto* error = std::get_if<holdfast::ProviderError>(&parsed)) {
      holdfast::fuzz::check(*error);
      continue;
    }
    const auto& answer = std::get<holdfast::EmbeddingAnswer>(parsed);
    require(answer.vectors.size() == asked.size(), "there is a vector for each input");
    for (const auto& vector : answer.vectors)
      check_vector(vector);
    if (answer.usage) holdfast::fuzz::check(*answer.usage);
  }
  return 0;
}

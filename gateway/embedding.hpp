// Embeddings: what is asked, what is answered, and the bounds of both.
#pragma once

#include "gateway/chat.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// One call. The inputs are either texts or lists of token ids. `input_type` is what the vectors are
// for, in Cohere's words, "" when the client does not say; `base64` is how the client takes them.
struct EmbeddingRequest {
  std::string model;
  std::vector<std::string> texts;
  std::vector<std::vector<std::int64_t>> tokens;
  std::optional<int> dimensions;
  std::string input_type;
  std::string user;
  bool base64 = false;

  std::size_t size() const { return texts.empty() ? tokens.size() : texts.size(); }
};

// One vector for each input, in their order. No usage: the provider did not count.
struct EmbeddingAnswer {
  std::string model;
  std::vector<std::vector<float>> vectors;
  std::optional<Usage> usage;
};

// Bytes of the longest input; token ids count as none.
std::size_t longest_text(const EmbeddingRequest& request);

// No tokenizer that works on bytes makes more tokens: a token for each byte, and 8 for each input's
// frame.
std::int64_t prompt_token_bound(const EmbeddingRequest& request);

// What the inputs probably take: a token for each four bytes begun, never more than the bound.
std::int64_t prompt_token_estimate(const EmbeddingRequest& request);

// A vector as base64 of its floats, four bytes each, the lowest first; and back. Nothing when it is
// no such text, or one of its numbers is not finite.
std::string base64_of(const std::vector<float>& vector);
std::optional<std::vector<float>> vector_of_base64(std::string_view text);

} // namespace holdfast

// OpenAI's embeddings JSON, inward: a client's request, and what it gets back. Pure.
#pragma once

#include "gateway/embedding.hpp"
#include "gateway/openai_format.hpp"

namespace holdfast::openai_format {

// Reads the body of POST /v1/embeddings: 1 to 2048 inputs, none of them empty.
std::variant<EmbeddingRequest, RequestError> parse_embedding_request(const nlohmann::json& body);

// The body of the answer, as JSON text. Numbers are the shortest that give the same float back.
std::string write_embeddings(const EmbeddingAnswer& answer, bool base64, const Usage& usage);

} // namespace holdfast::openai_format

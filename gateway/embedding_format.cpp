#include "gateway/embedding_format.hpp"

#include "gateway/bounded_json.hpp"
#include "gateway/openai_fields.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace holdfast::openai_format {

namespace {

using nlohmann::json;

constexpr std::size_t kMostInputs = 2048;
constexpr std::size_t kMostTokens = 1000000;
constexpr std::int64_t kMostDimensions = 16384;
constexpr std::size_t kMostUserBytes = 255;

std::string read_input(const json& value, const std::string& param) {
  std::string text = read_text(value, param);
  if (text.empty()) refuse_value(param, "An input must not be empty.");
  return text;
}

std::vector<std::int64_t> read_tokens(const json& value, const std::string& param) {
  require_array(value, param, 1, kMostTokens);
  std::vector<std::int64_t> tokens;
  tokens.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i)
    tokens.push_back(
        read_integer(value[i], join_path(param, i), 0, std::numeric_limits<std::int32_t>::max()));
  return tokens;
}

// A text, token ids, or a list of one or the other.
void read_inputs(const json& input, EmbeddingRequest& request) {
  const std::string param = "input";
  if (input.is_string()) {
    request.texts.push_back(read_input(input, param));
    return;
  }
  if (!input.is_array()) refuse_type(param, "a string or an array", input);
  const bool is_tokens = !input.empty() && input.front().is_number();
  if (is_tokens) {
    request.tokens.push_back(read_tokens(input, param));
    return;
  }
  require_array(input, param, 1, kMostInputs);
  const bool are_tokens = input.front().is_array();
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::string path = join_path(param, i);
    if (are_tokens)
      request.tokens.push_back(read_tokens(input[i], path));
    else
      request.texts.push_back(read_input(input[i], path));
  }
}

void append_numbers(std::string& out, const std::vector<float>& vector) {
  out += '[';
  for (const float value : vector) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    if (out.back() != '[') out += ',';
    out.append(digits.data(), end);
  }
  out += ']';
}

} // namespace

std::variant<EmbeddingRequest, RequestError> parse_embedding_request(const json& body) {
  try {
    EmbeddingRequest request;
    request.model = read_text(required_member(body, "model", ""), "model");
    read_inputs(required_member(body, "input", ""), request);
    if (const json& value = optional_member(body, "encoding_format"); !value.is_null())
      request.base64 = read_word(value, "encoding_format", {"float", "base64"}) == "base64";
    if (const json& value = optional_member(body, "dimensions"); !value.is_null())
      request.dimensions = static_cast<int>(read_integer(value, "dimensions", 1, kMostDimensions));
    if (const json& value = optional_member(body, "input_type"); !value.is_null())
      request.input_type = read_word(
          value, "input_type", {"search_document", "search_query", "classification", "clustering"});
    if (const json& value = optional_member(body, "user"); !value.is_null())
      request.user = read_label(value, "user", kMostUserBytes);
    return request;
  } catch (const Refusal& refusal) {
    return refusal.error;
  }
}

std::string write_embeddings(const EmbeddingAnswer& answer, bool base64, const Usage& usage) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t index = 0; index < answer.vectors.size(); ++index) {
    out += index == 0 ? "" : ",";
    out += R"({"object":"embedding","index":)" + std::to_string(index) + R"(,"embedding":)";
    if (base64)
      out += '"' + base64_of(answer.vectors[index]) + '"';
    else
      append_numbers(out, answer.vectors[index]);
    out += '}';
  }
  const std::string tokens = std::to_string(usage.prompt_tokens);
  return out + R"(],"model":)" + dump_json(answer.model) + R"(,"usage":{"prompt_tokens":)" +
         tokens + R"(,"total_tokens":)" + tokens + "}}";
}

} // namespace holdfast::openai_format

// Embeddings: what is sent to each provider, and how its recorded answer is read and written.
#include "gateway/embedding.hpp"
#include "gateway/embedding_format.hpp"
#include "gateway/providers/registry.hpp"
#include "gateway/providers/sandbox.hpp"
#include "tests/gateway/fixture.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace holdfast::provider {
namespace {

using nlohmann::json;

const EmbeddingAdapter& embeddings_of(const std::string& provider) {
  return *find_provider(provider)->embeddings;
}

EmbeddingRequest request_of(std::string model, std::vector<std::string> texts) {
  EmbeddingRequest request;
  request.model = std::move(model);
  request.texts = std::move(texts);
  return request;
}

json sent(const std::string& provider, const EmbeddingRequest& request) {
  return json::parse(embeddings_of(provider).request(request, "key").body);
}

HttpAnswer answer_of(const std::string& body, int status = 200) {
  return {status, {}, body};
}

EmbeddingAnswer recorded(const std::string& provider, const EmbeddingRequest& request) {
  auto parsed =
      embeddings_of(provider).parse(request, test::recorded_answer("embeddings", provider));
  return std::get<EmbeddingAnswer>(std::move(parsed));
}

ErrorClass error_of(const std::string& provider, const EmbeddingRequest& request,
                    const HttpAnswer& answer) {
  return std::get<ProviderError>(embeddings_of(provider).parse(request, answer)).error_class;
}

// The base URL ends in the part of the recorded path that comes before ours.
TEST(Embeddings, AreAskedForAsRecorded) {
  const std::string text = "Ruby is a programmer's best friend";
  EmbeddingRequest cohere = request_of("embed-v4.0", {text});
  cohere.dimensions = 1024;
  EmbeddingRequest gemini = request_of("gemini-embedding-001", {text});
  gemini.dimensions = 768;
  EmbeddingRequest openai =
      request_of("text-embedding-3-small", {"Generate embeddings with specific dimensions"});
  openai.dimensions = 256;
  for (const auto& [provider, request] :
       {std::pair("cohere", cohere), {"gemini", gemini}, {"openai", openai}}) {
    const json asked = test::load_fixture("embeddings", provider)["request"];
    const HttpRequest http = embeddings_of(provider).request(request, "key");
    const std::string base = find_provider(provider)->default_base_url;
    const std::string path = base.substr(base.find('/', base.find("//") + 2) == std::string::npos
                                             ? base.size()
                                             : base.find('/', base.find("//") + 2)) +
                             http.path;
    EXPECT_EQ(path, asked["path"]) << provider;
    json body = asked["body"];
    if (body.contains("input")) body["input"] = json::array({body["input"]});
    EXPECT_EQ(json::parse(http.body), body) << provider;
  }
}

TEST(Embeddings, AreReadAsRecorded) {
  struct Expected {
    const char* provider;
    const char* model;
    std::size_t dimensions;
    float first;
    std::optional<std::int64_t> tokens;
  };
  // Read from the recordings by hand.
  const std::vector<Expected> all = {
      {"cohere", "", 1024, 0.02832291F, 7},
      {"deepinfra", "BAAI/bge-base-en-v1.5", 768, -0.04759955033659935F, 12},
      {"gemini", "", 768, 0.013796286F, std::nullopt},
      {"mistral", "mistral-embed", 1024, -0.04833984375F, 11},
      {"openai", "text-embedding-3-small", 256, 0.02042737975716591F, 5},
      {"openrouter", "text-embedding-3-small", 1536, -0.047210693359375F, 7}};
  for (const Expected& expected : all) {
    const EmbeddingAnswer answer = recorded(expected.provider, request_of("m", {"a"}));
    EXPECT_EQ(answer.model, expected.model) << expected.provider;
    ASSERT_EQ(answer.vectors.size(), 1U) << expected.provider;
    EXPECT_EQ(answer.vectors[0].size(), expected.dimensions) << expected.provider;
    EXPECT_FLOAT_EQ(answer.vectors[0][0], expected.first) << expected.provider;
    ASSERT_EQ(answer.usage.has_value(), expected.tokens.has_value()) << expected.provider;
    if (!answer.usage) continue;
    EXPECT_EQ(answer.usage->prompt_tokens, expected.tokens) << expected.provider;
    EXPECT_EQ(answer.usage->completion_tokens, 0) << expected.provider;
  }
  EXPECT_EQ(recorded("openrouter", request_of("m", {"a"})).usage->reported_cost_usd, "1.4e-7");
}

TEST(Embeddings, GoInEachProvidersWords) {
  EmbeddingRequest request = request_of("m", {"a", "b"});
  request.dimensions = 64;
  request.input_type = "search_query";
  request.user = "ann";
  EXPECT_EQ(
      sent("mistral", request),
      json::parse(
          R"({"model":"m","input":["a","b"],"encoding_format":"base64","output_dimension":64})"));
  EXPECT_EQ(sent("cohere", request)["input_type"], "search_query");
  EXPECT_EQ(
      sent("openrouter", request),
      json::parse(
          R"({"model":"m","input":["a","b"],"dimensions":64,"input_type":"search_query","user":"ann"})"));
  EXPECT_EQ(sent("gemini", request)["requests"][1]["taskType"], "RETRIEVAL_QUERY");
  EXPECT_EQ(sent("custom", request),
            json::parse(R"({"model":"m","input":["a","b"],"dimensions":64,"user":"ann"})"));
  request.dimensions.reset();
  EXPECT_EQ(sent("together", request), json::parse(R"({"model":"m","input":["a","b"]})"));
  EXPECT_EQ(sent("deepinfra", request), json::parse(R"({"model":"m","input":["a","b"]})"));
  EmbeddingRequest ids;
  ids.model = "m";
  ids.tokens = {{1, 2}, {3}};
  EXPECT_EQ(sent("openai", ids)["input"], json::parse("[[1,2],[3]]"));
}

TEST(Embeddings, AreRefusedBeforeTheCallWhereTheyCannotBeHad) {
  EmbeddingRequest ids;
  ids.tokens = {{1}};
  EmbeddingRequest sized = request_of("m", {"a"});
  sized.dimensions = 8;
  const EmbeddingRequest many = request_of("m", std::vector<std::string>(101, "a"));
  const auto capability = [](const char* provider, const EmbeddingRequest& request) {
    const auto missing = embeddings_of(provider).unsupported(request);
    return missing ? missing->capability : "";
  };
  for (const char* provider : {"cohere", "gemini", "mistral", "together", "deepinfra"})
    EXPECT_EQ(capability(provider, ids), "token_ids") << provider;
  for (const char* provider : {"openai", "openrouter", "custom"})
    EXPECT_EQ(capability(provider, ids), "") << provider;
  EXPECT_EQ(capability("together", sized), "dimensions");
  EXPECT_EQ(capability("cohere", many), "inputs");
  EXPECT_EQ(capability("gemini", many), "inputs");
  EXPECT_EQ(capability("openai", many), "");
  for (const char* provider : {"anthropic", "groq", "perplexity"})
    EXPECT_EQ(find_provider(provider)->embeddings, nullptr) << provider;
}

TEST(Embeddings, ComeInTheOrderOfTheirIndex) {
  const auto parsed = embeddings_of("openai").parse(
      request_of("m", {"a", "b"}),
      answer_of(R"({"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]})"));
  const auto& answer = std::get<EmbeddingAnswer>(parsed);
  EXPECT_EQ(answer.vectors, (std::vector<std::vector<float>>{{1}, {2}}));
  EXPECT_FALSE(answer.usage);
}

TEST(Embeddings, ThatAreBrokenAreErrors) {
  const EmbeddingRequest one = request_of("m", {"a"});
  for (const char* body :
       {"", "[]", "{}", R"({"data":[]})", R"({"data":[{"index":0}]})",
        R"({"data":[{"embedding":[]}]})", R"({"data":[{"index":7,"embedding":[1]}]})",
        R"({"data":[{"embedding":["x"]}]})", R"({"data":[{"embedding":[1e300]}]})",
        R"({"data":[{"embedding":"AAA"}]})", R"({"data":[{"embedding":"AADAfw=="}]})",
        R"({"data":[{"embedding":[1]},{"embedding":[1]}]})"})
    EXPECT_EQ(error_of("openai", one, answer_of(body)), ErrorClass::server) << body;
  EXPECT_EQ(
      error_of("openai", request_of("m", {"a", "b"}),
               answer_of(R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})")),
      ErrorClass::server);
  EXPECT_EQ(error_of("cohere", one, answer_of(R"({"embeddings":{"float":[[null]]}})")),
            ErrorClass::server);
  EXPECT_EQ(error_of("gemini", one, answer_of(R"({"embeddings":[{"values":{}}]})")),
            ErrorClass::server);
  for (const char* provider : {"openai", "cohere", "gemini"})
    EXPECT_EQ(error_of(provider, one, answer_of("busy", 503)), ErrorClass::overloaded) << provider;
  EXPECT_EQ(error_of("gemini", one, test::recorded_answer("gemini", "error_400_invalid_key")),
            ErrorClass::auth);
}

TEST(Embeddings, OfTheSandboxAreTheSameForTheSameInput) {
  EmbeddingRequest request = request_of("m", {"a", "b", "a"});
  request.dimensions = 16;
  const EmbeddingAnswer answer = sandbox::embed(request);
  EXPECT_EQ(answer.vectors[0], answer.vectors[2]);
  EXPECT_NE(answer.vectors[0], answer.vectors[1]);
  double squares = 0;
  for (const float value : answer.vectors[0])
    squares += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_NEAR(squares, 1, 1e-5);
  EXPECT_EQ(answer.usage->prompt_tokens, prompt_token_bound(request));
  request.dimensions.reset();
  EXPECT_EQ(sandbox::embed(request).vectors[0].size(), 1536U);
}

TEST(EmbeddingBase64, IsReadAndWritten) {
  const std::vector<float> vector = {1.5F, -0.25F, 0, 3.4e38F};
  EXPECT_EQ(base64_of({1.5F}), "AADAPw==");
  for (std::size_t size = 1; size <= vector.size(); ++size) {
    const std::vector<float> part(vector.begin(),
                                  vector.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(vector_of_base64(base64_of(part)), part);
  }
  for (const char* text : {"", "A", "AADAPw", "AADA Pw=", "AADAPwAA"})
    EXPECT_EQ(vector_of_base64(text).has_value(), std::string(text) == "AADAPw") << text;
}

TEST(EmbeddingRequests, AreReadStrictly) {
  using openai_format::parse_embedding_request;
  const auto param = [](const char* body) {
    const auto parsed = parse_embedding_request(json::parse(body));
    const auto* error = std::get_if<openai_format::RequestError>(&parsed);
    return error != nullptr ? error->param : std::string("none");
  };
  EXPECT_EQ(param(R"({"model":"m","input":"a"})"), "none");
  EXPECT_EQ(param(R"({"model":"m","input":["a","b"],"encoding_format":"base64"})"), "none");
  EXPECT_EQ(param(R"({"model":"m","input":[1,2]})"), "none");
  EXPECT_EQ(param(R"({"model":"m","input":[[1],[2,3]],"dimensions":null})"), "none");
  EXPECT_EQ(param(R"({"input":"a"})"), "model");
  EXPECT_EQ(param(R"({"model":"m"})"), "input");
  EXPECT_EQ(param(R"({"model":"m","input":""})"), "input");
  EXPECT_EQ(param(R"({"model":"m","input":[]})"), "input");
  EXPECT_EQ(param(R"({"model":"m","input":["a",""]})"), "input[1]");
  EXPECT_EQ(param(R"({"model":"m","input":["a",[1]]})"), "input[1]");
  EXPECT_EQ(param(R"({"model":"m","input":[[1],[]]})"), "input[1]");
  EXPECT_EQ(param(R"({"model":"m","input":[1,-1]})"), "input[1]");
  EXPECT_EQ(param(R"({"model":"m","input":"a","dimensions":0})"), "dimensions");
  EXPECT_EQ(param(R"({"model":"m","input":"a","encoding_format":"int8"})"), "encoding_format");
  EXPECT_EQ(param(R"({"model":"m","input":"a","input_type":"x"})"), "input_type");
  json many = {{"model", "m"}, {"input", std::vector<std::string>(2049, "a")}};
  EXPECT_EQ(param(many.dump().c_str()), "input");
}

TEST(EmbeddingAnswers, AreWrittenAsAsked) {
  EmbeddingAnswer answer;
  answer.model = "m";
  answer.vectors = {{0.1F, -1e-7F}, {1.5F}};
  Usage usage;
  usage.prompt_tokens = 3;
  EXPECT_EQ(openai_format::write_embeddings(answer, false, usage),
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-1e-07]},)"
            R"({"object":"embedding","index":1,"embedding":[1.5]}],"model":"m",)"
            R"("usage":{"prompt_tokens":3,"total_tokens":3}})");
  EXPECT_EQ(
      json::parse(openai_format::write_embeddings(answer, true, usage))["data"][1]["embedding"],
      "AADAPw==");
}

TEST(EmbeddingBounds, AreNeverBelowTheRecordedCounts) {
  for (const char* provider : {"cohere", "deepinfra", "mistral", "openai", "openrouter"}) {
    const json body = test::load_fixture("embeddings", provider)["request"]["body"];
    const json& input = body.contains("texts") ? body["texts"][0] : body["input"];
    const EmbeddingRequest request = request_of("m", {input.get<std::string>()});
    EXPECT_GE(prompt_token_bound(request), recorded(provider, request).usage->prompt_tokens);
    EXPECT_LE(prompt_token_estimate(request), prompt_token_bound(request));
  }
}

} // namespace
} // namespace holdfast::provider

// Recorded provider answers, for tests.
#pragma once

#include "gateway/bounded_json.hpp"
#include "gateway/openai_format.hpp"
#include "gateway/providers/provider.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace holdfast::test {

inline nlohmann::json load_fixture(const std::string& provider, const std::string& name) {
  const std::string path = std::string(HOLDFAST_FIXTURES) + "/" + provider + "/" + name + ".json";
  std::ifstream file(path);
  if (!file) throw std::runtime_error("no fixture " + path);
  return nlohmann::json::parse(file);
}

// The recorded answer as the transport would hand it over.
inline provider::HttpAnswer recorded_answer(const std::string& provider, const std::string& name) {
  const nlohmann::json response = load_fixture(provider, name).at("response");
  provider::HttpAnswer answer;
  answer.status = response.at("status");
  for (const auto& [header, value] : response.at("headers").items())
    answer.headers.emplace(header, value.get<std::string>());
  answer.body = response.contains("body_text") ? response.at("body_text").get<std::string>()
                                               : response.at("body").dump();
  return answer;
}

// The recorded request, read as the gateway would read it from a client.
inline ChatRequest recorded_request(const std::string& provider, const std::string& name) {
  const auto fixture = load_fixture(provider, name);
  auto parsed = openai_format::parse_client_request(fixture.at("request").at("body"), {});
  if (auto* error = std::get_if<openai_format::RequestError>(&parsed))
    throw std::runtime_error(name + ": " + error->message);
  return std::get<openai_format::ClientRequest>(parsed).chat;
}

} // namespace holdfast::test

// docs/providers.md says what is tested of each provider: its table is made from the recordings and
// from what the adapters take.
#include "gateway/providers/registry.hpp"
#include "tests/gateway/fixture.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sstream>

namespace holdfast::provider {
namespace {

using nlohmann::json;
using Wanted = std::function<bool(const std::string& name, const json& recorded)>;

const std::string kFixtures = HOLDFAST_FIXTURES;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

std::string count_of(const std::string& provider, const Wanted& wanted) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(kFixtures + "/" + provider)) {
    if (file.path().extension() != ".json") continue;
    const std::string name = file.path().stem().string();
    if (wanted(name, test::load_fixture(provider, name))) ++count;
  }
  return count == 0 ? "–" : std::to_string(count);
}

bool is_answer(const std::string& name) {
  return !has(name, "error_");
}

// What a request that asks for this is met with.
std::string taken(const std::string& provider, const std::string& members) {
  auto parsed = openai_format::parse_client_request(
      R"({"model":"m","messages":[{"role":"user","content":)" + members, {});
  const auto& chat = std::get<openai_format::ClientRequest>(parsed).chat;
  return find_provider(provider)->adapter->unsupported(chat) ? "422" : "sent";
}

std::string embeddings_of(const std::string& provider) {
  if (find_provider(provider)->embeddings == nullptr) return "422";
  const bool recorded = std::filesystem::exists(kFixtures + "/embeddings/" + provider + ".json");
  return recorded ? "1" : "shape";
}

std::string row_of(const std::string& provider) {
  const auto counted = [&](const Wanted& wanted) { return count_of(provider, wanted); };
  const std::vector<std::string> cells = {
      provider,
      counted(
          [](const auto& name, const json&) { return is_answer(name) && !has(name, "stream"); }),
      counted([](const auto& name, const json&) { return is_answer(name) && has(name, "stream"); }),
      counted([](const auto& name, const json&) { return is_answer(name) && has(name, "tool"); }),
      taken(
          provider,
          R"([{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]})"),
      taken(
          provider,
          R"("x"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}})"),
      counted([](const auto& name, const json&) { return has(name, "error_"); }),
      counted([](const auto& name, const json& recorded) {
        return is_answer(name) && has(recorded["response"].dump(), "usage");
      }),
      embeddings_of(provider)};
  std::string row = "|";
  for (const std::string& cell : cells)
    row += " " + cell + " |";
  return row + "\n";
}

TEST(ProviderMatrix, OfTheDocumentationIsWhatIsTested) {
  std::string table;
  for (const ProviderInfo& provider : all_providers())
    if (std::filesystem::exists(kFixtures + "/" + provider.name)) table += row_of(provider.name);
  const std::string page = read_file(kFixtures + "/../../../docs/providers.md");
  EXPECT_NE(page.find(table), std::string::npos) << "docs/providers.md should have:\n" << table;
}

} // namespace
} // namespace holdfast::provider

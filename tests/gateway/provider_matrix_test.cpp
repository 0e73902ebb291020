// docs/providers.md says what is tested of each provider: its table is made from what the
// recordings are read as, and from what the adapters take.
#include "gateway/json_read.hpp"
#include "gateway/providers/registry.hpp"
#include "tests/gateway/fixture.hpp"
#include "tests/gateway/stream_pieces.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace holdfast::provider {
namespace {

using nlohmann::json;

const std::string kFixtures = HOLDFAST_FIXTURES;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// What a recording is read as.
struct Reading {
  bool streamed = false;
  bool failed = false;
  bool calls_tools = false;
  bool has_usage = false;
  bool asked_for_schema = false;
};

void read_stream(const Adapter& adapter, const std::string& body, Reading& reading) {
  for (const StreamEvent& event : test::parse_in_pieces(adapter, body, {})) {
    reading.failed = reading.failed || event.error.has_value();
    reading.has_usage = reading.has_usage || event.usage.has_value();
    for (const ChatDelta& delta : event.deltas)
      reading.calls_tools = reading.calls_tools || !delta.tool_calls.empty();
  }
}

void read_whole(const Adapter& adapter, const HttpAnswer& recorded, Reading& reading) {
  const auto parsed = adapter.parse_chat(recorded);
  const auto* answer = std::get_if<ChatAnswer>(&parsed);
  reading.failed = answer == nullptr;
  if (reading.failed) return;
  reading.has_usage = answer->usage.has_value();
  reading.calls_tools = !answer->choices.front().tool_calls.empty();
}

Reading read(const std::string& provider, const std::string& name) {
  Reading reading;
  const Adapter& adapter = *find_provider(provider)->adapter;
  const HttpAnswer recorded = test::recorded_answer(provider, name);
  const json request = test::load_fixture(provider, name).at("request");
  const json& asked = json_read::member(request, "body");
  reading.asked_for_schema = json_read::member(asked, "output_format").is_object() ||
                             json_read::member(asked, "response_format").is_object();
  const auto type = recorded.headers.find("content-type");
  reading.streamed =
      type != recorded.headers.end() && type->second.rfind("text/event-stream", 0) == 0;
  if (reading.streamed)
    read_stream(adapter, recorded.body, reading);
  else
    read_whole(adapter, recorded, reading);
  return reading;
}

std::vector<Reading> readings_of(const std::string& provider) {
  std::vector<Reading> readings;
  for (const auto& file : std::filesystem::directory_iterator(kFixtures + "/" + provider))
    if (file.path().extension() == ".json")
      readings.push_back(read(provider, file.path().stem().string()));
  return readings;
}

// What a request that asks for this is met with.
std::string taken(const std::string& provider, const std::string& members) {
  auto parsed = openai_format::parse_client_request(
      json::parse(R"({"model":"m","messages":[{"role":"user","content":)" + members), {});
  const auto& chat = std::get<openai_format::ClientRequest>(parsed).chat;
  return find_provider(provider)->adapter->unsupported(chat) ? "422" : "sent";
}

std::string embeddings_of(const std::string& provider) {
  if (find_provider(provider)->embeddings == nullptr) return "422";
  const bool recorded = std::filesystem::exists(kFixtures + "/embeddings/" + provider + ".json");
  return recorded ? "1" : "shape";
}

constexpr const char* kTools = R"("x"}],"tools":[{"type":"function","function":{"name":"f"}}]})";
constexpr const char* kImage =
    R"([{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]})";
constexpr const char* kSchema =
    R"("x"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}})";

std::string row_of(const std::string& provider) {
  const std::vector<Reading> readings = readings_of(provider);
  const auto counted = [&](auto&& wanted) {
    return std::to_string(std::count_if(readings.begin(), readings.end(), wanted));
  };
  // How many were recorded, or how one that asks for it would be met.
  const auto counted_or_taken = [&](auto&& wanted, const char* members) {
    const std::string count = counted(wanted);
    return count == "0" ? taken(provider, members) : count;
  };
  const std::vector<std::string> cells = {
      provider,
      counted([](const Reading& r) { return !r.failed && !r.streamed; }),
      counted([](const Reading& r) { return !r.failed && r.streamed; }),
      counted_or_taken([](const Reading& r) { return !r.failed && r.calls_tools; }, kTools),
      taken(provider, kImage),
      counted_or_taken([](const Reading& r) { return !r.failed && r.asked_for_schema; }, kSchema),
      counted([](const Reading& r) { return r.failed; }),
      counted([](const Reading& r) { return !r.failed && r.has_usage; }),
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

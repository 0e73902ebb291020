// Makes the fuzzers' first inputs of the recorded answers: one folder for each fuzzer, files named
// by the recording.
#include "tests/gateway/fixture.hpp"

#include <filesystem>
#include <iostream>

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Long recordings make slow fuzzers; what is cut off repeats.
constexpr std::size_t kMostBytes = 4096;

void write(const fs::path& folder, const std::string& name, const std::string& bytes) {
  fs::create_directories(folder);
  std::ofstream file(folder / name, std::ios::binary);
  file << bytes.substr(0, kMostBytes);
  if (!file.flush()) throw std::runtime_error("cannot write " + (folder / name).string());
}

std::string headers_of(const holdfast::provider::HttpAnswer& answer) {
  std::string lines;
  for (const auto& [name, value] : answer.headers)
    lines += name + ":" + value + "\n";
  return lines + "\n";
}

void write_seeds(const fs::path& out, const std::string& provider, const std::string& name) {
  const auto answer = holdfast::test::recorded_answer(provider, name);
  const json recorded = holdfast::test::load_fixture(provider, name);
  const std::string file = provider + "_" + name;
  const std::string head =
      provider + " " + std::to_string(answer.status) + "\n" + headers_of(answer);
  if (name.rfind("stream", 0) == 0) {
    write(out / "provider_stream", file, provider + "\n\n" + answer.body);
    write(out / "sse", file, answer.body);
  } else {
    write(out / "provider_answer", file, head + answer.body);
  }
  write(out / "retry_delay", file, head);
  const json request = recorded.value("request", json::object()).value("body", json());
  if (!request.is_object()) return;
  write(out / "request_json", file, request.dump());
  if (provider == "anthropic") return write(out / "messages_request", file, request.dump());
  for (const char* folder : {"openai_request", "generate_request"})
    write(out / folder, file, request.dump());
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_seeds FOLDER\n";
    return 2;
  }
  fs::remove_all(argv[1]);
  for (const auto& provider : fs::directory_iterator(HOLDFAST_FIXTURES)) {
    if (provider.path().filename() == "embeddings") continue; // too long to be cut
    for (const auto& file : fs::directory_iterator(provider.path()))
      if (file.path().extension() == ".json")
        write_seeds(argv[1], provider.path().filename().string(), file.path().stem().string());
  }
  return 0;
}

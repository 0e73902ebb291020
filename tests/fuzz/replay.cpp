// Gives a fuzzer every file of the folders named, once. Fails when there is none.
#include "tests/fuzz/fuzz.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

namespace {

// Ends the program where what must hold does not: the file's name is the last line that is told.
int replay(const std::filesystem::path& folder) {
  int count = 0;
  if (!std::filesystem::exists(folder)) return count;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream stream(file.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    if (!stream) throw std::runtime_error("cannot read " + file.path().string());
    std::cout << file.path().string() << std::endl;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are bytes
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  return count;
}

} // namespace

int main(int argc, char** argv) {
  int count = 0;
  for (int i = 1; i < argc; ++i)
    count += replay(argv[i]);
  std::cout << count << " inputs\n";
  return count > 0 ? 0 : 1;
}

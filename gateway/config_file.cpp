#include "gateway/config_file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace holdfast::gateway {
namespace {

constexpr std::size_t kMostBytes = 1048576;

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

bool is_name(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
}

} // namespace

std::variant<ConfigValues, ConfigFileFault> read_config_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return ConfigFileFault{path + " cannot be read: " + std::strerror(errno)};
  ConfigValues values;
  std::string line;
  std::size_t bytes = 0;
  for (int number = 1; std::getline(file, line); ++number) {
    bytes += line.size() + 1;
    if (bytes > kMostBytes) return ConfigFileFault{path + " is larger than 1 MB"};
    const std::string text = trimmed(line);
    if (text.empty() || text.front() == '#') continue;
    const std::size_t equals = text.find('=');
    const std::string name = trimmed(text.substr(0, equals));
    if (equals == std::string::npos || !is_name(name))
      return ConfigFileFault{path + " line " + std::to_string(number) + " is not NAME=value"};
    values[name] = trimmed(text.substr(equals + 1));
  }
  if (file.bad()) return ConfigFileFault{path + " cannot be read to its end"};
  return values;
}

} // namespace holdfast::gateway

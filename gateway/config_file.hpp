// A file of settings: what the environment does not say.
#pragma once

#include <map>
#include <string>
#include <variant>

namespace holdfast::gateway {

// Why a file cannot be used; never shows a value.
struct ConfigFileFault {
  std::string what;
};

using ConfigValues = std::map<std::string, std::string>;

// Reads lines of `NAME=value`; blanks around both are cut, empty lines and those that begin with #
// are left out, and what comes last of one name counts. At most 1 MB.
std::variant<ConfigValues, ConfigFileFault> read_config_file(const std::string& path);

} // namespace holdfast::gateway

// Values of statements, as text that PostgreSQL reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::gateway {

std::string bytea_text(const std::string& bytes);
std::string array_text(const std::vector<std::string>& items);
std::string array_text(const std::vector<std::optional<std::string>>& items);
std::string interval_text(std::int64_t ms);
// Token counts are SQL integers; a provider that claims more has claimed the most there is.
std::string tokens_text(std::int64_t count);

} // namespace holdfast::gateway

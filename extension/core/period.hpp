#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

// The window over which a budget counts, in UTC; weeks begin on Monday (ISO 8601).
enum class Period { none, day, week, month };

// nullopt for a word that names no period.
std::optional<Period> parse_period(std::string_view word);

// Days are counted from 2000-01-01, as PostgreSQL's date. A budget without a period has one
// window that began at -infinity.
constexpr std::int32_t kNoPeriodStart = INT32_MIN;

// The first day of the window that `day` falls in.
std::int32_t period_start(Period period, std::int32_t day);

} // namespace holdfast

#include "extension/core/period.hpp"

namespace holdfast {

namespace {

// Days from 2000-03-01 split into eras of 400 years, as in the proleptic Gregorian calendar: a
// year that starts in March ends with its leap day, so the length of the months before is fixed.
constexpr std::int32_t kDaysPerEra = 146'097;
constexpr std::int32_t kMarch2000 = 60;

std::int32_t day_of_month(std::int32_t day) { // counted from 0
  std::int32_t of_era = (day - kMarch2000) % kDaysPerEra;
  if (of_era < 0) of_era += kDaysPerEra;
  const std::int32_t year =
      (of_era - of_era / 1460 + of_era / 36'524 - of_era / (kDaysPerEra - 1)) / 365;
  const std::int32_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const std::int32_t month = (5 * of_year + 2) / 153;
  return of_year - (153 * month + 2) / 5;
}

std::int32_t day_of_week(std::int32_t day) { // Monday is 0; 2000-01-01 was a Saturday
  const std::int32_t shifted = (day + 5) % 7;
  return shifted < 0 ? shifted + 7 : shifted;
}

} // namespace

std::optional<Period> parse_period(std::string_view word) {
  if (word == "none") return Period::none;
  if (word == "day") return Period::day;
  if (word == "week") return Period::week;
  if (word == "month") return Period::month;
  return std::nullopt;
}

std::int32_t period_start(Period period, std::int32_t day) {
  switch (period) {
  case Period::none:
    return kNoPeriodStart;
  case Period::day:
    return day;
  case Period::week:
    return day - day_of_week(day);
  case Period::month:
    return day - day_of_month(day);
  }
  return kNoPeriodStart;
}

} // namespace holdfast

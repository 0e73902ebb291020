#include "extension/core/numeric_format.hpp"

#include <cstring>

namespace holdfast {

namespace {

constexpr std::uint16_t kFormMask = 0xC000;
constexpr std::uint16_t kShortForm = 0x8000;
constexpr std::uint16_t kNegative = 0x2000;
constexpr int kScaleShift = 7;
constexpr std::uint16_t kWeightMask = 0x003F;
constexpr std::uint16_t kWeightNegative = 0x0040;

constexpr int kBase = 10'000;
constexpr int kLowestExponent = -5; // the group that has the 18th decimal, and two more
constexpr int kHighestExponent = 3; // below 1e16 USD, so that the sum fits 128 bits
constexpr int kMostGroups = 10;     // 1e17 USD, the most that a Usd can be
constexpr int kSpare = 100;         // units of 1e-18 to units of 1e-20

std::uint16_t word(std::string_view bytes, std::size_t index) {
  std::uint16_t value = 0;
  std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
  return value;
}

int weight_of(std::uint16_t header) {
  const int low = header & kWeightMask;
  return (header & kWeightNegative) != 0 ? low - (kWeightMask + 1) : low;
}

// How many decimals are left without the zeros at the end.
int scale_of(Int128 magnitude) {
  int scale = Usd::kDecimals;
  auto fraction = static_cast<std::uint64_t>(magnitude % 1'000'000'000'000'000'000);
  if (fraction == 0) return 0;
  for (; fraction % 10 == 0; fraction /= 10)
    --scale;
  return scale;
}

} // namespace

std::optional<Usd> read_numeric(std::string_view stored) {
  const std::size_t words = stored.size() / sizeof(std::uint16_t);
  if (words == 0 || (word(stored, 0) & kFormMask) != kShortForm) return std::nullopt;
  const std::uint16_t header = word(stored, 0);
  const int digits = static_cast<int>(words) - 1;
  const int weight = weight_of(header);
  if (digits == 0) return Usd();
  if (weight > kHighestExponent || weight - digits + 1 < kLowestExponent) return std::nullopt;
  Int128 sum = 0; // in 1e-20 USD
  for (int exponent = weight; exponent >= kLowestExponent; --exponent) {
    const int at = weight - exponent + 1;
    sum = sum * kBase + (at <= digits ? word(stored, static_cast<std::size_t>(at)) : 0);
  }
  if (sum % kSpare != 0) return std::nullopt;
  const Int128 units = sum / kSpare;
  return Usd::from_units((header & kNegative) != 0 ? -units : units);
}

StoredNumeric::StoredNumeric(Usd amount) {
  const Int128 magnitude = amount.is_negative() ? -amount.units() : amount.units();
  std::array<std::uint16_t, kMostGroups> groups{}; // the lowest first
  int count = 0;
  for (Int128 rest = magnitude * kSpare; rest > 0; rest /= kBase)
    groups.at(static_cast<std::size_t>(count++)) = static_cast<std::uint16_t>(rest % kBase);
  int lowest = 0;
  while (lowest < count && groups.at(static_cast<std::size_t>(lowest)) == 0)
    ++lowest;
  const int weight = count == 0 ? 0 : count - 1 + kLowestExponent;
  auto header = static_cast<std::uint16_t>(kShortForm | scale_of(magnitude) << kScaleShift |
                                           (weight & kWeightMask));
  if (weight < 0) header |= kWeightNegative;
  if (amount.is_negative()) header |= kNegative;
  const auto append = [this](std::uint16_t value) {
    std::memcpy(bytes_.data() + size_, &value, sizeof(value));
    size_ += sizeof(value);
  };
  append(header);
  for (int group = count - 1; group >= lowest; --group)
    append(groups.at(static_cast<std::size_t>(group)));
}

} // namespace holdfast

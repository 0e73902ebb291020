#include "extension/core/numeric_format.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace holdfast {
namespace {

std::string stored(const std::vector<std::uint16_t>& words) {
  std::string bytes;
  for (const std::uint16_t word : words)
    bytes.append(reinterpret_cast<const char*>(&word), sizeof(word));
  return bytes;
}

std::string read(const std::vector<std::uint16_t>& words) {
  const std::optional<Usd> amount = read_numeric(stored(words));
  return amount ? amount->str() : "not read";
}

std::string made(const char* decimal) {
  return std::string(StoredNumeric(Usd::parse(decimal).value()).bytes());
}

// The words are those that PostgreSQL 15 stores for these values (pageinspect).
struct Stored {
  const char* decimal;
  std::vector<std::uint16_t> words;
};
const Stored kStored[] = {
    {"0", {0x8000}},
    {"1", {0x8000, 1}},
    {"-1", {0xA000, 1}},
    {"10000", {0x8001, 1}},
    {"12345.6789", {0x8201, 1, 2345, 6789}},
    {"0.00045", {0x82FF, 4, 5000}},
    {"0.5", {0x80FF, 5000}},
    {"-0.000000000000000001", {0xA97B, 100}},
    {"999999999999999.999999999999999999",
     {0x8903, 999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9900}},
};

TEST(NumericFormat, ReadsWhatPostgresqlStores) {
  for (const Stored& known : kStored)
    EXPECT_EQ(read(known.words), known.decimal);
}

TEST(NumericFormat, MakesWhatPostgresqlStores) {
  for (const Stored& known : kStored)
    EXPECT_EQ(made(known.decimal), stored(known.words)) << known.decimal;
}

TEST(NumericFormat, LeavesOtherFormsToTheirText) {
  EXPECT_EQ(read({}), "not read");
  EXPECT_EQ(read({0xC000}), "not read");       // NaN
  EXPECT_EQ(read({0xD000}), "not read");       // Infinity
  EXPECT_EQ(read({0x0000, 0, 1}), "not read"); // the long form
  EXPECT_EQ(read({0x897B, 1}), "not read");    // 1e-20: more than 18 decimals
  EXPECT_EQ(read({0x8A7A, 1}), "not read");    // 1e-24
  EXPECT_EQ(read({0x8004, 1}), "not read");    // 1e16
  EXPECT_EQ(read({0x803F, 9999}), "not read"); // 1e252
}

TEST(NumericFormat, ReadsWhatItMakes) {
  std::mt19937_64 random(20261121);
  for (int i = 0; i < 100'000; ++i) {
    const int digits = static_cast<int>(random() % 33) + 1; // below 1e15 USD
    Int128 units = 0;
    for (int digit = 0; digit < digits; ++digit)
      units = units * 10 + static_cast<int>(random() % 10);
    const Usd amount = Usd::from_units(random() % 2 == 0 ? units : -units);
    const std::optional<Usd> again = read_numeric(StoredNumeric(amount).bytes());
    ASSERT_TRUE(again) << amount.str();
    ASSERT_EQ(again->str(), amount.str());
  }
}

TEST(NumericFormat, MakesTheLargestAmounts) {
  EXPECT_EQ(made("100000000000000000"), stored({0x8004, 10}));
  EXPECT_EQ(made("-99999999999999999.5"), stored({0xA084, 9, 9999, 9999, 9999, 9999, 5000}));
}

} // namespace
} // namespace holdfast

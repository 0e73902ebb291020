#include "extension/core/usd.hpp"

#include "extension/core/error.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

std::string round_trip(const std::string& text) {
  const std::optional<Usd> amount = Usd::parse(text);
  return amount ? amount->str() : "refused";
}

TEST(Usd, ReadsAndWritesDecimalText) {
  EXPECT_EQ(round_trip("0"), "0");
  EXPECT_EQ(round_trip("-0"), "0");
  EXPECT_EQ(round_trip("12.5"), "12.5");
  EXPECT_EQ(round_trip("-12.50"), "-12.5");
  EXPECT_EQ(round_trip("0.000000075"), "0.000000075");
  EXPECT_EQ(round_trip(".5"), "0.5");
  EXPECT_EQ(round_trip("5."), "5");
  EXPECT_EQ(round_trip("0.000000000000000001"), "0.000000000000000001");
  EXPECT_EQ(round_trip("100000000000000000"), "100000000000000000");
  EXPECT_EQ(round_trip("0.1000000000000000000000"), "0.1");
  EXPECT_EQ(round_trip("00012"), "12");
}

TEST(Usd, RefusesWhatIsNoAmount) {
  for (const char* text :
       {"", "-", ".", "NaN", "Infinity", "-Infinity", "1e5", "1,5", " 1", "1 ", "+1", "--1",
        "1.2.3", "0x1", "0.0000000000000000001", "100000000000000000.1", "100000000000000001",
        "99999999999999999999999999999999999999999999"})
    EXPECT_EQ(round_trip(text), "refused") << text;
}

TEST(Usd, AddsExactlyWhereFloatsDoNot) {
  Usd sum;
  for (int i = 0; i < 1000000; ++i)
    sum += *Usd::parse("0.1");
  EXPECT_EQ(sum.str(), "100000");
  EXPECT_EQ((*Usd::parse("0.1") + *Usd::parse("0.2")).str(), "0.3");
  EXPECT_EQ((*Usd::parse("0.1") - *Usd::parse("0.3")).str(), "-0.2");
}

TEST(Usd, RefusesSumsBeyondItsBound) {
  const Usd most = Usd::whole(100'000'000'000'000'000);
  EXPECT_THROW(most + Usd::from_units(1), Error);
  EXPECT_THROW(-most - Usd::from_units(1), Error);
  EXPECT_THROW(Usd::whole(100'000'000'000'000'001), Error);
  EXPECT_EQ((most - most).str(), "0");
}

TEST(Usd, RoundTripsAnyAmount) {
  std::mt19937_64 random(20260101);
  for (int i = 0; i < 10000; ++i) {
    const Int128 units =
        (static_cast<Int128>(random() >> 16) << 60) % (Int128{1} << 109) - (Int128{1} << 108);
    const Usd amount = Usd::from_units(units);
    ASSERT_EQ(Usd::parse(amount.str()), amount) << amount.str();
  }
}

} // namespace
} // namespace holdfast

// What would break: a number that Redis refuses is accepted, or the other way round.
#include "server/number.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace orrery::server {
namespace {

std::string Format(int64_t value) {
  std::array<char, kIntegerTextMax> text;
  return {text.data(), FormatInteger(value, text)};
}

TEST(NumberTest, ReadsBackWhatItWrites) {
  for (const int64_t value :
       {int64_t{0}, int64_t{7}, int64_t{-1}, int64_t{1'000'000},
        std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(ParseInteger(Format(value)), value);
  }
  EXPECT_EQ(Format(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
}

TEST(NumberTest, RefusesWhatIsNotCanonical) {
  for (const char* text :
       {"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "1e3", "one", "--1", "00",
        "9223372036854775808", "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_EQ(ParseInteger(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseInteger(std::string_view("1\0", 2)), std::nullopt);
}

std::string FormatOf(long double value) {
  std::array<char, kFloatTextMax> text;
  return {text.data(), FormatFloat(value, text)};
}

TEST(NumberTest, ParsesFloatsAsStrtold) {
  EXPECT_EQ(ParseFloat("0"), 0.0L);
  EXPECT_EQ(ParseFloat("-0"), 0.0L);
  EXPECT_EQ(ParseFloat("3.25"), 3.25L);
  EXPECT_EQ(ParseFloat("+.5"), 0.5L);
  EXPECT_EQ(ParseFloat("-12."), -12.0L);
  EXPECT_EQ(ParseFloat("5.0e3"), 5000.0L);
  EXPECT_EQ(ParseFloat("1E-2"), 0.01L);
  EXPECT_EQ(ParseFloat("0x1F"), 31.0L);
  EXPECT_EQ(ParseFloat("0.1"), 0.1L);  // And not the double.
  EXPECT_EQ(ParseFloat("inf"), std::numeric_limits<long double>::infinity());
  EXPECT_EQ(ParseFloat("-Infinity"), -std::numeric_limits<long double>::infinity());
  // A long double goes far beyond a double.
  EXPECT_EQ(ParseFloat("1e4000"), 1e4000L);
}

TEST(NumberTest, RefusesWhatIsNoFloat) {
  for (const char* text :
       {"",   " 1", "\t1", "\n1", "1 ",  "1x",   "x",      ".",      "-",       "+",
        "e5", "1e", "--1", "1,5", "nan", "-nan", "NAN(1)", "1e5000", "-1e5000", "1e-6000"}) {
    EXPECT_EQ(ParseFloat(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseFloat(std::string_view("1\0", 2)), std::nullopt);
}

TEST(NumberTest, ParsesFloatsUpToTheLongest) {
  const std::string longest = std::string(kFloatTextMax - 2, '0') + "7";
  EXPECT_EQ(ParseFloat(longest), 7.0L);
  EXPECT_EQ(ParseFloat("0" + longest), std::nullopt);
}

TEST(NumberTest, FormatsFloatsWithoutZerosAtTheEnd) {
  EXPECT_EQ(FormatOf(0.0L), "0");
  EXPECT_EQ(FormatOf(-0.0L), "0");
  EXPECT_EQ(FormatOf(-1e-18L), "0");
  EXPECT_EQ(FormatOf(100.0L), "100");
  EXPECT_EQ(FormatOf(-3.5L), "-3.5");
  EXPECT_EQ(FormatOf(10.6L), "10.6");
  EXPECT_EQ(FormatOf(5.0e3L), "5000");
  EXPECT_EQ(FormatOf(1e-17L), "0.00000000000000001");
  EXPECT_EQ(FormatOf(3.0L / 7), "0.42857142857142857");
}

TEST(NumberTest, FormatsTheLargestFloats) {
  const std::string largest = FormatOf(std::numeric_limits<long double>::max());
  EXPECT_EQ(largest.size(), 4933u);
  EXPECT_EQ(ParseFloat(largest), std::numeric_limits<long double>::max());
  EXPECT_EQ(FormatOf(std::numeric_limits<long double>::lowest()), "-" + largest);
}

}  // namespace
}  // namespace orrery::server

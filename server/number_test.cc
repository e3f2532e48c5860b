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

}  // namespace
}  // namespace orrery::server

// What would break: a person at telnet gets another command than with Redis.
#include "server/inline_split.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::server {
namespace {

using Arguments = std::vector<std::string>;

std::optional<Arguments> Split(std::string_view line) {
  std::string text;
  std::vector<std::pair<size_t, size_t>> places;
  const bool balanced =
      SplitInline(line, text, [&](size_t begin, size_t end) { places.emplace_back(begin, end); });
  if (!balanced) return std::nullopt;
  Arguments arguments;
  for (const auto& [begin, end] : places) arguments.push_back(text.substr(begin, end - begin));
  return arguments;
}

TEST(InlineSplitTest, SplitsAtSpaces) {
  EXPECT_EQ(Split(""), Arguments());
  EXPECT_EQ(Split(" \t "), Arguments());
  EXPECT_EQ(Split("  set a\t b "), (Arguments{"set", "a", "b"}));
  // Vertical space is skipped before an argument and does not end one.
  EXPECT_EQ(Split("ping\vfoo \vbar"), (Arguments{"ping\vfoo", "bar"}));
}

TEST(InlineSplitTest, DecodesQuotes) {
  EXPECT_EQ(Split(R"("a b" 'c d' "" '')"), (Arguments{"a b", "c d", "", ""}));
  EXPECT_EQ(Split(R"("\x41\x4g\n\r\t\b\a\q\"\\")"),
            (Arguments{std::string("A") + "x4g\n\r\t\b\aq\"\\"}));
  EXPECT_EQ(Split(R"('a\'b\n"')"), (Arguments{R"(a'b\n")"}));
  EXPECT_EQ(Split(R"(foo"b ar")"), (Arguments{"foob ar"}));
  EXPECT_EQ(Split(R"("\x00")"), (Arguments{std::string(1, '\0')}));
}

TEST(InlineSplitTest, RefusesUnbalancedQuotes) {
  for (const char* line :
       {R"("a)", R"('a)", R"(")", R"("a"b)", R"('a'b)", R"("a\")", R"("a\)", R"(a "b" "c"'d')"}) {
    EXPECT_EQ(Split(line), std::nullopt) << line;
  }
}

TEST(InlineSplitTest, StopsAtAZeroByte) {
  EXPECT_EQ(Split(std::string_view("ping\0 a", 7)), (Arguments{"ping"}));
  EXPECT_EQ(Split(std::string_view("ping \"a\0\"", 9)), std::nullopt);
}

}  // namespace
}  // namespace orrery::server

// What would break: an option in capitals is refused, a pattern picks other names than Redis.
#include "server/text.h"

#include <gtest/gtest.h>

#include <string>

namespace orrery::server {
namespace {

TEST(TextTest, ComparesWithoutCase) {
  EXPECT_TRUE(EqualsIgnoreCase("KeepTTL", "keepttl"));
  EXPECT_FALSE(EqualsIgnoreCase("keepttl", "keepttx"));
  EXPECT_FALSE(EqualsIgnoreCase("keep", "keepttl"));
  // Only letters have a case: '[' and '{' differ by the same bit.
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_EQ(ToUpper("a-z"), "A-Z");
  EXPECT_EQ(ToLower("A-Z"), "a-z");
}

TEST(TextTest, ShowsACString) {
  EXPECT_EQ(AsCString("abcdef", 3), "abc");
  EXPECT_EQ(AsCString(std::string_view("a\0b", 3), 128), "a");
}

bool Matches(std::string_view pattern, std::string_view text) {
  return MatchesPattern(pattern, text, LetterCase::kMatters);
}

TEST(TextTest, MatchesPatterns) {
  EXPECT_TRUE(Matches("", ""));
  EXPECT_FALSE(Matches("*", ""));
  EXPECT_TRUE(Matches("*", "abc"));
  EXPECT_TRUE(Matches("a*c", "abbc"));
  EXPECT_TRUE(Matches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(Matches("a*b*c", "aXbYbZ"));
  EXPECT_TRUE(Matches("h?llo", "hello"));
  EXPECT_FALSE(Matches("h?llo", "hllo"));
  EXPECT_TRUE(Matches("h[ae]llo", "hallo"));
  EXPECT_FALSE(Matches("h[ae]llo", "hillo"));
  EXPECT_TRUE(Matches("h[^e]llo", "hallo"));
  EXPECT_FALSE(Matches("h[^e]llo", "hello"));
  EXPECT_TRUE(Matches("h[a-c]llo", "hbllo"));
  EXPECT_TRUE(Matches("h[c-a]llo", "hbllo"));
  EXPECT_TRUE(Matches("[\\]]", "]"));
  EXPECT_TRUE(Matches("\\*", "*"));
  EXPECT_FALSE(Matches("\\*", "a"));
  EXPECT_TRUE(Matches("a\\", "a\\"));
  EXPECT_TRUE(Matches("[abc", "b"));
  EXPECT_FALSE(Matches("abc", "ab"));
  EXPECT_FALSE(Matches("ab", "abc"));
  EXPECT_FALSE(Matches("ABC", "abc"));
  EXPECT_TRUE(MatchesPattern("MAX*", "maxmemory", LetterCase::kIgnored));
  EXPECT_TRUE(IsPattern("a*") && IsPattern("a?") && IsPattern("[a]"));
  EXPECT_FALSE(IsPattern("maxmemory-policy"));
}

TEST(TextTest, AMaliciousPatternTakesNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "a*";
  EXPECT_FALSE(Matches(pattern + "b", std::string(10'000, 'a')));
}

}  // namespace
}  // namespace orrery::server

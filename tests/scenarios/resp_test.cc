// What would break: the simulated client would send something else than the plan says, or cut the
// server's replies at the wrong byte and blame the server.
#include "tests/scenarios/resp.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace orrery::scenarios {
namespace {

using std::string_literals::operator""s;

TEST(EncodeArray, CountsBytesNotCharacters) {
  EXPECT_EQ(EncodeArray({"GET", "a\r\nb"}), "*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
  EXPECT_EQ(EncodeArray({"ECHO", ""}), "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
  EXPECT_EQ(EncodeArray({"ECHO", "\0"s}), "*2\r\n$4\r\nECHO\r\n$1\r\n\0\r\n"s);
}

TEST(EncodeInline, QuotesWhatNeedsIt) {
  EXPECT_EQ(EncodeInline({"SET", "k", "plain"}, InlineStyle::kDouble), "SET k plain\r\n");
  EXPECT_EQ(EncodeInline({"SET", "", "a b"}, InlineStyle::kDouble), "SET \"\" \"a b\"\r\n");
  EXPECT_EQ(EncodeInline({"SET", "\"\\", "\r\n\0\xff"s}, InlineStyle::kDouble),
            "SET \"\\\"\\\\\" \"\\x0d\\n\\x00\\xff\"\r\n");
  EXPECT_EQ(EncodeInline({"SET", "a b", "it's"}, InlineStyle::kSingle), "SET 'a b' 'it\\'s'\n");
  EXPECT_EQ(EncodeInline({"SET", "a\nb"}, InlineStyle::kSingle), "SET \"a\\nb\"\n");
}

TEST(ReplyLength, FindsTheEndOfEveryTypeAtTheLastByteOnly) {
  for (const std::string& reply :
       {"+OK\r\n"s, "-ERR no\r\n"s, ":-42\r\n"s, "$-1\r\n"s, "$0\r\n\r\n"s, "$5\r\na\r\nbc\r\n"s,
        "*-1\r\n"s, "*0\r\n"s, "*2\r\n$1\r\na\r\n*1\r\n:1\r\n"s, "_\r\n"s, "#t\r\n"s, ",1.5\r\n"s,
        "(123\r\n"s, "%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n"s, "~1\r\n+a\r\n"s, "=7\r\ntxt:abc\r\n"s,
        ">2\r\n+a\r\n$-1\r\n"s, "!3\r\nERR\r\n"s}) {
    for (size_t length = 0; length < reply.size(); ++length) {
      const auto found = ReplyLength(std::string_view(reply).substr(0, length));
      ASSERT_TRUE(found.has_value()) << found.error();
      EXPECT_EQ(*found, 0u) << Printable(reply) << " cut to " << length;
    }
    const auto found = ReplyLength(reply + "+next\r\n");
    ASSERT_TRUE(found.has_value()) << found.error();
    EXPECT_EQ(*found, reply.size()) << Printable(reply);
  }
}

TEST(ReplyLength, RefusesWhatIsNoReply) {
  for (const std::string& bytes : {"OK\r\n"s, "\r\n"s, "$x\r\n"s, "*1x\r\n"s, "$-2\r\n"s, ":\r\n"s,
                                   "$1\r\nabc"s, "*1\r\n*1\r\nOK"s}) {
    EXPECT_FALSE(ReplyLength(bytes).has_value()) << Printable(bytes);
  }
  std::string deep;
  for (int depth = 0; depth < 40; ++depth) deep += "*1\r\n";
  EXPECT_FALSE(ReplyLength(deep).has_value());
}

TEST(IntegerIn, ReadsIntegersAndNothingElse) {
  EXPECT_EQ(IntegerIn(":42\r\n"), 42);
  EXPECT_EQ(IntegerIn(":-9223372036854775808\r\n"), INT64_MIN);
  EXPECT_FALSE(IntegerIn("+42\r\n").has_value());
  EXPECT_FALSE(IntegerIn(":42").has_value());
  EXPECT_FALSE(IntegerIn(":4 2\r\n").has_value());
}

TEST(Printable, EscapesAndCuts) {
  EXPECT_EQ(Printable("a\r\n\x01"), "'a\\r\\n\\x01'");
  EXPECT_EQ(Printable("abcdef", 3), "'abc'... (6 bytes)");
}

}  // namespace
}  // namespace orrery::scenarios

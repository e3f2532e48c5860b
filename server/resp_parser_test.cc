// What would break: a frame that is cut somewhere becomes another command, a length that was only
// announced takes memory, a frame that trickles in is read again from its start every time.
#include "server/resp_parser.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::server {
namespace {

using Arguments = std::vector<std::string>;

// What came out of a stream.
struct Outcome {
  std::vector<Arguments> commands;
  std::string error;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  for (const Arguments& command : outcome.commands) {
    for (const std::string& argument : command) *out << "[" << argument << "]";
    *out << "\n";
  }
  *out << "error: " << outcome.error;
}

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  PrintTo(outcome, &out);
  return out;
}

std::string Encode(const Arguments& arguments) {
  std::string frame = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    frame += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return frame;
}

// Feeds a stream as a connection does: what a call leaves is moved elsewhere and appended to. With
// `apart`, bulks that have not arrived as a whole are put together elsewhere and supplied.
class Feeder {
 public:
  explicit Feeder(bool apart = false) : apart_(apart) {}

  void Feed(std::string_view piece) {
    if (!outcome_.error.empty()) return;
    if (apart_ && !FeedBody(piece)) return;
    FeedFrame(piece);
    if (apart_ && outcome_.error.empty()) OpenBody();
  }

  const Outcome& outcome() const { return outcome_; }
  const std::string& unread() const { return unread_; }
  RespParser& parser() { return parser_; }

 private:
  void OpenBody() {
    const auto bulk = parser_.open_bulk();
    if (!bulk || bulk->bytes == 0) return;
    body_ = unread_.substr(bulk->offset, bulk->bytes);
    body_bytes_ = bulk->bytes;
    if (unread_.size() > bulk->offset + body_.size()) return;  // It is there, and a byte behind it.
    unread_.resize(bulk->offset);
    body_open_ = true;
    std::string_view nothing;
    (void)FeedBody(nothing);
  }

  // Takes what belongs to the body off `piece`. False: the body is not complete.
  bool FeedBody(std::string_view& piece) {
    if (!body_open_) return true;
    const size_t part = std::min(piece.size(), body_bytes_ - body_.size());
    body_ += piece.substr(0, part);
    piece.remove_prefix(part);
    if (body_.size() < body_bytes_) return false;
    body_open_ = false;
    parser_.SupplyBulk(SharedBytes::Copy(body_));
    EXPECT_FALSE(parser_.open_bulk());
    EXPECT_GE(parser_.supplied_bytes(), body_bytes_);
    return true;
  }

  void FeedFrame(std::string_view piece) {
    // Memory of its own, exactly as long as what there is to read: a sanitizer sees any step
    // beyond.
    const size_t size = unread_.size() + piece.size();
    auto input = std::make_unique<char[]>(size);
    std::copy(unread_.begin(), unread_.end(), input.get());
    std::copy(piece.begin(), piece.end(), input.get() + unread_.size());
    std::string_view rest(input.get(), size);
    const Command* before = nullptr;
    for (size_t number = 0;; ++number) {
      Command& command = commands_[number % commands_.size()];
      ParseResult result{.status = ParseStatus::kCommand};
      if (before != nullptr) {
        result.consumed_bytes = RespParser::ParseLike(*before, rest, limits_, command);
      }
      const bool is_like = result.consumed_bytes > 0;
      if (!is_like) result = parser_.Parse(rest, limits_, command);
      ASSERT_LE(result.consumed_bytes, rest.size());
      rest.remove_prefix(result.consumed_bytes);
      if (result.status == ParseStatus::kNeedMore) break;
      if (result.status == ParseStatus::kError) {
        outcome_.error = ProtocolErrorText(result);
        return;
      }
      ASSERT_GT(result.consumed_bytes, 0u);
      ASSERT_FALSE(command.empty());
      if (is_like) {
        ASSERT_EQ(command[0], (*before)[0]);
        ASSERT_EQ(command.size(), before->size());
      }
      Arguments& arguments = outcome_.commands.emplace_back();
      for (size_t i = 0; i < command.size(); ++i) {
        arguments.emplace_back(command[i]);
        const SharedBytes* body = command.BodyAt(i);
        ASSERT_TRUE(body == nullptr || body->view() == command[i]);
      }
      before = &command;
    }
    ASSERT_EQ(parser_.in_frame(), !rest.empty());
    unread_ = rest;
  }

  bool apart_;
  bool body_open_ = false;
  std::string body_;
  size_t body_bytes_ = 0;
  ParserLimits limits_;
  RespParser parser_;
  std::array<Command, 2> commands_;
  std::string unread_;
  Outcome outcome_;
};

Outcome ParseWhole(std::string_view stream) {
  Feeder feeder;
  feeder.Feed(stream);
  return feeder.outcome();
}

Outcome ParseBytewise(std::string_view stream) {
  Feeder feeder;
  for (const char& byte : stream) feeder.Feed({&byte, 1});
  return feeder.outcome();
}

Outcome ParseWithBodiesApart(std::string_view stream, size_t piece) {
  Feeder feeder(/*apart=*/true);
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    feeder.Feed(stream.substr(0, piece));
  }
  return feeder.outcome();
}

// All ways of feeding must agree.
Outcome Parse(std::string_view stream) {
  const Outcome whole = ParseWhole(stream);
  EXPECT_EQ(whole, ParseBytewise(stream));
  for (const size_t piece : {1, 2, 3, 7}) EXPECT_EQ(whole, ParseWithBodiesApart(stream, piece));
  return whole;
}

Outcome Failed(std::string error, std::vector<Arguments> before = {}) {
  return {.commands = std::move(before), .error = "Protocol error: " + error};
}

TEST(RespParserTest, ReadsArraysAndLines) {
  EXPECT_EQ(Parse(Encode({"GET", "key"})), (Outcome{.commands = {{"GET", "key"}}, .error = ""}));
  // One like the one before, and others that begin like it.
  EXPECT_EQ(
      Parse(Encode({"GET", "a"}) + Encode({"GET", "bc"}) + Encode({"GEX", "d"}) +
            Encode({"GET", "e", "f"}) + Encode({"GET"}) + Encode({"GET"})),
      (Outcome{.commands =
                   {{"GET", "a"}, {"GET", "bc"}, {"GEX", "d"}, {"GET", "e", "f"}, {"GET"}, {"GET"}},
               .error = ""}));
  EXPECT_EQ(Parse("PING\r\nECHO \"a b\"\n"),
            (Outcome{.commands = {{"PING"}, {"ECHO", "a b"}}, .error = ""}));
  const std::string binary("\0\r\n$3\xff", 6);
  EXPECT_EQ(Parse(Encode({"SET", binary, ""})),
            (Outcome{.commands = {{"SET", binary, ""}}, .error = ""}));
}

TEST(RespParserTest, KnowsACommandLikeTheOneBeforeIt) {
  RespParser parser;
  Command before;
  Command command;
  // Whether the second is read as one like the first.
  const auto repeats = [&](const Arguments& first, const Arguments& second) {
    const std::string stream = Encode(first) + Encode(second);
    const ParseResult result = parser.Parse(stream, {}, before);
    const std::string_view rest = std::string_view(stream).substr(result.consumed_bytes);
    for (size_t bytes = 0; bytes < rest.size(); ++bytes) {
      EXPECT_EQ(RespParser::ParseLike(before, rest.substr(0, bytes), {}, command), 0u);
    }
    if (RespParser::ParseLike(before, rest, {}, command) == 0) return false;
    for (size_t i = 0; i < second.size(); ++i) EXPECT_EQ(command[i], second[i]);
    return true;
  };
  EXPECT_TRUE(repeats({"GET", "a"}, {"GET", "another"}));
  EXPECT_TRUE(repeats({"PING"}, {"PING"}));
  EXPECT_TRUE(repeats({"INCRBYFLOAT", "a", "1"}, {"INCRBYFLOAT", "b", "2"}));
  EXPECT_FALSE(repeats({"GET", "a"}, {"get", "a"}));
  EXPECT_FALSE(repeats({"SET", "a", "1"}, {"SET", "a", "1", "NX"}));
  EXPECT_FALSE(repeats({"MGET", "a"}, {"MSET", "a"}));
}

TEST(RespParserTest, ASuppliedBodyIsTheArgumentAndSurvivesARewind) {
  RespParser parser;
  Command command;
  const std::string head = "*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$5\r\n";
  EXPECT_FALSE(parser.open_bulk());
  EXPECT_EQ(parser.Parse(head + "va", {}, command).status, ParseStatus::kNeedMore);
  ASSERT_TRUE(parser.open_bulk());
  EXPECT_EQ(parser.open_bulk()->offset, head.size());
  EXPECT_EQ(parser.open_bulk()->bytes, 5u);
  const SharedBytes body = SharedBytes::Copy("value");
  parser.SupplyBulk(body);
  EXPECT_EQ(parser.supplied_bytes(), 5u);
  const std::string frame = head + "\r\n$1\r\nb\r\n";
  EXPECT_EQ(parser.Parse(head + "\r", {}, command).status, ParseStatus::kNeedMore);
  const std::string stream = frame + "PING\r\n";
  for (int round = 0; round < 2; ++round) {
    const ParseResult result = parser.Parse(stream, {}, command);
    ASSERT_EQ(result.status, ParseStatus::kCommand);
    EXPECT_EQ(result.consumed_bytes, frame.size());
    ASSERT_EQ(command.size(), 4u);
    EXPECT_EQ(command[1], "a");
    EXPECT_EQ(command[2], "value");
    EXPECT_EQ(command[3], "b");
    ASSERT_NE(command.BodyAt(2), nullptr);
    EXPECT_EQ(command.BodyAt(2)->data(), body.data());
    EXPECT_EQ(command.BodyAt(1), nullptr);
    if (round == 0) parser.Rewind(command);
  }
  command.DropBodies();
  EXPECT_TRUE(body.unique());
}

TEST(RespParserTest, SkipsEmptyCommands) {
  EXPECT_EQ(Parse("*0\r\n*-1\r\n*-10\r\n\r\n\n  \r\nPING\r\n"),
            (Outcome{.commands = {{"PING"}}, .error = ""}));
  // What was skipped is consumed even when no command follows.
  Feeder feeder;
  feeder.Feed("*0\r\n\r\n*");
  EXPECT_EQ(feeder.unread(), "*");
}

TEST(RespParserTest, LooksAtTheSameBytesAsRedis) {
  // The byte behind '\r' of a count, and the two behind a bulk, may be anything.
  EXPECT_EQ(Parse("*1\rX$4\rYPINGab"), (Outcome{.commands = {{"PING"}}, .error = ""}));
}

TEST(RespParserTest, AnswersMalformedFramesWithRedissErrors) {
  EXPECT_EQ(Parse("*abc\r\n"), Failed("invalid multibulk length"));
  for (const char* count : {"", "-", "-0", "01", "+1", "1 ", "1048577", "99999999999999999999"}) {
    EXPECT_EQ(Parse("*" + std::string(count) + "\r\n"), Failed("invalid multibulk length"))
        << count;
  }
  EXPECT_EQ(Parse("*1\r\n!3\r\nfoo\r\n"), Failed("expected '$', got '!'"));
  EXPECT_EQ(Parse("*1\r\n\r3\r\nfoo\r\n"), Failed("expected '$', got '\r'"));
  EXPECT_EQ(Parse(std::string_view("*1\r\n\0\r\n", 7)), Failed("expected '$', got '"));
  for (const char* length : {"", "-1", "04", "+4", "x", "536870913"}) {
    EXPECT_EQ(Parse("*1\r\n$" + std::string(length) + "\r\n"), Failed("invalid bulk length"))
        << length;
  }
  EXPECT_EQ(Parse("PING \"a\r\n"), Failed("unbalanced quotes in request"));
  EXPECT_EQ(Parse("PING 'a'b\r\n"), Failed("unbalanced quotes in request"));
  EXPECT_EQ(Parse(Encode({"PING"}) + "*q\r\n" + Encode({"PING"})),
            Failed("invalid multibulk length", {{"PING"}}));
}

TEST(RespParserTest, BoundsEveryLine) {
  const std::string line(RespParser::kLineBytesMax + 1, '1');
  EXPECT_EQ(ParseWhole("x" + line), Failed("too big inline request"));
  EXPECT_EQ(ParseWhole("*" + line), Failed("too big mbulk count string"));
  EXPECT_EQ(ParseWhole("*1\r\n$" + line), Failed("too big bulk count string"));
  // A line of exactly the limit is read.
  EXPECT_EQ(ParseWhole(line.substr(1) + "\n").commands.size(), 1u);
  // The same for one that trickles in.
  RespParser parser;
  Command command;
  const std::string stream = "*" + line;
  for (size_t end = 1; end <= RespParser::kLineBytesMax; ++end) {
    ASSERT_EQ(parser.Parse(std::string_view(stream).substr(0, end), {}, command).status,
              ParseStatus::kNeedMore);
  }
  EXPECT_EQ(parser.Parse(stream, {}, command).error, ProtocolError::kTooBigMultibulkCount);
}

TEST(RespParserTest, AcceptsTheLargestCountsAndLengths) {
  Feeder feeder;
  feeder.Feed("*1048576\r\n$536870912\r\nabc");
  EXPECT_EQ(feeder.outcome(), Outcome());
  EXPECT_EQ(feeder.parser().missing_bytes(), 536870912u + 2 - 3);
}

TEST(RespParserTest, TheLengthOfABulkIsALimitOfTheCaller) {
  RespParser parser;
  Command command;
  const std::string frame = Encode({"12345"});
  EXPECT_EQ(parser.Parse(frame, {.bulk_bytes_max = 5}, command).status, ParseStatus::kCommand);
  EXPECT_EQ(parser.Parse(frame, {.bulk_bytes_max = 4}, command).error,
            ProtocolError::kInvalidBulkLength);
}

// These would not end in the time of a test if a call looked at old bytes again.
TEST(RespParserTest, ReadsATrickledFrameInLinearTime) {
  std::string many = "*" + std::to_string(RespParser::kArgumentsMax) + "\r\n";
  for (size_t i = 0; i < RespParser::kArgumentsMax; ++i) many += "$1\r\na\r\n";
  RespParser parser;
  Command command;
  const std::string_view stream(many);
  for (size_t end = 5; end < stream.size(); end += 5) {
    ASSERT_EQ(parser.Parse(stream.substr(0, end), {}, command).status, ParseStatus::kNeedMore);
  }
  ASSERT_EQ(parser.Parse(stream, {}, command).status, ParseStatus::kCommand);
  EXPECT_EQ(command.size(), RespParser::kArgumentsMax);

  const std::string large = Encode({"SET", "key", std::string(2 * kMiB, 'x')});
  for (size_t end = 1; end < large.size(); ++end) {
    ASSERT_EQ(parser.Parse(std::string_view(large).substr(0, end), {}, command).status,
              ParseStatus::kNeedMore);
  }
  EXPECT_EQ(parser.Parse(large, {}, command).status, ParseStatus::kCommand);
}

TEST(RespParserTest, MemoryGrowsWithWhatHasComeNotWithWhatIsAnnounced) {
  RespParser parser;
  Command command;
  EXPECT_EQ(parser.memory_bytes(), 0U);
  EXPECT_EQ(parser.Parse("*1048576\r\n$3\r\nGET\r\n", {}, command).status, ParseStatus::kNeedMore);
  EXPECT_GT(parser.memory_bytes(), 0U);
  EXPECT_LT(parser.memory_bytes(), 1000U);
}

TEST(RespParserTest, ForgetsAnUnfinishedFrameOnRewind) {
  RespParser parser;
  Command command;
  const std::string frame = Encode({"GET", "key"});
  EXPECT_EQ(parser.Parse(frame.substr(0, 12), {}, command).status, ParseStatus::kNeedMore);
  EXPECT_TRUE(parser.in_frame());
  parser.Rewind(command);
  EXPECT_FALSE(parser.in_frame());
  EXPECT_EQ(parser.Parse(frame, {}, command).consumed_bytes, frame.size());
  EXPECT_EQ(command[1], "key");
}

// --- properties

// Bytes that matter to the protocol come up often.
rc::Gen<std::string> GenBytes() {
  return rc::gen::container<std::string>(
      rc::gen::weightedOneOf<char>({{3, rc::gen::element('*', '$', '\r', '\n', '"', '\'', '\\', ' ',
                                                         '0', '1', '2', '-', 'a', '\0')},
                                    {1, rc::gen::arbitrary<char>()}}));
}

rc::Gen<std::vector<Arguments>> GenCommands() {
  // Up to twelve of twelve of twelve bytes: what matters is where the pieces end.
  return rc::gen::resize(12, rc::gen::container<std::vector<Arguments>>(
                                 rc::gen::nonEmpty(rc::gen::container<Arguments>(GenBytes()))));
}

// An inline line that gives exactly `arguments`.
std::string EncodeInline(const Arguments& arguments) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string line;
  for (const std::string& argument : arguments) {
    line += " \"";
    for (const char byte : argument) {
      const auto value = static_cast<unsigned char>(byte);
      line += {'\\', 'x', kHex[value >> 4], kHex[value & 15]};
    }
    line += '"';
  }
  return line + "\r\n";
}

// Feeds `stream` in pieces whose ends are drawn.
Outcome ParseInPieces(const std::string& stream, std::vector<size_t> cuts) {
  for (size_t& cut : cuts) cut %= stream.size() + 1;
  cuts.push_back(stream.size());
  std::sort(cuts.begin(), cuts.end());
  Feeder feeder;
  size_t begin = 0;
  for (const size_t end : cuts) {
    feeder.Feed(std::string_view(stream).substr(begin, end - begin));
    begin = end;
  }
  return feeder.outcome();
}

RC_GTEST_PROP(RespParserProperty, AnyCommandsCutAnywhereComeOutTheSame, ()) {
  const auto commands = *GenCommands();
  std::string stream;
  for (const Arguments& command : commands) {
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        stream += *rc::gen::element<std::string>("*0\r\n", "*-1\r\n", "\r\n", "\n", "  \n");
        [[fallthrough]];
      case 1:
        stream += EncodeInline(command);
        break;
      default:
        stream += Encode(command);
    }
  }
  const Outcome expected{.commands = commands, .error = ""};
  RC_ASSERT(ParseInPieces(stream, *rc::gen::arbitrary<std::vector<size_t>>()) == expected);
  RC_ASSERT(ParseBytewise(stream) == expected);
}

RC_GTEST_PROP(RespParserProperty, GarbageIsReadTheSameHoweverItIsCut, ()) {
  // Valid beginnings, damaged in places, then garbage.
  std::string stream;
  for (const Arguments& command : *GenCommands()) {
    stream += Encode(command);
  }
  for (const auto& [where, byte] : *rc::gen::arbitrary<std::vector<std::pair<size_t, char>>>()) {
    if (!stream.empty()) stream[where % stream.size()] = byte;
  }
  stream += *GenBytes();
  const Outcome whole = ParseWhole(stream);
  RC_ASSERT(ParseInPieces(stream, *rc::gen::arbitrary<std::vector<size_t>>()) == whole);
  RC_ASSERT(ParseBytewise(stream) == whole);
}

}  // namespace
}  // namespace orrery::server

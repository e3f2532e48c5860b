// What would break: a client notices that this is not Redis. The replies are those of Redis 7.0.15.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

constexpr const char kOk[] = "+OK\r\n";
constexpr const char kNull[] = "$-1\r\n";
constexpr const char kSyntaxError[] = "-ERR syntax error\r\n";
constexpr const char kNotAnInteger[] = "-ERR value is not an integer or out of range\r\n";
constexpr const char kBadExpiry[] = "-ERR invalid expire time in 'set' command\r\n";

class StringCommandsTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }

  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(StringCommandsTest, GetAndSet) {
  EXPECT_EQ(Run("GET key"), kNull);
  EXPECT_EQ(Run("SET key value"), kOk);
  EXPECT_EQ(Run("get key"), "$5\r\nvalue\r\n");
  const std::string binary("\0\r\n$-1\xff", 7);
  EXPECT_EQ(session_.Call({"SET", binary, binary}), kOk);
  EXPECT_EQ(session_.Call({"GET", binary}), "$7\r\n" + binary + "\r\n");
  EXPECT_EQ(Run("SET key \"\""), kOk);
  EXPECT_EQ(Run("GET key"), "$0\r\n\r\n");
}

TEST_F(StringCommandsTest, NullIsOfTheProtocolsVersion) {
  Run("HELLO 3");
  EXPECT_EQ(Run("GET key"), "_\r\n");
  EXPECT_EQ(Run("SET key value NX GET"), "_\r\n");
  EXPECT_EQ(Run("SET key value NX"), "_\r\n");
  EXPECT_EQ(Run("MGET key none"), "*2\r\n$5\r\nvalue\r\n_\r\n");
}

TEST_F(StringCommandsTest, SetUnderConditions) {
  EXPECT_EQ(Run("SET key 1 XX"), kNull);
  EXPECT_EQ(Run("SET key 1 NX"), kOk);
  EXPECT_EQ(Run("SET key 2 NX"), kNull);
  EXPECT_EQ(Run("SET key 3 XX"), kOk);
  EXPECT_EQ(Run("SET key 4 GET"), "$1\r\n3\r\n");
  EXPECT_EQ(Run("SET key 5 NX GET"), "$1\r\n4\r\n");
  EXPECT_EQ(Run("SET key 6 xx get"), "$1\r\n4\r\n");
  EXPECT_EQ(Run("GET key"), "$1\r\n6\r\n");
  EXPECT_EQ(Run("SET none 1 XX GET"), kNull);
  EXPECT_EQ(Run("EXISTS none"), ":0\r\n");
  EXPECT_EQ(Run("SET none 1 NX GET"), kNull);
  EXPECT_EQ(Run("GET none"), "$1\r\n1\r\n");
}

TEST_F(StringCommandsTest, SetWithAnExpiry) {
  EXPECT_EQ(Run("SET key v EX 100"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":100000\r\n");
  EXPECT_EQ(Run("SET key v PX 100"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":100\r\n");
  EXPECT_EQ(Run("SET key v EXAT 1700000001"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":1000\r\n");
  EXPECT_EQ(Run("SET key v PXAT 1700000000002"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":2\r\n");
  EXPECT_EQ(Run("SET key w KEEPTTL"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":2\r\n");
  EXPECT_EQ(Run("SET key w"), kOk);
  EXPECT_EQ(Run("PTTL key"), ":-1\r\n");
  // Repeated is allowed, the last one counts.
  EXPECT_EQ(Run("SET key v EX 100 EX 10"), kOk);
  EXPECT_EQ(Run("TTL key"), ":10\r\n");
  // A time that is over is legal, and the key gone.
  EXPECT_EQ(Run("SET key v EXAT 1"), kOk);
  EXPECT_EQ(Run("GET key"), kNull);
}

TEST_F(StringCommandsTest, SetRefusesWhatContradicts) {
  for (const char* options : {"foo", "EX", "NX XX", "XX NX", "EX 10 PX 10", "EX 10 KEEPTTL",
                              "KEEPTTL EX 10", "PXAT 10 EXAT 10", "GET EX"}) {
    EXPECT_EQ(Run(std::string("SET key v ") + options), kSyntaxError) << options;
  }
  for (const char* options : {"EX abc", "EX 1.5", "PX \"\"", "EX 9223372036854775808"}) {
    EXPECT_EQ(Run(std::string("SET key v ") + options), kNotAnInteger) << options;
  }
  for (const char* options :
       {"EX 0", "EX -1", "PX 0", "EXAT 0", "PXAT -5", "EX 9223372036854775807",
        "EX 9223372036854775", "PX 9223372036854775807", "EXAT 9223372036854775807"}) {
    EXPECT_EQ(Run(std::string("SET key v ") + options), kBadExpiry) << options;
  }
  EXPECT_EQ(Run("EXISTS key"), ":0\r\n");
  EXPECT_EQ(Run("SET key v PXAT 9223372036854775807"), kOk);
  EXPECT_EQ(Run("TTL key"), ":9223370336854776\r\n");
}

TEST_F(StringCommandsTest, Counts) {
  EXPECT_EQ(Run("INCR n"), ":1\r\n");
  EXPECT_EQ(Run("DECR n"), ":0\r\n");
  EXPECT_EQ(Run("DECR n"), ":-1\r\n");
  EXPECT_EQ(Run("GET n"), "$2\r\n-1\r\n");
  EXPECT_EQ(Run("SET n 9223372036854775807 EX 100"), kOk);
  EXPECT_EQ(Run("INCR n"), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(Run("DECR n"), ":9223372036854775806\r\n");
  EXPECT_EQ(Run("TTL n"), ":100\r\n");
  EXPECT_EQ(Run("SET n -9223372036854775808"), kOk);
  EXPECT_EQ(Run("DECR n"), "-ERR increment or decrement would overflow\r\n");
  for (const char* value : {"abc", "\" 1\"", "01", "\"\"", "1.0", "-0", "99999999999999999999"}) {
    EXPECT_EQ(Run(std::string("SET n ") + value), kOk);
    EXPECT_EQ(Run("INCR n"), kNotAnInteger) << value;
  }
}

TEST_F(StringCommandsTest, Appends) {
  EXPECT_EQ(Run("APPEND key Hello"), ":5\r\n");
  EXPECT_EQ(Run("EXPIRE key 100"), ":1\r\n");
  EXPECT_EQ(Run("APPEND key \" World\""), ":11\r\n");
  EXPECT_EQ(Run("GET key"), "$11\r\nHello World\r\n");
  EXPECT_EQ(Run("TTL key"), ":100\r\n");
  EXPECT_EQ(Run("APPEND none \"\""), ":0\r\n");
  EXPECT_EQ(Run("EXISTS none"), ":1\r\n");
  EXPECT_EQ(Run("CONFIG SET proto-max-bulk-len 1mb"), kOk);
  const std::string half(600 * 1024, 'h');
  EXPECT_EQ(session_.Call({"APPEND", "large", half}), ":614400\r\n");
  EXPECT_EQ(session_.Call({"APPEND", "large", half}),
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
}

TEST_F(StringCommandsTest, ManyAtOnce) {
  EXPECT_EQ(Run("MSET a 1 b 2 a 3"), kOk);
  EXPECT_EQ(Run("MGET a none b a"), "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
  EXPECT_EQ(Run("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command\r\n");
  Run("EXPIRE a 100");
  EXPECT_EQ(Run("MSET a 4"), kOk);
  EXPECT_EQ(Run("TTL a"), ":-1\r\n");
  // More keys than are looked up together.
  std::vector<std::string> mset{"MSET"};
  std::vector<std::string> mget{"MGET"};
  std::string expected = "*100\r\n";
  for (int i = 0; i < 100; ++i) {
    const std::string value = std::to_string(i);
    mset.insert(mset.end(), {"key" + value, value});
    mget.push_back("key" + value);
    expected += "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  }
  EXPECT_EQ(session_.Call(mset), kOk);
  EXPECT_EQ(session_.Call(mget), expected);
}

std::string Bulk(const std::string& bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n";
}

// Words of eight bytes, and what is left of the values behind the last.
TEST_F(StringCommandsTest, BitOperationsWorkOnEveryByte) {
  for (const size_t left_bytes : {1, 7, 8, 9, 31}) {
    for (const size_t right_bytes : {1, 8, 15, 16, 40}) {
      const std::string left(left_bytes, '\x35');
      const std::string right(right_bytes, '\x53');
      session_.Call({"MSET", "left", left, "right", right});
      std::string both(std::max(left_bytes, right_bytes), '\0');
      std::string either = both;
      std::string one = both;
      for (size_t i = 0; i < both.size(); ++i) {
        const int a = i < left_bytes ? 0x35 : 0;
        const int b = i < right_bytes ? 0x53 : 0;
        both[i] = static_cast<char>(a & b);
        either[i] = static_cast<char>(a | b);
        one[i] = static_cast<char>(a ^ b);
      }
      session_.Call({"BITOP", "AND", "result", "left", "right"});
      EXPECT_EQ(session_.Call({"GET", "result"}), Bulk(both));
      session_.Call({"BITOP", "OR", "result", "left", "right"});
      EXPECT_EQ(session_.Call({"GET", "result"}), Bulk(either));
      session_.Call({"BITOP", "XOR", "result", "left", "right"});
      EXPECT_EQ(session_.Call({"GET", "result"}), Bulk(one));
      session_.Call({"BITOP", "NOT", "result", "left"});
      EXPECT_EQ(session_.Call({"GET", "result"}), Bulk(std::string(left_bytes, '\xca')));
    }
  }
}

TEST_F(StringCommandsTest, BitsAreFoundBehindTheLastWord) {
  for (size_t bytes = 1; bytes <= 20; ++bytes) {
    session_.Call({"SET", "key", std::string(bytes, '\0')});
    EXPECT_EQ(session_.Run("BITPOS key 1"), ":-1\r\n");
    const std::string last = std::to_string(bytes * 8 - 1);
    session_.Run("SETBIT key " + last + " 1");
    EXPECT_EQ(session_.Run("BITPOS key 1"), ":" + last + "\r\n");
    EXPECT_EQ(session_.Run("BITCOUNT key"), ":1\r\n");
  }
}

// A second key that has expired moves others when it is looked for.
TEST_F(StringCommandsTest, LcsFindsItsFirstKeyBesideOneThatHasExpired) {
  constexpr int kKeys = 1000;
  for (int i = 0; i < kKeys; ++i) session_.Run("SET old" + std::to_string(i) + " value PX 1");
  session_.Run("SET key value");
  server_.context.now_ms += 10;
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(session_.Run("LCS key old" + std::to_string(i)), "$0\r\n\r\n");
  }
  EXPECT_EQ(session_.Run("LCS key key"), "$5\r\nvalue\r\n");
}

}  // namespace
}  // namespace orrery::server

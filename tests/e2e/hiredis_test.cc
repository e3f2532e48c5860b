// hiredis, the C client, used as its documentation shows: formatted commands, binary-safe
// arguments, vectors, pipelining, errors, nested replies. And what Redis dumps is restored here.
//
// What would break: programs written for Redis in C, and the many bindings above hiredis.
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/server_process.h"

namespace orrery::e2e {
namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;
using Context = std::unique_ptr<redisContext, FreeContext>;

Context ConnectTo(const ServerProcess& server) {
  const timeval timeout{.tv_sec = 10, .tv_usec = 0};
  Context context(redisConnectWithTimeout("127.0.0.1", server.port(), timeout));
  if (context != nullptr) redisSetTimeout(context.get(), timeout);
  return context;
}

template <typename... Arguments>
Reply Command(const Context& context, const char* format, Arguments... arguments) {
  return Reply(static_cast<redisReply*>(redisCommand(context.get(), format, arguments...)));
}

std::string Text(const Reply& reply) { return {reply->str, reply->len}; }

class HiredisTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = ServerProcess::StartOrrery({});
    ASSERT_NE(server_, nullptr);
    context_ = ConnectTo(*server_);
    ASSERT_TRUE(context_ != nullptr && context_->err == 0);
  }

  std::unique_ptr<ServerProcess> server_;
  Context context_;
};

TEST_F(HiredisTest, TheExampleOfItsDocumentation) {
  Reply reply = Command(context_, "PING");
  EXPECT_EQ(reply->type, REDIS_REPLY_STATUS);
  EXPECT_EQ(Text(reply), "PONG");
  reply = Command(context_, "SET %s %s", "foo", "hello world");
  EXPECT_EQ(Text(reply), "OK");
  reply = Command(context_, "SET %b %b", "bar", size_t{3}, "he\0lo", size_t{5});
  EXPECT_EQ(Text(reply), "OK");
  reply = Command(context_, "GET foo");
  EXPECT_EQ(reply->type, REDIS_REPLY_STRING);
  EXPECT_EQ(Text(reply), "hello world");
  reply = Command(context_, "GET bar");
  EXPECT_EQ(Text(reply), std::string("he\0lo", 5));
  for (int64_t count = 1; count <= 2; ++count) {
    reply = Command(context_, "INCR counter");
    EXPECT_EQ(reply->type, REDIS_REPLY_INTEGER);
    EXPECT_EQ(reply->integer, count);
  }
  reply = Command(context_, "GET nothing");
  EXPECT_EQ(reply->type, REDIS_REPLY_NIL);
  reply = Command(context_, "MGET foo nothing");
  ASSERT_EQ(reply->type, REDIS_REPLY_ARRAY);
  ASSERT_EQ(reply->elements, 2u);
  EXPECT_EQ(reply->element[1]->type, REDIS_REPLY_NIL);
}

TEST_F(HiredisTest, ErrorsAndArgumentsByVector) {
  const char* words[] = {"SETRANGE", "key", "5", "a b"};
  const size_t lengths[] = {8, 3, 1, 3};
  const Reply set(static_cast<redisReply*>(redisCommandArgv(context_.get(), 4, words, lengths)));
  EXPECT_EQ(set->integer, 8);
  const Reply refused = Command(context_, "INCR key");
  EXPECT_EQ(refused->type, REDIS_REPLY_ERROR);
  EXPECT_EQ(Text(refused), "ERR value is not an integer or out of range");
}

TEST_F(HiredisTest, APipelineAnswersInOrder) {
  constexpr int kCommands = 10'000;
  for (int index = 0; index < kCommands; ++index) {
    redisAppendCommand(context_.get(), "SET key:%d %d", index, index);
    redisAppendCommand(context_.get(), "GET key:%d", index);
  }
  for (int index = 0; index < kCommands; ++index) {
    for (const bool set : {true, false}) {
      void* reply = nullptr;
      ASSERT_EQ(redisGetReply(context_.get(), &reply), REDIS_OK) << context_->errstr;
      const Reply owned(static_cast<redisReply*>(reply));
      ASSERT_EQ(Text(owned), set ? "OK" : std::to_string(index));
    }
  }
}

TEST_F(HiredisTest, ScansEveryKey) {
  for (int index = 0; index < 1000; ++index) Command(context_, "SET key:%d x", index);
  size_t found = 0;
  std::string cursor = "0";
  do {
    const Reply reply = Command(context_, "SCAN %s MATCH key:* COUNT 100", cursor.c_str());
    ASSERT_EQ(reply->elements, 2u);
    cursor = reply->element[0]->str;
    found += reply->element[1]->elements;
  } while (cursor != "0");
  EXPECT_GE(found, 1000u);
}

TEST_F(HiredisTest, OneClientPausesAndKillsAnother) {
  const Context other = ConnectTo(*server_);
  const Reply id = Command(other, "CLIENT ID");
  const Reply list = Command(context_, "CLIENT LIST ID %lld", id->integer);
  EXPECT_NE(Text(list).find(" addr=127.0.0.1:"), std::string::npos) << Text(list);
  EXPECT_NE(Text(list).find(" laddr=127.0.0.1:" + std::to_string(server_->port())),
            std::string::npos);
  // A write waits for the end of the pause; the clock says so.
  EXPECT_EQ(Text(Command(context_, "CLIENT PAUSE 100 WRITE")), "OK");
  const Reply before = Command(context_, "TIME");
  EXPECT_EQ(Text(Command(other, "SET key value")), "OK");
  const Reply after = Command(context_, "TIME");
  const auto in_ms = [](const Reply& time) {
    return std::stoll(time->element[0]->str) * 1000 + std::stoll(time->element[1]->str) / 1000;
  };
  EXPECT_GE(in_ms(after) - in_ms(before), 90);
  EXPECT_EQ(Command(context_, "CLIENT KILL ID %lld", id->integer)->integer, 1);
  EXPECT_EQ(Command(other, "PING"), nullptr);
  EXPECT_EQ(Text(Command(context_, "PING")), "PONG");
}

TEST_F(HiredisTest, RestoresWhatRedisDumpsAndTheOtherWayRound) {
  if (!ServerProcess::HasRedis()) GTEST_SKIP() << "redis-server is not installed";
  const auto redis = ServerProcess::StartRedis({});
  ASSERT_NE(redis, nullptr);
  const Context theirs = ConnectTo(*redis);
  std::vector<std::string> values = {"", "0", "-1", "127", "-129", "70000", "-3000000000", "01"};
  // Redis compresses these.
  values.push_back(std::string(100, 'x'));
  values.push_back(std::string(100'000, 'y') + std::string("\0\xff", 2));
  std::string mixed;
  for (int index = 0; index < 5000; ++index) mixed += std::to_string(index * index % 1000) + ",";
  values.push_back(mixed);
  for (const std::string& value : values) {
    for (const bool from_redis : {true, false}) {
      const Context& from = from_redis ? theirs : context_;
      const Context& to = from_redis ? context_ : theirs;
      Command(from, "SET key %b", value.data(), value.size());
      const Reply dump = Command(from, "DUMP key");
      const Reply restored =
          Command(to, "RESTORE copy 0 %b REPLACE", dump->str, static_cast<size_t>(dump->len));
      ASSERT_EQ(Text(restored), "OK") << from_redis << " " << value.size();
      EXPECT_EQ(Text(Command(to, "GET copy")), value);
    }
  }
}

}  // namespace
}  // namespace orrery::e2e

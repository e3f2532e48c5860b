// What would break: the model would call a right server wrong, or a wrong one right. The rules that
// depend on time are tested here; the rest is also compared with redis-server, in
// sequential_model_redis_test.
#include "tests/scenarios/sequential_model.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace orrery::scenarios {
namespace {

class SequentialModelTest : public testing::Test {
 protected:
  std::string Reply(const std::vector<std::string>& arguments) {
    const Expectation expectation = model_.Execute(connection_, arguments, {.wall_ms = now_ms_});
    EXPECT_EQ(expectation.kind, Expectation::Kind::kExact);
    return expectation.bytes;
  }

  SequentialModel model_;
  SequentialModel::Connection connection_;
  int64_t now_ms_ = 1'700'000'000'000;
};

TEST_F(SequentialModelTest, AKeyLivesThroughItsLastMillisecond) {
  EXPECT_EQ(Reply({"SET", "k", "v", "PX", "100"}), "+OK\r\n");
  EXPECT_EQ(Reply({"PTTL", "k"}), ":100\r\n");
  now_ms_ += 100;
  EXPECT_EQ(Reply({"GET", "k"}), "$1\r\nv\r\n");
  EXPECT_EQ(Reply({"PTTL", "k"}), ":0\r\n");
  now_ms_ += 1;
  EXPECT_EQ(Reply({"PTTL", "k"}), ":-2\r\n");
  EXPECT_EQ(Reply({"GET", "k"}), "$-1\r\n");
}

TEST_F(SequentialModelTest, SecondsAreRounded) {
  Reply({"SET", "k", "v", "PX", "1499"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":1\r\n");
  Reply({"SET", "k", "v", "PX", "1500"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":2\r\n");
}

TEST_F(SequentialModelTest, WritingKeepsOrDropsTheTime) {
  Reply({"SET", "k", "1", "EX", "100"});
  Reply({"INCR", "k"});
  Reply({"APPEND", "k", "0"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":100\r\n");
  Reply({"SET", "k", "v", "KEEPTTL"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":100\r\n");
  Reply({"SET", "k", "v"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":-1\r\n");
  Reply({"EXPIRE", "k", "100"});
  Reply({"MSET", "k", "v"});
  EXPECT_EQ(Reply({"TTL", "k"}), ":-1\r\n");
}

TEST_F(SequentialModelTest, ATimeInThePastDeletesOrExpires) {
  Reply({"SET", "a", "1"});
  EXPECT_EQ(Reply({"EXPIRE", "a", "0"}), ":1\r\n");
  EXPECT_EQ(Reply({"EXISTS", "a"}), ":0\r\n");
  EXPECT_EQ(Reply({"SET", "b", "1", "EXAT", "1"}), "+OK\r\n");
  EXPECT_EQ(Reply({"GET", "b"}), "$-1\r\n");
}

TEST_F(SequentialModelTest, TheSizeMayCountExpiredKeysUntilSomebodyLooks) {
  Reply({"SET", "a", "1", "PX", "10"});
  Reply({"SET", "b", "1"});
  now_ms_ += 11;
  const Expectation before = model_.Execute(connection_, {"DBSIZE"}, {.wall_ms = now_ms_});
  EXPECT_TRUE(before.Matches(":1\r\n"));
  EXPECT_TRUE(before.Matches(":2\r\n"));
  EXPECT_FALSE(before.Matches(":0\r\n"));
  EXPECT_FALSE(before.Matches(":3\r\n"));
  Reply({"GET", "a"});
  model_.Forget("a", now_ms_ - 1);
  EXPECT_FALSE(model_.Execute(connection_, {"DBSIZE"}, {.wall_ms = now_ms_}).Matches(":2\r\n"));
}

TEST_F(SequentialModelTest, WhatIsNotTakenAwayLivesAgainWhenTheClockGoesBack) {
  const int64_t expires_at_ms = now_ms_ + 10;
  Reply({"SET", "a", "1", "PX", "10"});
  now_ms_ += 1000;
  EXPECT_EQ(Reply({"GET", "a"}), "$-1\r\n");
  now_ms_ -= 2000;
  EXPECT_EQ(Reply({"PTTL", "a"}), ":1010\r\n");
  // A time that is not its own takes nothing away: that was another value.
  model_.Forget("a", expires_at_ms - 1);
  EXPECT_EQ(Reply({"GET", "a"}), "$1\r\n1\r\n");
  model_.Forget("a", expires_at_ms);
  EXPECT_EQ(Reply({"GET", "a"}), "$-1\r\n");
}

TEST_F(SequentialModelTest, AnExpiredValueIsNotTakenForTheOneBeforeItThatExpiredWithIt) {
  const int64_t expires_at_ms = now_ms_ + 10;
  Reply({"SET", "a", "1", "PX", "10"});
  now_ms_ += 11;
  const auto may_be_there = [this] {
    return model_.Execute(connection_, {"DBSIZE"}, {.wall_ms = now_ms_}).Matches(":1\r\n");
  };
  Reply({"SET", "a", "2", "PXAT", std::to_string(expires_at_ms)});
  model_.Forget("a", expires_at_ms);  // The server looked at the key first, and tells of that now.
  EXPECT_TRUE(may_be_there());
  model_.Forget("a", expires_at_ms);
  EXPECT_FALSE(may_be_there());
}

TEST_F(SequentialModelTest, APauseIsMeasuredByTheMonotonicClock) {
  const auto execute = [this](const std::vector<std::string>& arguments, Moment now) {
    return model_.Execute(connection_, arguments, now).bytes;
  };
  EXPECT_EQ(execute({"CLIENT", "PAUSE", "100"}, {.wall_ms = 5000, .monotonic_ms = 20}), "+OK\r\n");
  EXPECT_TRUE(model_.MustWait({}, {"PING"}, {.wall_ms = 9'000'000, .monotonic_ms = 120}));
  EXPECT_FALSE(model_.MustWait({}, {"PING"}, {.wall_ms = 0, .monotonic_ms = 121}));
}

TEST_F(SequentialModelTest, NullsFollowTheProtocol) {
  EXPECT_EQ(Reply({"MGET", "a", "b"}), "*2\r\n$-1\r\n$-1\r\n");
  EXPECT_TRUE(model_.Execute(connection_, {"HELLO", "3"}, {.wall_ms = now_ms_})
                  .Matches("%7\r\n$6\r\nserver\r\n"));
  EXPECT_EQ(Reply({"MGET", "a", "b"}), "*2\r\n_\r\n_\r\n");
  EXPECT_EQ(Reply({"GET", "a"}), "_\r\n");
}

TEST_F(SequentialModelTest, SetInfoIsThatOfRedis72) {
  EXPECT_EQ(Reply({"CLIENT", "SETINFO", "LIB-NAME", "x"}), "+OK\r\n");
  EXPECT_EQ(Reply({"client", "setinfo", "lib-ver", "1.0"}), "+OK\r\n");
  EXPECT_EQ(Reply({"CLIENT", "SETINFO", "foo", "x"}), "-ERR Unrecognized option 'foo'\r\n");
  EXPECT_EQ(Reply({"CLIENT", "SETINFO", "lib-name", "a b"}),
            "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
}

TEST_F(SequentialModelTest, QuitIsRemembered) {
  EXPECT_EQ(Reply({"QUIT"}), "+OK\r\n");
  EXPECT_TRUE(connection_.quit);
}

TEST(Expectation, ThatOfAnIdIsAPositiveInteger) {
  const Expectation id{.kind = Expectation::Kind::kConnectionId, .bytes = {}};
  EXPECT_TRUE(id.Matches(":1\r\n"));
  EXPECT_FALSE(id.Matches(":0\r\n"));
  EXPECT_FALSE(id.Matches("$1\r\n1\r\n"));
}

}  // namespace
}  // namespace orrery::scenarios

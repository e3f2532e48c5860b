// What would break: replies of one client overtake each other, a key is served by another shard
// than its own, a client waits for ever, what is on its way for a client that has gone is lost or
// finds a stranger, a reply's bytes are copied or freed on the wrong shard.
#include "server/router.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/testing_shards.h"

namespace orrery::server {
namespace {

class RouterTest : public testing::Test {
 protected:
  TestingShards shards_{3};
  RoutedSession session_{shards_, 0};
  const std::string here_ = shards_.KeyOf(0);
  const std::string there_ = shards_.KeyOf(1);
  const std::string elsewhere_ = shards_.KeyOf(2);
};

TEST_F(RouterTest, AKeyIsServedByItsShard) {
  for (unsigned shard = 0; shard < 3; ++shard) {
    EXPECT_EQ(session_.Run("SET " + shards_.KeyOf(shard) + " value"), "+OK\r\n");
    EXPECT_EQ(shards_[shard].server().keyspace.size(), 1u);
  }
  RoutedSession other(shards_, 2);
  for (unsigned shard = 0; shard < 3; ++shard) {
    EXPECT_EQ(other.Run("GET " + shards_.KeyOf(shard)), "$5\r\nvalue\r\n");
  }
}

TEST_F(RouterTest, RepliesComeInTheOrderOfTheCommands) {
  session_.Send("SET " + there_ + " far\r\nSET " + here_ + " near\r\nGET " + there_ + "\r\nGET " +
                here_ + "\r\nGET " + elsewhere_ + "\r\nSTRLEN " + here_ + "\r\n");
  // What runs here has run, and says nothing before those that are away.
  EXPECT_EQ(shards_[0].server().keyspace.size(), 1u);
  EXPECT_EQ(session_.Take(), "");
  EXPECT_EQ(session_.last_end(), ProcessEnd::kNeedMore);
  shards_.Settle();
  EXPECT_EQ(session_.Take(), "+OK\r\n+OK\r\n$3\r\nfar\r\n$4\r\nnear\r\n$-1\r\n:4\r\n");
}

TEST_F(RouterTest, AReplyThatIsThereEarlyWaitsForThoseBeforeIt) {
  session_.Send("SET " + there_ + " 1\r\nSET " + elsewhere_ + " 2\r\n");
  shards_[0].Turn();
  shards_[2].Turn();
  shards_[0].Turn();
  EXPECT_EQ(session_.Take(), "") << "the second one has come home alone";
  shards_.Settle();
  EXPECT_EQ(session_.Take(), "+OK\r\n+OK\r\n");
}

TEST_F(RouterTest, OtherCommandsWaitForTheRepliesBeforeThem) {
  session_.Send("SET " + there_ + " 1\r\nPING\r\nGET " + there_ + "\r\nQUIT\r\n");
  EXPECT_EQ(session_.last_end(), ProcessEnd::kWaiting);
  EXPECT_EQ(session_.unread().view().substr(0, 4), "PING");
  shards_.Settle();
  EXPECT_EQ(session_.Take(), "+OK\r\n+PONG\r\n$1\r\n1\r\n+OK\r\n");
  EXPECT_EQ(session_.last_end(), ProcessEnd::kClosing);
}

TEST_F(RouterTest, AProtocolErrorIsTheLastReply) {
  session_.Send("SET " + there_ + " 1\r\n*1\r\n!\r\n");
  EXPECT_EQ(session_.Take(), "");
  shards_.Settle();
  EXPECT_EQ(session_.Take(), "+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n");
  EXPECT_EQ(session_.last_end(), ProcessEnd::kClosing);
}

TEST_F(RouterTest, ASlowCommandIsLoggedWhereItsClientIs) {
  session_.Run("CLIENT SETNAME me");
  session_.Run("CONFIG SET slowlog-log-slower-than 0");
  session_.Run("SET " + there_ + " value");
  const auto& commands = shards_[0].server().context.slow_log.commands();
  ASSERT_FALSE(commands.empty());
  EXPECT_EQ(commands.front().arguments, (std::vector<std::string>{"SET", there_, "value"}));
  EXPECT_EQ(commands.front().client_name, "me");
  EXPECT_TRUE(shards_[1].server().context.slow_log.commands().empty());
  {
    RoutedSession leaves(shards_, 0);
    leaves.Send("GET " + there_ + "\r\n");
  }
  shards_.Settle();
  EXPECT_EQ(commands.front().arguments, (std::vector<std::string>{"GET", there_}));
  EXPECT_EQ(commands.front().client_name, "");
}

TEST_F(RouterTest, KeysOfOneShardGoTogether) {
  const std::string second = shards_.KeyOf(1, "other");
  EXPECT_EQ(session_.Run("MSET " + there_ + " a " + second + " b"), "+OK\r\n");
  EXPECT_EQ(session_.Run("MGET " + there_ + " " + second), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_EQ(session_.Run("OBJECT ENCODING " + there_), "$6\r\nembstr\r\n");
  EXPECT_EQ(session_.Run("DEL " + there_ + " " + second), ":2\r\n");
}

TEST_F(RouterTest, ErrorsAndModesTravel) {
  EXPECT_EQ(session_.Run("SET " + there_ + " x\r\nINCR " + there_ + "\r\nGET " + there_),
            "+OK\r\n-ERR value is not an integer or out of range\r\n$1\r\nx\r\n");
  EXPECT_EQ(session_.Run("GET"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(session_.Run("CLIENT REPLY SKIP\r\nGET " + there_ + "\r\nSTRLEN " + there_), ":1\r\n");
  session_.Run("HELLO 3");
  EXPECT_EQ(session_.Run("GET " + elsewhere_), "_\r\n");
  EXPECT_EQ(session_.Run("CLIENT NO-TOUCH ON"), "+OK\r\n");
  EXPECT_EQ(session_.Run("GET " + there_), "$1\r\nx\r\n");
  EXPECT_EQ(session_.Run("CLIENT REPLY OFF\r\nSET " + there_ + " y\r\nCLIENT REPLY ON"), "+OK\r\n");
  EXPECT_EQ(session_.Run("GET " + there_), "$1\r\ny\r\n");
}

TEST_F(RouterTest, WhoDisconnectsLeavesNothingBehind) {
  auto leaver = std::make_unique<RoutedSession>(shards_, 0);
  leaver->Send("SET " + there_ + " 1\r\nSET " + here_ + " 2\r\nSET " + elsewhere_ + " 3\r\nGET " +
               there_ + "\r\n");
  shards_[0].Turn();
  shards_[2].Turn();
  shards_[0].Turn();  // One is home, complete, and waits for the first.
  leaver.reset();
  EXPECT_FALSE(shards_[0].router().idle());
  shards_.Settle();
  EXPECT_TRUE(shards_[0].router().idle());
  // What was sent has happened.
  EXPECT_EQ(session_.Run("GET " + there_), "$1\r\n1\r\n");
  EXPECT_EQ(session_.Run("GET " + elsewhere_), "$1\r\n3\r\n");
}

TEST(RouterLimitTest, ManyCommandsKeepTheirBounds) {
  constexpr uint32_t kErrands = 4;
  TestingShards shards(2, {.replies_max = 3, .errands_max = kErrands},
                       {.capacity = 2, .budget_per_source = 1});
  const std::string key = shards.KeyOf(1);
  std::vector<std::unique_ptr<RoutedSession>> sessions;
  std::string pipeline;
  std::string replies;
  for (int i = 0; i < 50; ++i) {
    pipeline += "SET " + key + " 1\r\nGET " + shards.KeyOf(0) + "\r\nECHO x\r\n";
    replies += "+OK\r\n$-1\r\n$1\r\nx\r\n";
  }
  for (int i = 0; i < 10; ++i) {
    sessions.push_back(std::make_unique<RoutedSession>(shards, 0));
    sessions.back()->Send(pipeline);
    EXPECT_EQ(sessions.back()->last_end(), ProcessEnd::kWaiting);
    EXPECT_LE(sessions.back()->client().route->count, 3u);
    EXPECT_LE(shards[0].router().mail().counters().posted, kErrands);
  }
  // One that waits for credit may leave.
  sessions.erase(sessions.begin() + 7);
  shards.Settle();
  for (const auto& session : sessions) EXPECT_EQ(session->Take(), replies);
}

// Both shards ask the other one for more than there is credit or room for.
TEST(RouterLimitTest, TwoShardsThatFillEachOthersMailboxesGoOn) {
  TestingShards shards(2, {.replies_max = 64, .errands_max = 32},
                       {.capacity = 1, .budget_per_source = 1});
  RoutedSession first(shards, 0);
  RoutedSession second(shards, 1);
  std::string to_second;
  std::string to_first;
  std::string replies;
  for (int i = 1; i <= 500; ++i) {
    to_second += "INCR " + shards.KeyOf(1) + "\r\n";
    to_first += "INCR " + shards.KeyOf(0) + "\r\n";
    replies += ":" + std::to_string(i) + "\r\n";
  }
  first.Send(to_second);
  second.Send(to_first);
  shards.Settle();
  EXPECT_EQ(first.Take(), replies);
  EXPECT_EQ(second.Take(), replies);
}

TEST_F(RouterTest, LargeValuesCrossWithoutBeingCopied) {
  const std::string value(100'000, 'v');
  EXPECT_EQ(session_.Call({"SET", there_, value}), "+OK\r\n");
  const uint64_t copied = session_.output().copied_bytes();
  session_.Send("GET " + there_ + "\r\nGET " + there_ + "\r\n");
  shards_.Settle();
  EXPECT_LT(session_.output().copied_bytes() - copied, 100u);
  EXPECT_EQ(session_.output().bodies(), 2u);
  // The value changes under the reply, and its shard keeps the old one for who still reads it.
  RoutedSession other(shards_, 1);
  EXPECT_EQ(other.Run("SETRANGE " + there_ + " 0 x"), ":100000\r\n");
  EXPECT_EQ(other.Run("DEL " + there_), ":1\r\n");
  const std::string bulk = "$100000\r\n" + value + "\r\n";
  EXPECT_EQ(session_.Take(), bulk + bulk);
}

TEST_F(RouterTest, ALoanGoesHomeAlsoFromAClientThatHasGone) {
  const std::string value(100'000, 'v');
  session_.Call({"SET", there_, value});
  auto leaver = std::make_unique<RoutedSession>(shards_, 2);
  leaver->Send("GET " + there_ + "\r\n");
  shards_.Settle();  // It has the value in its output,
  leaver->Send("GET " + there_ + "\r\n");
  shards_[2].Turn();
  shards_[1].Turn();  // and again on the way.
  leaver.reset();
  for (unsigned shard = 0; shard < 3; ++shard) {
    shards_.Settle();
    shards_[shard].router().Leave();
  }
  shards_.Settle();
  for (unsigned shard = 0; shard < 3; ++shard) {
    EXPECT_TRUE(shards_[shard].router().all_left()) << shard;
  }
}

TEST_F(RouterTest, ConnectionsAreHandedOutInTurn) {
  for (int descriptor = 0; descriptor < 7; ++descriptor) shards_[1].router().HandOut(descriptor);
  EXPECT_FALSE(shards_[1].router().idle());
  shards_.Settle();
  EXPECT_TRUE(shards_[1].router().idle());
  EXPECT_EQ(shards_[0].adopted, (std::vector<int>{0, 3, 6}));
  EXPECT_EQ(shards_[1].adopted, (std::vector<int>{1, 4}));
  EXPECT_EQ(shards_[2].adopted, (std::vector<int>{2, 5}));
}

// Whatever a client sends, wherever it is cut and whoever has a turn when: it reads what a server
// of one shard would have answered. Its commands on one key depend on each other.
RC_GTEST_PROP(RouterProperty, AnswersAsOneShardWould, ()) {
  std::string stream;
  const int commands = *rc::gen::inRange(1, 120);
  for (int i = 0; i < commands; ++i) {
    const std::string key = "k" + std::to_string(*rc::gen::inRange(0, 6));
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        stream += TestingSession::Encode(
            {"SET", key, std::string(*rc::gen::inRange<size_t>(0, 9000), 'x')});
        break;
      case 1:
        stream += TestingSession::Encode({"GETSET", key, std::to_string(i)});
        break;
      case 2:
        stream += "INCR " + key + "\r\n";
        break;
      case 3:
        stream += "APPEND " + key + " tail\r\n";
        break;
      case 4:
        stream += "MGET " + key + " " + key + "\r\n";
        break;
      case 5:
        stream += "nosuch " + key + "\r\n";
        break;
      case 6:
        stream += "DBSIZE extra\r\nECHO " + key + "\r\n";
        break;
      default:
        stream += TestingSession::Encode({"GET", key});
    }
  }
  TestingServer one;
  TestingSession expected(one);
  expected.Send(stream);

  const auto options = RouterOptions{.replies_max = *rc::gen::inRange(1u, 20u),
                                     .errands_max = *rc::gen::inRange(1u, 20u)};
  const auto count = *rc::gen::inRange(2u, 4u);
  TestingShards shards(
      count, options,
      {.capacity = *rc::gen::inRange(1u, 8u), .budget_per_source = *rc::gen::inRange(1u, 8u)});
  RoutedSession session(shards, *rc::gen::inRange(0u, count));
  std::string replies;
  for (size_t begin = 0; begin < stream.size();) {
    const size_t piece = std::min(*rc::gen::inRange<size_t>(1, 3000), stream.size() - begin);
    session.Send(std::string_view(stream).substr(begin, piece));
    begin += piece;
    for (int turns = *rc::gen::inRange(0, 6); turns > 0; --turns) {
      shards[*rc::gen::inRange(0u, count)].Turn();
    }
    if (*rc::gen::inRange(0, 2) == 0) replies += session.Take();
  }
  shards.Settle();
  RC_ASSERT(replies + session.Take() == expected.Take());
}

}  // namespace
}  // namespace orrery::server

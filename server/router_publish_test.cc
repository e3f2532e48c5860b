// What would break: a message does not reach the subscribers of another shard, reaches them twice
// or in another order than it was published in, overtakes what its publisher did before, or is
// counted wrongly; a shard where nobody listens is bothered.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/router.h"
#include "server/testing_shards.h"

namespace orrery::server {
namespace {

std::string Message(const std::string& channel, const std::string& text) {
  return "*3\r\n$7\r\nmessage\r\n$" + std::to_string(channel.size()) + "\r\n" + channel + "\r\n$" +
         std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// Shards with the clients that a test has connected and not closed.
class ClientsOfShards {
 public:
  explicit ClientsOfShards(unsigned shards, const RouterOptions& options = {},
                           const MailboxOptions& mailboxes = {})
      : shards_(shards, options, mailboxes) {}
  ~ClientsOfShards() { shards_.Settle(); }

  TestingShards& shards() { return shards_; }
  RoutedSession& Connect(unsigned home) {
    auto session = std::make_unique<RoutedSession>(shards_, home);
    const uint64_t id = session->client().id;
    return *(sessions_[id] = std::move(session));
  }
  RoutedSession& Subscribe(unsigned home, const std::string& channel) {
    RoutedSession& session = Connect(home);
    session.Run("SUBSCRIBE " + channel);
    return session;
  }
  void Close(RoutedSession& session) { sessions_.erase(session.client().id); }

 private:
  TestingShards shards_;
  std::map<uint64_t, std::unique_ptr<RoutedSession>> sessions_;
};

class RouterPublishTest : public testing::Test {
 protected:
  uint64_t ReceivedBy(unsigned shard) {
    return world_.shards()[shard].router().mail().counters().received;
  }

  ClientsOfShards world_{3};
};

TEST_F(RouterPublishTest, ReachesTheSubscribersOfAllShards) {
  RoutedSession& here = world_.Subscribe(0, "news");
  RoutedSession& there = world_.Subscribe(1, "news");
  RoutedSession& elsewhere = world_.Connect(2);
  elsewhere.Run("PSUBSCRIBE n*");
  elsewhere.Take();
  RoutedSession& publisher = world_.Connect(0);
  EXPECT_EQ(publisher.Run("PUBLISH news text"), ":3\r\n");
  EXPECT_EQ(here.Take(), Message("news", "text"));
  EXPECT_EQ(there.Take(), Message("news", "text"));
  EXPECT_EQ(elsewhere.Take(), "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$4\r\ntext\r\n");
  EXPECT_EQ(publisher.Run("PUBSUB NUMSUB news none"),
            "*4\r\n$4\r\nnews\r\n:2\r\n$4\r\nnone\r\n:0\r\n");
  EXPECT_EQ(publisher.Run("PUBSUB CHANNELS"), "*1\r\n$4\r\nnews\r\n");
  EXPECT_EQ(publisher.Run("PUBSUB NUMPAT"), ":1\r\n");
}

TEST_F(RouterPublishTest, LongMessagesAreCopiedOnceForEachShard) {
  RoutedSession& first = world_.Subscribe(1, "news");
  RoutedSession& second = world_.Subscribe(1, "news");
  RoutedSession& publisher = world_.Connect(0);
  const std::string text(100'000, 'x');
  const uint64_t copied = first.output().copied_bytes() + second.output().copied_bytes();
  EXPECT_EQ(publisher.Call({"PUBLISH", "news", text}), ":2\r\n");
  EXPECT_EQ(first.output().bodies() + second.output().bodies(), 2u);
  EXPECT_LT(first.output().copied_bytes() + second.output().copied_bytes() - copied, 200u);
  EXPECT_EQ(first.Take(), Message("news", text));
  EXPECT_EQ(second.Take(), Message("news", text));
}

TEST_F(RouterPublishTest, GoesOnlyWhereSomebodyMayListen) {
  world_.Subscribe(0, "news");
  RoutedSession& there = world_.Subscribe(1, "sport");
  RoutedSession& publisher = world_.Connect(0);
  const uint64_t before = ReceivedBy(1) + ReceivedBy(2);
  publisher.Send("PUBLISH news text\r\n");
  EXPECT_EQ(publisher.Take(), ":1\r\n") << "nobody had to be asked";
  world_.shards().Settle();
  EXPECT_EQ(ReceivedBy(1) + ReceivedBy(2), before);
  EXPECT_EQ(publisher.Run("PUBLISH sport text"), ":1\r\n");
  EXPECT_EQ(ReceivedBy(2), 0u);
  there.Run("UNSUBSCRIBE");
  const uint64_t after = ReceivedBy(1);
  EXPECT_EQ(publisher.Run("PUBLISH sport text"), ":0\r\n");
  EXPECT_EQ(ReceivedBy(1), after);
}

TEST_F(RouterPublishTest, MessagesFlowBehindEachOther) {
  RoutedSession& there = world_.Subscribe(1, "news");
  there.Take();
  RoutedSession& publisher = world_.Connect(0);
  publisher.Send("PUBLISH news 1\r\nPUBLISH nobody x\r\nPUBLISH news 2\r\n");
  EXPECT_EQ(publisher.last_end(), ProcessEnd::kNeedMore) << "all of them are on their way";
  EXPECT_EQ(publisher.Take(), "");
  world_.shards().Settle();
  EXPECT_EQ(there.Take(), Message("news", "1") + Message("news", "2"));
  EXPECT_EQ(publisher.Take(), ":1\r\n:0\r\n:1\r\n");
}

// Whoever hears of it finds what was done before.
TEST_F(RouterPublishTest, AMessageWaitsForWhatItsPublisherDidBefore) {
  RoutedSession& here = world_.Subscribe(0, "news");
  here.Take();
  RoutedSession& publisher = world_.Connect(0);
  publisher.Send("SET " + world_.shards().KeyOf(1) + " value\r\nPUBLISH news set\r\nPING\r\n");
  EXPECT_EQ(here.Take(), "");
  world_.shards().Settle();
  EXPECT_EQ(here.Take(), Message("news", "set"));
  EXPECT_EQ(publisher.Take(), "+OK\r\n:1\r\n+PONG\r\n");
}

TEST_F(RouterPublishTest, AMessageOutlivesItsPublisher) {
  RoutedSession& there = world_.Subscribe(1, "news");
  there.Take();
  RoutedSession& publisher = world_.Connect(0);
  publisher.Send("PUBLISH news text\r\n");
  world_.Close(publisher);
  world_.shards().Settle();
  EXPECT_EQ(there.Take(), Message("news", "text"));
  EXPECT_TRUE(world_.shards()[0].router().idle());
}

TEST_F(RouterPublishTest, AMessageOfATransactionReachesAllShards) {
  RoutedSession& here = world_.Subscribe(0, "news");
  RoutedSession& there = world_.Subscribe(1, "news");
  here.Take();
  there.Take();
  RoutedSession& publisher = world_.Connect(0);
  EXPECT_EQ(publisher.Run("MULTI\r\nPUBLISH news text\r\nSET " + world_.shards().KeyOf(2) +
                          " value\r\nPUBLISH nobody text\r\nEXEC\r\nPUBLISH news last"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:2\r\n+OK\r\n:0\r\n:2\r\n");
  EXPECT_EQ(here.Take(), Message("news", "text") + Message("news", "last"));
  EXPECT_EQ(there.Take(), Message("news", "text") + Message("news", "last"));
}

TEST_F(RouterPublishTest, AListenerOfResp2IsRefusedWhereverTheKeyIs) {
  RoutedSession& listener = world_.Subscribe(0, "news");
  listener.Take();
  for (unsigned shard = 0; shard < 3; ++shard) {
    const std::string reply = listener.Run("GET " + world_.shards().KeyOf(shard));
    EXPECT_TRUE(reply.starts_with("-ERR Can't execute 'get'")) << reply;
  }
}

// Whatever the shards take their turns in, and however little may be on its way at once.
RC_GTEST_PROP(RouterPublishProperty, EverySubscriberGetsEveryMessageOnceAndInOrder, ()) {
  constexpr unsigned kShards = 3;
  ClientsOfShards world(
      kShards, {.replies_max = *rc::gen::inRange(1u, 5u), .errands_max = *rc::gen::inRange(1u, 4u)},
      {.capacity = 2, .budget_per_source = *rc::gen::inRange(1u, 4u)});
  std::vector<RoutedSession*> listeners;
  const unsigned listener_count = *rc::gen::inRange(0u, 5u);
  for (unsigned listener = 0; listener < listener_count; ++listener) {
    listeners.push_back(&world.Subscribe(*rc::gen::inRange(0u, kShards), "news"));
    listeners.back()->Take();
  }
  struct Publisher {
    RoutedSession* session;
    std::string expected;  // Of its replies.
    int messages = 0;
  };
  std::vector<Publisher> publishers;
  for (unsigned home = 0; home < kShards; ++home) {
    publishers.push_back({.session = &world.Connect(home), .expected = {}});
  }
  const int steps = *rc::gen::inRange(0, 100);
  for (int step = 0; step < steps; ++step) {
    const auto which = *rc::gen::inRange<size_t>(0, kShards);
    Publisher& publisher = publishers[which];
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
      case 1:
        world.shards()[static_cast<unsigned>(which)].Turn();
        break;
      case 2:
        publisher.session->Send("INCR " + world.shards().KeyOf(*rc::gen::inRange(0u, kShards)) +
                                std::to_string(which) + "\r\n");
        publisher.expected += ":";
        break;
      default:
        publisher.session->Send("PUBLISH news " + std::to_string(which) + "." +
                                std::to_string(publisher.messages++) + "\r\n");
        publisher.expected += "P";
    }
  }
  world.shards().Settle();
  for (const Publisher& publisher : publishers) {
    // Of each reply the first byte, but of a message's how many got it.
    std::string replies = publisher.session->Take();
    size_t at = 0;
    for (const char kind : publisher.expected) {
      const size_t end = replies.find("\r\n", at);
      RC_ASSERT(end != std::string::npos);
      if (kind == 'P')
        RC_ASSERT(replies.substr(at, end - at) == ":" + std::to_string(listener_count));
      RC_ASSERT(replies[at] == ':');
      at = end + 2;
    }
    RC_ASSERT(at == replies.size());
  }
  for (RoutedSession* listener : listeners) {
    const std::string got = listener->Take();
    size_t messages = 0;
    for (size_t which = 0; which < publishers.size(); ++which) {
      size_t at = 0;
      for (int number = 0; number < publishers[which].messages; ++number, ++messages) {
        const std::string message =
            Message("news", std::to_string(which) + "." + std::to_string(number));
        at = got.find(message, at);
        RC_ASSERT(at != std::string::npos);
        at += message.size();
      }
    }
    size_t frames = 0;
    for (size_t at = got.find("message"); at != std::string::npos;
         at = got.find("message", at + 1)) {
      ++frames;
    }
    RC_ASSERT(frames == messages);
  }
  for (unsigned shard = 0; shard < kShards; ++shard) {
    RC_ASSERT(world.shards()[shard].router().idle());
  }
}

}  // namespace
}  // namespace orrery::server

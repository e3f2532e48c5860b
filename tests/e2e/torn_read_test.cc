// Threads of clients against a server of several shards: nobody sees a half of a command on several
// keys, or of a transaction.
//
// What would break: a reader sees keys that one command has written together with different values,
// two transactions lose each other's writes, or a watched key changes unseen. With --config=tsan
// the server is built for it, too, and ends at the first race.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {
namespace {

using Arguments = std::vector<std::string>;

constexpr int kKeys = 10;
constexpr int kRounds = 600;

std::string KeyOf(int index) { return "key:" + std::to_string(index); }

// The replies to commands that are sent at once.
std::vector<std::string> Ask(Wire& wire, const std::vector<Arguments>& commands) {
  std::string bytes;
  for (const Arguments& arguments : commands) bytes += scenarios::EncodeArray(arguments);
  auto replies = wire.Exchange(bytes, commands.size());
  EXPECT_EQ(replies.size(), commands.size()) << wire.problem();
  replies.resize(commands.size());
  return replies;
}

// Whether an array has kKeys elements, all the same.
bool IsWhole(const std::string& reply) {
  const auto elements = ElementsOf(reply);
  if (!elements || elements->size() != kKeys) return false;
  for (const std::string_view element : *elements) {
    if (element != elements->front()) return false;
  }
  return true;
}

class TornReadTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = ServerProcess::StartOrrery({"--shards", "3"});
    ASSERT_NE(server_, nullptr);
  }

  // Runs body(wire, number) in so many threads, each with a connection of its own.
  template <typename Body>
  void InThreads(int threads, Body body) {
    for (int number = 0; number < threads; ++number) {
      std::shared_ptr<Wire> wire = server_->Connect();
      ASSERT_NE(wire, nullptr);
      threads_.emplace_back([wire, number, body] { body(*wire, number); });
    }
  }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::unique_ptr<ServerProcess> server_;
  std::vector<std::thread> threads_;
};

TEST_F(TornReadTest, KeysThatAreWrittenTogetherAreReadTogether) {
  std::atomic<int> writers = 3;
  std::atomic<uint64_t> reads = 0;
  InThreads(3, [&writers](Wire& wire, int number) {
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
      // One in eight values is long enough to cross as a body.
      const std::string value = std::to_string(number) + ":" + std::to_string(round) +
                                std::string(round % 8 == 0 ? 5000 : 0, 'x');
      Arguments write = {"MSET"};
      for (int key = 0; key < kKeys; ++key) write.insert(write.end(), {KeyOf(key), value});
      std::vector<Arguments> commands = {write};
      if (round % 3 == 0) {
        commands = {{"MULTI"}};
        for (int key = 0; key < kKeys; ++key) commands.push_back({"SET", KeyOf(key), value});
        commands.push_back({"EXEC"});
      } else if (round % 7 == 0) {
        commands = {{"DEL"}};
        for (int key = 0; key < kKeys; ++key) commands[0].push_back(KeyOf(key));
      }
      const auto replies = Ask(wire, commands);
      EXPECT_FALSE(replies.back().starts_with('-')) << replies.back();
    }
    --writers;
  });
  InThreads(3, [&writers, &reads](Wire& wire, int number) {
    while (writers > 0 && !HasFailure()) {
      std::vector<Arguments> commands = {{"MGET"}};
      for (int key = 0; key < kKeys; ++key) commands[0].push_back(KeyOf(key));
      if (number == 0) {
        commands = {{"MULTI"}};
        for (int key = 0; key < kKeys; ++key) commands.push_back({"GET", KeyOf(key)});
        commands.push_back({"EXEC"});
      }
      const auto replies = Ask(wire, commands);
      EXPECT_TRUE(IsWhole(replies.back())) << scenarios::Printable(replies.back(), 400);
      ++reads;
    }
  });
  Join();
  EXPECT_GT(reads, 100u);
}

TEST_F(TornReadTest, WatchedKeysDoNotChangeUnseen) {
  std::atomic<int64_t> done = 0;
  InThreads(4, [&done](Wire& wire, int) {
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
      const auto before = Ask(wire, {{"WATCH", "left", "right"}, {"MGET", "left", "right"}});
      const auto values = ElementsOf(before[1]);
      ASSERT_TRUE(values && values->size() == 2) << before[1];
      EXPECT_EQ((*values)[0], (*values)[1]);
      const auto text = TextIn((*values)[0]);
      const int64_t value = text && !text->empty() ? std::stoll(std::string(*text)) : 0;
      const std::string next = std::to_string(value + 1);
      const auto replies =
          Ask(wire, {{"MULTI"}, {"SET", "left", next}, {"SET", "right", next}, {"EXEC"}});
      if (replies.back() == "*-1\r\n") continue;
      EXPECT_EQ(replies.back(), "*2\r\n+OK\r\n+OK\r\n");
      ++done;
    }
  });
  Join();
  const auto wire = server_->Connect();
  EXPECT_EQ(Ask(*wire, {{"GET", "left"}})[0], "$" + std::to_string(std::to_string(done).size()) +
                                                  "\r\n" + std::to_string(done) + "\r\n");
  EXPECT_GT(done, kRounds / 2);
}

}  // namespace
}  // namespace orrery::e2e

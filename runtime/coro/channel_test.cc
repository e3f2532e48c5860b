// The channel: what would break is a value that is lost, doubled or out of order, or a task that
// waits although there is something for it.
#include "runtime/coro/channel.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "runtime/coro/alone.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"

namespace orrery::coro {
namespace {

using Box = std::unique_ptr<int>;

TEST(Channel, PassesValuesThatCanOnlyBeMoved) {
  Alone alone;
  Channel<Box> channel(1);
  const auto body = [&]() -> Task<int> {
    Box box = std::make_unique<int>(9);
    EXPECT_TRUE(co_await channel.Send(std::move(box)));
    auto received = co_await channel.Receive();
    co_return **received;
  };
  EXPECT_EQ(alone.Run(body()), 9);
}

TEST(Channel, FullAndEmptyMakeTasksWait) {
  Alone alone;
  Channel<int> channel(2);
  int sent = 0;
  const auto produce = [&]() -> Task<> {
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(co_await channel.Send(i));
      ++sent;
    }
    channel.Close();
  };
  Task<> producer = produce();
  alone.Begin(producer);
  alone.RunAll();
  EXPECT_EQ(sent, 2);
  const auto consume = [&]() -> Task<std::vector<int>> {
    std::vector<int> values;
    for (;;) {
      const auto value = co_await channel.Receive();
      if (!value) {
        EXPECT_EQ(value.error(), EPIPE);
        break;
      }
      values.push_back(*value);
    }
    co_return values;
  };
  EXPECT_EQ(alone.Run(consume()), (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(sent, 5);
}

TEST(Channel, CloseEndsThoseWhoWait) {
  Alone alone;
  Channel<int> full(1);
  Channel<int> empty(1);
  const auto send = [&]() -> Task<int> {
    (void)co_await full.Send(1);
    const auto second = co_await full.Send(2);
    co_return second ? 0 : second.error().value();
  };
  const auto receive = [&]() -> Task<int> {
    const auto value = co_await empty.Receive();
    co_return value ? 0 : value.error().value();
  };
  Task<int> sender = send();
  Task<int> receiver = receive();
  alone.Begin(sender);
  alone.Begin(receiver);
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 0);
  full.Close();
  empty.Close();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 2);
  EXPECT_EQ(sender.promise().Take(), EPIPE);
  EXPECT_EQ(receiver.promise().Take(), EPIPE);
  EXPECT_EQ(full.size(), 1u);
}

TEST(Channel, AStopTakesNothing) {
  Alone alone;
  Channel<int> channel(1);
  const auto receive = [&]() -> Task<int> {
    const auto value = co_await channel.Receive();
    co_return value ? *value : -value.error().value();
  };
  Task<int> waits = receive();
  alone.Begin(waits);
  alone.RunAll();
  alone.stop().RequestStop();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  EXPECT_EQ(waits.promise().Take(), -ECANCELED);
  const auto send = [&]() -> Task<int> {
    const auto sent = co_await channel.Send(1);
    co_return sent ? 0 : sent.error().value();
  };
  EXPECT_EQ(alone.Run(send()), ECANCELED);
  EXPECT_EQ(channel.size(), 0u);
}

// Against a plain list: senders and receivers of random numbers, in random order, some of which
// pause. Every value arrives once; with one receiver, each sender's in its order.
TEST(Channel, ManyOnBothSides) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Prng prng(seed);
    Alone alone;
    Channel<std::pair<int, int>> channel(prng.Between(1, 5));
    const int senders = static_cast<int>(prng.Between(1, 5));
    const int values = static_cast<int>(prng.Between(0, 40));
    const uint64_t receivers = prng.Between(1, 5);
    int sending = senders;
    std::vector<std::pair<int, int>> received;
    const auto pause = [&]() -> Task<> {
      const uint64_t rounds = prng.Below(4);
      for (uint64_t i = 0; i < rounds; ++i) (void)co_await StopRequested();
    };
    const auto send = [&](int number) -> Task<> {
      for (int i = 0; i < values; ++i) {
        co_await pause();
        const std::pair<int, int> value(number, i);
        EXPECT_TRUE(co_await channel.Send(value));
      }
      if (--sending == 0) channel.Close();
    };
    const auto receive = [&]() -> Task<> {
      for (;;) {
        co_await pause();
        const auto value = co_await channel.Receive();
        if (!value) co_return;
        received.push_back(*value);
      }
    };
    const auto body = [&]() -> Task<> {
      TaskGroup group(alone.scheduler());
      for (uint64_t i = 0; i < receivers; ++i) group.Spawn(receive());
      for (int i = 0; i < senders; ++i) group.Spawn(send(i));
      co_await group.Join();
    };
    alone.Run(body());
    ASSERT_EQ(received.size(), static_cast<size_t>(senders * values)) << "seed " << seed;
    std::vector<std::vector<bool>> seen(static_cast<size_t>(senders),
                                        std::vector<bool>(static_cast<size_t>(values)));
    std::vector<int> last(static_cast<size_t>(senders), -1);
    for (const auto& [number, value] : received) {
      auto& numbers = seen[static_cast<size_t>(number)];
      ASSERT_FALSE(numbers[static_cast<size_t>(value)]) << "twice, seed " << seed;
      numbers[static_cast<size_t>(value)] = true;
      int& before = last[static_cast<size_t>(number)];
      if (receivers == 1) {
        ASSERT_LT(before, value) << "out of order, seed " << seed;
      }
      before = value;
    }
  }
}

}  // namespace
}  // namespace orrery::coro

// Nothing is allocated for an await that calls no task: reads, writes, sleeps, channels,
// semaphores. On Linux, because the fake kernel allocates. What would break is the speed of every
// server.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <expected>
#include <utility>

#include "base/allocation_count.h"
#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/channel.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/run.h"
#include "runtime/coro/semaphore.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::coro {
namespace {

// Of everything once.
struct Things {
  IoContext& io;
  Connection from;
  Connection to;
  Channel<int> channel{1};
  Semaphore semaphore{1};
};

// A loop in one frame, so that whatever is allocated is an await's.
Task<size_t> AllocationsOf(Things& things, int rounds) {
  const size_t before = AllocationCount();
  std::array<char, 10> buffer;
  for (int i = 0; i < rounds; ++i) {
    const auto sent = co_await things.from.WriteAll("0123456789");
    EXPECT_TRUE(sent.has_value());
    const auto some = co_await things.to.ReadSome(buffer, things.io.now() + 10 * kSecond);
    EXPECT_EQ(some, 10u);
    const auto again = co_await things.from.WriteAll("0123456789");
    EXPECT_TRUE(again.has_value());
    const auto all = co_await things.to.ReadExactly(buffer);
    EXPECT_EQ(all, 10u);
    const auto slept = co_await things.io.Sleep(1);
    EXPECT_TRUE(slept.has_value());
    const auto put = co_await things.channel.Send(i);
    EXPECT_TRUE(put.has_value());
    const auto got = co_await things.channel.Receive();
    EXPECT_EQ(got, i);
    const auto permit = co_await things.semaphore.Acquire();
    EXPECT_TRUE(permit.has_value());
  }
  co_return AllocationCount() - before;
}

Task<int> Main(IoContext& io) {
  auto listener = Listener::Bind(io, {});
  const auto accept = [](Listener& from) -> Task<std::expected<Connection, Errno>> {
    auto connection = co_await from.Accept();
    co_return connection;
  };
  auto [to, from] =
      co_await WhenAll(accept(*listener), Connect(io, SocketAddress::Loopback(listener->port())));
  EXPECT_TRUE(to.has_value() && from.has_value());
  if (!to || !from) co_return 1;
  Things things{.io = io, .from = *std::move(from), .to = *std::move(to)};
  (void)co_await AllocationsOf(things, 10);  // What is made once is made now.
  const size_t count = co_await AllocationsOf(things, 1000);
  EXPECT_EQ(count, 0u);
  co_return 0;
}

TEST(Allocation, NoAwaitAllocates) {
  const size_t before = AllocationCount();
  EXPECT_EQ(RunMain("allocation_test", Main), 0);
  EXPECT_GT(AllocationCount(), before) << "allocations are not counted";
}

}  // namespace
}  // namespace orrery::coro

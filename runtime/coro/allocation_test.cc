// Nothing is allocated for an await that calls no task: reads, writes, sleeps, channels,
// semaphores. On Linux, because the fake kernel allocates. What would break is the speed of every
// server.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <expected>
#include <new>
#include <utility>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/channel.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/run.h"
#include "runtime/coro/semaphore.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace {
size_t allocations = 0;
}  // namespace

// Every allocation of this test is counted. Not inlined, or g++ takes them for a pair that does not
// match.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

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
  const size_t before = allocations;
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
  co_return allocations - before;
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
  const size_t before = allocations;
  EXPECT_EQ(RunMain("allocation_test", Main), 0);
  EXPECT_GT(allocations, before) << "allocations are not counted";
}

}  // namespace
}  // namespace orrery::coro

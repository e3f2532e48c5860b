// What would break: the hot path asks the allocator for something on every command.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include "server/testing_session.h"

namespace {

size_t allocations = 0;

void* CountedAllocate(size_t bytes, size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

// Not inlined, or the compiler sees that free() takes back what operator new gave.
[[gnu::noinline]] void* operator new(size_t bytes) {
  return CountedAllocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
[[gnu::noinline]] void* operator new(size_t bytes, std::align_val_t alignment) {
  return CountedAllocate(bytes, static_cast<size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace orrery::server {
namespace {

TEST(CommandsAllocationTest, TheSteadyStateAllocatesNothing) {
  TestingServer server;
  Client client;
  PendingOutput output(server.pool);
  // GETs and SETs of the same size, small and borrowed, and a counter, in a pipeline of two
  // batches.
  std::string pipeline;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "key:" + std::to_string(i);
    pipeline += TestingSession::Encode({"SET", key, "12345678"});
    pipeline += TestingSession::Encode({"GET", key});
    pipeline += TestingSession::Encode({"SET", "large:" + key, std::string(5000, 'x')});
    pipeline += TestingSession::Encode({"MGET", key, "none"});
    pipeline += TestingSession::Encode({"EXPIRE", key, "100"});
    pipeline += TestingSession::Encode({"SET", "counter", "100000"});
    pipeline += TestingSession::Encode({"INCR", "counter"});
  }
  for (int round = 0; round < 5; ++round) {
    const size_t before = allocations;
    const ProcessResult result = server.processor.Process(pipeline, client, output, 10 * kMiB);
    ASSERT_EQ(result.consumed_bytes, pipeline.size());
    // The first rounds fill the keyspace, the pools and the vectors.
    if (round >= 2) {
      EXPECT_EQ(allocations, before) << round;
    }
    output.Advance(output.size_bytes());
  }
  EXPECT_GT(allocations, 0u);
}

}  // namespace
}  // namespace orrery::server

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

// How many allocations `pipeline` makes once the keyspace, the pools and the vectors are filled.
size_t AllocationsOnceWarm(TestingServer& server, const std::string& pipeline) {
  constexpr int kWarmRounds = 2;
  constexpr int kRounds = 3;
  Client client;
  PendingOutput output(server.pool);
  size_t before = 0;
  for (int round = 0; round < kWarmRounds + kRounds; ++round) {
    if (round == kWarmRounds) before = allocations;
    const ProcessResult result = server.processor.Process(pipeline, client, output, 10 * kMiB);
    EXPECT_EQ(result.consumed_bytes, pipeline.size());
    output.Advance(output.size_bytes());
  }
  EXPECT_GT(before, 0u);
  return allocations - before;
}

TEST(CommandsAllocationTest, TheSteadyStateAllocatesNothing) {
  TestingServer server;
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
  EXPECT_EQ(AllocationsOnceWarm(server, pipeline), 0u);
}

// Nor do others, but for those that gather a list first (BITFIELD, SCAN, LCS) and those that answer
// with a text about the server. One line at a time, so that a failure names it.
TEST(CommandsAllocationTest, NeitherDoOtherCommandsThatChangeNoSize) {
  TestingServer server;
  TestingSession session(server);
  session.Run("SET number 100");
  session.Run("SET text abcdefghijklmnop EX 1000");
  for (const char* line : {
           "DECRBY number 1",
           "INCRBY number 1",
           "INCRBYFLOAT number 1",
           "SET text abcdefghijklmnop KEEPTTL GET",
           "SETNX text other",
           "SETEX text 1000 abcdefghijklmnop",
           "GETSET text abcdefghijklmnop",
           "GETEX text EX 1000",
           "GETDEL none",
           "STRLEN text",
           "GETRANGE text 2 5",
           "SETRANGE text 2 cd",
           "MSET text abcdefghijklmnop number 100",
           "MSETNX text a number b",
           "SETBIT text 7 1",
           "GETBIT text 7",
           "BITCOUNT text 0 -1 BIT",
           "BITPOS text 1",
           "EXISTS text number none",
           "TOUCH text",
           "TYPE text",
           "TTL text",
           "PEXPIRE text 1000000 XX",
           "PEXPIRETIME text",
           "PERSIST text",
           "DEL none",
           "UNLINK none",
           "OBJECT ENCODING text",
           "OBJECT IDLETIME text",
           "RANDOMKEY",
           "DBSIZE",
           "TIME",
           "PING",
           "ECHO text",
           "SELECT 0",
           "CLIENT ID",
           "CLIENT GETNAME",
           "CLIENT NO-TOUCH OFF",
           "COMMAND COUNT",
       }) {
    EXPECT_EQ(AllocationsOnceWarm(server, std::string(line) + "\r\n"), 0u) << line;
  }
}

TEST(CommandsAllocationTest, NoCommandIsLookedUpByAllocating) {
  const CommandTable table;
  size_t found = 0;
  for (const CommandSpec* spec : table.commands()) {
    std::string name(spec->name);
    for (char& letter : name) letter = letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter;
    const size_t before = allocations;
    found += table.Find(name) == spec ? 1 : 0;
    for (const CommandSpec& subcommand : spec->subcommands) {
      found += table.FindFullName(subcommand.name) == &subcommand ? 1 : 0;
    }
    EXPECT_EQ(allocations, before) << name;
    EXPECT_EQ(table.Find("no" + name), nullptr);
  }
  EXPECT_EQ(found, table.MakeStats().size());
}

}  // namespace
}  // namespace orrery::server

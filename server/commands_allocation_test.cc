// What would break: the hot path asks the allocator for something on every command.
#include <gtest/gtest.h>

#include <string>

#include "base/allocation_count.h"
#include "server/session.h"
#include "server/testing_session.h"
#include "server/testing_shards.h"

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
    if (round == kWarmRounds) before = AllocationCount();
    const ProcessResult result = server.processor.Process(pipeline, client, output, 10 * kMiB);
    EXPECT_EQ(result.consumed_bytes, pipeline.size());
    output.Advance(output.size_bytes());
  }
  EXPECT_GT(before, 0u);
  return AllocationCount() - before;
}

// What an idle client costs, beside its connection (docs/performance.md).
TEST(CommandsAllocationTest, AnIdleClientIsSmall) { EXPECT_LE(sizeof(Session), 152u); }

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
           "PUBLISH channel text",
           "COMMAND COUNT",
       }) {
    EXPECT_EQ(AllocationsOnceWarm(server, std::string(line) + "\r\n"), 0u) << line;
  }
}

// The same between two shards: small and borrowed replies, those that wait for others, barriers.
TEST(CommandsAllocationTest, NorDoesTheWayToAnotherShardAndBack) {
  constexpr size_t kWarmRounds = 3;
  constexpr size_t kRounds = 3;
  TestingShards shards(2, {.replies_max = 16, .errands_max = 8});
  RoutedSession session(shards, 0);
  std::string pipeline;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "key:" + std::to_string(i);
    pipeline += TestingSession::Encode({"SET", key, "12345678"});
    pipeline += TestingSession::Encode({"GET", key});
    pipeline += TestingSession::Encode({"GETRANGE", "large", "0", "3000"});
    pipeline += TestingSession::Encode({"MGET", "{" + key + "}", "{" + key + "}none"});
    if (i % 8 == 0) pipeline += TestingSession::Encode({"GET", "large"}) + "PING\r\n";
  }
  for (unsigned shard = 0; shard < 2; ++shard) {
    session.Call({"SET", shards.KeyOf(shard, "large"), std::string(5000, 'x')});
    pipeline += TestingSession::Encode({"GET", shards.KeyOf(shard, "large")});
  }
  size_t before = 0;
  for (size_t round = 0; round < kWarmRounds + kRounds; ++round) {
    if (round == kWarmRounds) before = AllocationCount();
    session.Send(pipeline);
    shards.Settle();
    EXPECT_TRUE(session.unread().empty());
    session.output().Advance(session.output().size_bytes());
  }
  EXPECT_GT(before, 0u);
  // What a client has sent while its commands wait is kept, and given back when it holds nothing.
  EXPECT_EQ(AllocationCount() - before, kRounds);
}

TEST(CommandsAllocationTest, NoCommandIsLookedUpByAllocating) {
  const CommandTable table;
  size_t found = 0;
  for (const CommandSpec* spec : table.commands()) {
    std::string name(spec->name);
    for (char& letter : name) letter = letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter;
    const size_t before = AllocationCount();
    found += table.Find(name) == spec ? 1 : 0;
    for (const CommandSpec& subcommand : spec->subcommands) {
      found += table.FindFullName(subcommand.name) == &subcommand ? 1 : 0;
    }
    EXPECT_EQ(AllocationCount(), before) << name;
    EXPECT_EQ(table.Find("no" + name), nullptr);
  }
  EXPECT_EQ(found, table.MakeStats().size());
}

}  // namespace
}  // namespace orrery::server

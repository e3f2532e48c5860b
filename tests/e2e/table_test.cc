// The command table beside redis-server's: for every command and subcommand of ours, COMMAND INFO
// and COMMAND DOCS, the keys that COMMAND GETKEYS finds in example command lines, and what is said
// to any number of arguments and to the options of commands about the server.
//
// What would break: clients that route by key positions, proxies that obey flags and tips, and
// redis-cli's hints, all of which believe this table; and people who mistype. What may differ
// stands in reply_comparison.cc and in the lists below.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/beside_redis.h"
#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {
namespace {

using Names = std::set<std::string, std::less<>>;

// Subcommands that only Redis has, of commands that both have.
constexpr auto kOnlyInRedis = std::to_array<std::string_view>({
    // Invalidation messages for caches in clients are not there.
    "client|caching",
    "client|getredir",
    "client|tracking",
    "client|trackinginfo",
    // No command of ours blocks.
    "client|unblock",
});

// Parts of COMMAND DOCS that only Redis gives.
constexpr auto kFieldsOnlyInRedis = std::to_array<std::string_view>({"arguments", "history"});

constexpr auto kCategories =
    std::to_array<std::string_view>({"keyspace", "read", "write", "string", "bitmap", "pubsub",
                                     "admin", "fast", "slow", "dangerous", "connection", "nosuch"});

// What COMMAND GETKEYS is asked: right, wrong, and with keys in every position.
constexpr auto kLines = std::to_array<std::string_view>({
    "spublish a b",
    "ssubscribe a b",
    "get k",
    "GET k",
    "get",
    "get k k",
    "set k v",
    "set k v ex 10",
    "set k v get",
    "set k v nx get",
    "set k",
    "mset a 1 b 2 c 3",
    "mset a 1 b",
    "msetnx a 1 b 2",
    "mget a b c",
    "mget",
    "del a",
    "del a b",
    "unlink a b",
    "exists a b a",
    "touch a b",
    "bitop and d a",
    "bitop not d a b c",
    "bitop and",
    "bitfield k",
    "bitfield k get u8 0",
    "bitfield k set u8 0 1",
    "bitfield k get u8 0 incrby u8 0 1",
    "bitfield_ro k get u8 0",
    "lcs a b len",
    "copy a b replace",
    "rename a b",
    "renamenx a b",
    "object encoding k",
    "object help",
    "object nosuch k",
    "object encoding",
    "getex k persist",
    "getdel k",
    "incrbyfloat k 1",
    "expire k 1 nx",
    "restore k 0 x",
    "dump k",
    "scan 0",
    "keys *",
    "ping",
    "config get x",
    "client kill x",
    "client nosuch",
    "command getkeys get k",
    "nosuch k",
});

// Options of the commands about connections and the server, which the generated sequences of
// differential_test have less of.
constexpr auto kOptionLines = std::to_array<std::string_view>({
    "OBJECT HELP",
    "OBJECT FREQ nokey",
    "OBJECT ENCODING a b",
    "OBJECT help x",
    "CLIENT HELP",
    "CLIENT KILL ID abc",
    "CLIENT KILL ID -1",
    "CLIENT KILL ID 0",
    "CLIENT KILL ID 999999",
    "CLIENT KILL TYPE nosuch",
    "CLIENT KILL TYPE pubsub",
    "CLIENT KILL TYPE master",
    "CLIENT KILL TYPE replica SKIPME no",
    "CLIENT KILL TYPE normal SKIPME maybe",
    "CLIENT KILL ADDR 1.2.3.4:5",
    "CLIENT KILL LADDR 1.2.3.4:5",
    "CLIENT KILL USER nosuch",
    "CLIENT KILL USER default ID 999999",
    "CLIENT KILL ADDR 1.2.3.4:5 LADDR 1.2.3.4:6 TYPE normal USER default SKIPME no",
    "CLIENT KILL MAXAGE 10",
    "CLIENT KILL 1.2.3.4:5",
    "CLIENT KILL ID 1 ADDR",
    "CLIENT KILL ID 999999 ID 888888 SKIPME yes",
    "CLIENT KILL foo bar",
    "CLIENT LIST TYPE nosuch",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST TYPE replica",
    "CLIENT LIST TYPE master",
    "CLIENT LIST TYPE normal x",
    "CLIENT LIST ID",
    "CLIENT LIST ID abc",
    "CLIENT LIST ID 999999 888888",
    "CLIENT LIST ID 0",
    "CLIENT LIST FOO bar",
    "CLIENT PAUSE -1",
    "CLIENT PAUSE 0 FOO",
    "CLIENT PAUSE 1.5",
    "CLIENT PAUSE 1 WRITE",
    "CLIENT PAUSE 1 all",
    "CLIENT UNPAUSE",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT OFF",
    "CLIENT SETNAME good",
    "CLIENT GETNAME",
    "CONFIG HELP",
    "CONFIG GET maxmemory maxmemory",
    "CONFIG GET save*",
    "CONFIG GET [m]axclients",
    "CONFIG GET maxclients maxclients MAXCLIENTS",
    "CONFIG GET nosuch*",
    "CONFIG SET maxclients 100 foo",
    "CONFIG SET maxclients abc",
    "CONFIG SET maxclients 10 maxclients 11",
    "CONFIG SET nosuch 1",
    "CONFIG SET databases 1",
    "CONFIG SET proto-max-bulk-len 1mb maxclients 9999",
    "CONFIG GET proto-max-bulk-len",
    "CONFIG RESETSTAT",
    "CONFIG REWRITE",
    "COMMAND HELP",
    "COMMAND LIST FILTERBY MODULE nosuch",
    "COMMAND LIST FILTERBY NOSUCH x",
    "COMMAND LIST FILTERBY ACLCAT bitmap x",
    "COMMAND LIST FOO ACLCAT bitmap",
    "COMMAND LIST FILTERBY PATTERN nosuch*",
    "DEBUG SLEEP 0",
    "DEBUG JMAP",
    "DEBUG HELP",
    "LOLWUT VERSION abc",
    "SWAPDB a 0",
    "SWAPDB 0 b",
    "SWAPDB 0 0",
    "SWAPDB 0 99999999999",
    "SELECT 0",
    "SELECT abc",
    "SELECT -1",
    "SELECT 99999999999",
    "FLUSHDB SYNC",
    "FLUSHALL async",
    "INFO nosuch",
    "PUBSUB HELP",
    "PUBSUB CHANNELS a b",
    "PUBSUB NUMSUB",
    "PUBSUB SHARDCHANNELS a b",
    "CLIENT LIST TYPE pubsub",
    "HELLO 4",
    "HELLO abc",
    "HELLO 2 SETNAME",
    "HELLO 2 AUTH a",
    "HELLO 2 FOO",
});

class TableTest : public BesideRedis, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    BesideRedis::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (Wire* wire : {redis_wire_.get(), ours_wire_.get()}) {
      // What is slow is not the same on both.
      Ask(*wire, {"CONFIG", "SET", "slowlog-log-slower-than", "-1"});
      Ask(*wire, {"HELLO", GetParam()});
    }
  }

  static Names NamesIn(std::string_view reply) {
    Names names;
    const auto elements = ElementsOf(reply);
    EXPECT_TRUE(elements) << scenarios::Printable(reply);
    if (!elements) return names;
    for (const std::string_view element : *elements) {
      const auto text = TextIn(element);
      EXPECT_TRUE(text) << scenarios::Printable(element);
      if (text) names.emplace(*text);
    }
    return names;
  }

  // The names that both servers' tables have.
  Names SharedNames() {
    const Names redis = NamesIn(Ask(*redis_wire_, {"COMMAND", "LIST"}));
    Names shared = NamesIn(Ask(*ours_wire_, {"COMMAND", "LIST"}));
    std::erase_if(shared, [&](const std::string& name) { return !redis.contains(name); });
    return shared;
  }

  static Arguments Split(std::string_view line) {
    Arguments words;
    for (size_t at = 0; at <= line.size();) {
      const size_t space = std::min(line.find(' ', at), line.size());
      words.emplace_back(line.substr(at, space - at));
      at = space + 1;
    }
    return words;
  }

  // Expects the same reply from both, but for the accepted differences.
  void ExpectSame(const Arguments& arguments) {
    const auto difference =
        Difference(arguments, Ask(*ours_wire_, arguments), Ask(*redis_wire_, arguments));
    std::string shown;
    for (const std::string& argument : arguments) shown += argument + " ";
    EXPECT_FALSE(difference) << shown << "\n" << *difference;
  }
};

TEST_P(TableTest, HasTheNamesOfRedis) {
  const Names redis = NamesIn(Ask(*redis_wire_, {"COMMAND", "LIST"}));
  const Names ours = NamesIn(Ask(*ours_wire_, {"COMMAND", "LIST"}));
  for (const std::string& name : ours) {
    EXPECT_NE(redis.contains(name), IsNewer(name)) << name;
  }
  for (const std::string& name : redis) {
    const size_t bar = name.find('|');
    if (bar == std::string::npos || !ours.contains(name.substr(0, bar))) continue;
    const bool accepted = std::ranges::find(kOnlyInRedis, name) != kOnlyInRedis.end();
    EXPECT_NE(ours.contains(name), accepted) << name;
  }
}

TEST_P(TableTest, EveryEntryIsThatOfRedis) {
  const Names names = SharedNames();
  EXPECT_GT(names.size(), 90u);
  for (const std::string& name : names) ExpectSame({"COMMAND", "INFO", name});
  ExpectSame({"COMMAND", "INFO", "nosuch", "get", "CLIENT|LIST", "client|nosuch"});
  std::printf("%zu entries compared\n", names.size());
}

TEST_P(TableTest, EveryDocumentationIsThatOfRedis) {
  for (const std::string& name : SharedNames()) {
    const Arguments arguments = {"COMMAND", "DOCS", name};
    ExpectSame(arguments);
    // And it leaves nothing out.
    const std::string ours = Ask(*ours_wire_, arguments);
    const std::string redis = Ask(*redis_wire_, arguments);
    const auto left = ElementsOf(ours);
    const auto right = ElementsOf(redis);
    ASSERT_TRUE(left && left->size() == 2 && right && right->size() == 2) << name;
    const auto fields = ElementsOf((*left)[1]);
    const auto wanted = ElementsOf((*right)[1]);
    ASSERT_TRUE(fields && wanted) << name;
    for (size_t index = 0; index < wanted->size(); index += 2) {
      const auto field = TextIn((*wanted)[index]);
      ASSERT_TRUE(field) << name;
      if (std::ranges::find(kFieldsOnlyInRedis, *field) != kFieldsOnlyInRedis.end()) continue;
      EXPECT_NE(std::ranges::find(*fields, (*wanted)[index]), fields->end())
          << name << " has no " << *field;
    }
  }
}

TEST_P(TableTest, CategoriesHaveTheCommandsOfRedis) {
  const Names shared = SharedNames();
  for (const std::string_view category : kCategories) {
    const Arguments arguments = {"COMMAND", "LIST", "FILTERBY", "ACLCAT", std::string(category)};
    Names redis = NamesIn(Ask(*redis_wire_, arguments));
    Names ours = NamesIn(Ask(*ours_wire_, arguments));
    const auto is_not_shared = [&](const std::string& name) { return !shared.contains(name); };
    std::erase_if(redis, is_not_shared);
    std::erase_if(ours, is_not_shared);
    EXPECT_EQ(ours, redis) << category;
    EXPECT_EQ(ours.empty(), category == "nosuch") << category;
  }
}

TEST_P(TableTest, FindsTheKeysThatRedisFinds) {
  for (const std::string_view line : kLines) {
    for (const char* subcommand : {"GETKEYS", "GETKEYSANDFLAGS"}) {
      Arguments arguments = Split(line);
      arguments.insert(arguments.begin(), {"COMMAND", subcommand});
      ExpectSame(arguments);
    }
  }
}

TEST_P(TableTest, EveryNumberOfArgumentsIsAnsweredAsByRedis) {
  constexpr size_t kMoreMax = 5;
  size_t compared = 0;
  for (const std::string& name : SharedNames()) {
    // Ends the server, the connection, or its protocol.
    if (name == "shutdown" || name == "quit" || name == "reset") continue;
    if (name.ends_with("subscribe")) continue;  // Many replies: see pubsub_test.
    const size_t bar = name.find('|');
    Arguments arguments = {name.substr(0, bar)};
    if (bar != std::string::npos) arguments.push_back(name.substr(bar + 1));
    for (size_t more = 0; more <= kMoreMax; ++more, ++compared) {
      ExpectSame(arguments);
      arguments.push_back("x" + std::to_string(more));
    }
  }
  EXPECT_GT(compared, 500u);
}

TEST_P(TableTest, OptionsAreAnsweredAsByRedis) {
  for (const std::string_view line : kOptionLines) ExpectSame(Split(line));
}

// Of values that Redis does not share among keys. The clock may go on in between.
TEST_P(TableTest, IdleTimesAreThoseOfRedis) {
  constexpr int64_t kSlack_s = 2;
  for (Wire* wire : {ours_wire_.get(), redis_wire_.get()}) Ask(*wire, {"SET", "k", "not a number"});
  const std::string dump(TextIn(Ask(*redis_wire_, {"DUMP", "k"})).value_or(""));
  for (const char* idle_s :
       {"0", "1000", "100000", "16777000", "16777300", "20000000", "33555000", "40000000",
        "4294968000", "9223372036854775", "9223372036854776", "9223372036854775807", "-1"}) {
    const Arguments restore = {"RESTORE", "k", "0", dump, "REPLACE", "IDLETIME", idle_s};
    ExpectSame(restore);
    const Arguments asked = {"OBJECT", "IDLETIME", "k"};
    const auto ours = scenarios::IntegerIn(Ask(*ours_wire_, asked));
    const auto redis = scenarios::IntegerIn(Ask(*redis_wire_, asked));
    ASSERT_TRUE(ours && redis) << idle_s;
    EXPECT_NEAR(static_cast<double>(*ours), static_cast<double>(*redis), kSlack_s) << idle_s;
  }
}

// That the comparison sees a difference.
TEST_P(TableTest, AWrongEntryIsFound) {
  const auto expect_found = [&](const Arguments& arguments, std::string_view right,
                                std::string_view wrong) {
    const std::string redis = Ask(*redis_wire_, arguments);
    std::string changed = redis;
    const size_t at = changed.find(right);
    ASSERT_NE(at, std::string::npos) << scenarios::Printable(redis, 400);
    changed.replace(at, right.size(), wrong);
    EXPECT_FALSE(Difference(arguments, redis, redis));
    EXPECT_TRUE(Difference(arguments, changed, redis)) << right;
  };
  expect_found({"COMMAND", "INFO", "get"}, ":2\r\n", ":3\r\n");
  expect_found({"COMMAND", "INFO", "get"}, "+@fast\r\n", "+@slow\r\n");
  expect_found({"COMMAND", "INFO", "config"}, "+@dangerous\r\n", "+@connection\r\n");
  expect_found({"COMMAND", "INFO", "config"}, "$10\r\nconfig|set\r\n", "$10\r\nconfig|sat\r\n");
  expect_found({"COMMAND", "INFO", "set"}, "+RW\r\n", "+OW\r\n");
  expect_found({"COMMAND", "DOCS", "get"}, "$5\r\n1.0.0\r\n", "$5\r\n1.0.1\r\n");
}

INSTANTIATE_TEST_SUITE_P(Protocol, TableTest, testing::Values("2", "3"),
                         [](const auto& test) { return "Resp" + test.param; });

}  // namespace
}  // namespace orrery::e2e

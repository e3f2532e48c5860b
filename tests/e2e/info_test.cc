// INFO beside redis-server's: its sections, its fields, and what it counts of the same commands.
//
// What would break: monitoring that reads fields by name, and whoever asks INFO what went wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/e2e/beside_redis.h"
#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {
namespace {

// Fields that only Redis has.
constexpr auto kOnlyInRedis = std::to_array<std::string_view>({
    "redis_build_id",
    // Nothing counts changes while nothing is saved.
    "rdb_changes_since_last_save",
    // Not measured.
    "expire_cycle_cpu_milliseconds",
    "total_writes_processed",
});

// And only ours.
constexpr auto kOnlyInOurs = std::to_array<std::string_view>(
    {"server_name", "protocol_errors", "client_query_buffer_limit_disconnections",
     "client_output_buffer_limit_disconnections", "output_copied_bytes"});

// Counters that the same commands bring to the same.
constexpr auto kSameCounters = std::to_array<std::string_view>({
    "total_connections_received",
    "total_commands_processed",
    "rejected_connections",
    "keyspace_hits",
    "keyspace_misses",
    "total_error_replies",
    "unexpected_error_replies",
    "total_net_input_bytes",
    "lru_clock",
    "maxclients",
    "connected_clients",
    "maxmemory_policy",
    "role",
});

// What is counted: reads and writes, hits and misses, and errors of every kind.
const std::vector<Arguments> kCommands = {
    {"SET", "a", "1"},
    {"GET", "a"},
    {"GET", "none"},
    {"GET"},
    {"GET", "a", "b"},
    {"NOSUCH", "a"},
    {"SET", "a", "1", "WHAT"},
    {"INCR", "a"},
    {"SET", "text", "abc"},
    {"INCR", "text"},
    {"INCR", "none"},
    {"MGET", "a", "none", "nothing"},
    {"MSET", "x", "1", "y"},
    {"EXISTS", "a", "nothing"},
    {"TTL", "a"},
    {"TTL", "nothing"},
    {"TYPE", "nothing"},
    {"DEL", "nothing", "x"},
    {"STRLEN", "nothing"},
    {"APPEND", "more", "x"},
    {"GETDEL", "nothing"},
    {"GETEX", "a", "PERSIST"},
    {"GETSET", "a", "2"},
    {"SETNX", "a", "3"},
    {"RENAME", "nothing", "x"},
    {"COPY", "a", "copied"},
    {"OBJECT", "ENCODING", "a"},
    {"OBJECT", "ENCODING", "nothing"},
    {"OBJECT", "NOSUCH", "a"},
    {"OBJECT", "ENCODING"},
    {"TOUCH", "a", "nothing"},
    {"DUMP", "nothing"},
    {"RESTORE", "a", "0", "bad"},
    {"RESTORE", "b", "0", "bad"},
    {"CLIENT", "NOSUCH"},
    {"CLIENT", "GETNAME"},
    {"CONFIG", "GET", "nosuch"},
    {"CONFIG", "SET", "nosuch", "1"},
    {"HELLO", "9"},
    {"SETBIT", "bits", "7", "1"},
    {"GETBIT", "nothing", "7"},
    {"BITCOUNT", "nothing"},
    {"BITPOS", "nothing", "1"},
    {"BITOP", "AND", "to", "bits", "nothing"},
    {"BITFIELD", "bits", "GET", "u8", "0"},
    {"BITFIELD", "bits", "SET", "u8", "0", "1"},
    {"BITFIELD_RO", "nothing", "GET", "u8", "0"},
    {"LCS", "a", "nothing"},
    {"GETRANGE", "nothing", "0", "1"},
    {"SETRANGE", "nothing", "0", ""},
    {"EXPIRE", "nothing", "1"},
    {"EXPIRE", "a", "100", "NX"},
    {"PERSIST", "a"},
    {"SCAN", "0"},
    {"KEYS", "*"},
    {"RANDOMKEY"},
    {"SELECT", "99"},
    {"SWAPDB", "0", "0"},
    {"COMMAND", "COUNT"},
    {"COMMAND", "NOSUCH"},
};

// One section after the other: its title, and its fields in their order.
struct Section {
  std::string title;
  std::vector<std::pair<std::string, std::string>> fields;
};

std::vector<Section> Parse(std::string_view text) {
  std::vector<Section> sections;
  while (!text.empty()) {
    const size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    if (line.starts_with("# ")) {
      sections.push_back({.title = std::string(line.substr(2)), .fields = {}});
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      EXPECT_FALSE(sections.empty());
      sections.back().fields.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    } else {
      EXPECT_TRUE(line.empty()) << line;
    }
  }
  return sections;
}

class InfoTest : public BesideRedis {
 protected:
  static std::vector<Section> Info(Wire& wire, const Arguments& sections) {
    Arguments arguments = {"INFO"};
    arguments.insert(arguments.end(), sections.begin(), sections.end());
    const std::string reply = Ask(wire, arguments);
    const auto text = TextIn(reply);
    EXPECT_TRUE(text) << reply;
    return Parse(text.value_or(""));
  }

  // Of both, what is counted since.
  void ResetCounts() {
    for (Wire* wire : {ours_wire_.get(), redis_wire_.get()}) {
      EXPECT_EQ(Ask(*wire, {"CONFIG", "RESETSTAT"}), "+OK\r\n");
    }
  }

  void RunCommands() {
    for (const Arguments& arguments : kCommands) {
      const std::string ours = Ask(*ours_wire_, arguments);
      const std::string redis = Ask(*redis_wire_, arguments);
      EXPECT_EQ(ours[0], redis[0]) << arguments[0] << "\n" << ours << redis;
    }
  }
};

// Names of fields, without those that only one of the two has.
std::vector<std::string> Names(const Section& section, std::span<const std::string_view> without) {
  std::vector<std::string> names;
  for (const auto& [name, value] : section.fields) {
    if (std::ranges::find(without, name) == without.end()) names.push_back(name);
  }
  return names;
}

TEST_F(InfoTest, HasTheSectionsAndFieldsOfRedis) {
  for (const Arguments& asked : std::initializer_list<Arguments>{{},
                                                                 {"default"},
                                                                 {"all"},
                                                                 {"EVERYTHING"},
                                                                 {"Stats", "cpu", "nosuch", "CPU"},
                                                                 {"commandstats"},
                                                                 {"default", "latencystats"},
                                                                 {"nosuch"}}) {
    SCOPED_TRACE(testing::PrintToString(asked));
    const auto ours = Info(*ours_wire_, asked);
    const auto redis = Info(*redis_wire_, asked);
    ASSERT_EQ(ours.size(), redis.size());
    for (size_t index = 0; index < ours.size(); ++index) {
      const std::string& title = redis[index].title;
      EXPECT_EQ(ours[index].title, title);
      // What has been measured of which command is up to each.
      if (title == "Latencystats" || title == "Commandstats") continue;
      EXPECT_EQ(Names(ours[index], kOnlyInOurs), Names(redis[index], kOnlyInRedis)) << title;
    }
  }
}

std::map<std::string, std::string> Counters(const std::vector<Section>& sections) {
  std::map<std::string, std::string> counters;
  for (const Section& section : sections) {
    for (const auto& [name, value] : section.fields) {
      const bool same = std::ranges::find(kSameCounters, name) != kSameCounters.end();
      if (same || section.title == "Errorstats") counters[name] = value;
      if (section.title != "Commandstats") continue;
      // "calls=1,usec=2,usec_per_call=2.00,rejected_calls=0,failed_calls=0", without the times.
      const size_t times = value.find(",usec=");
      const size_t rest = value.find(",rejected_calls=");
      EXPECT_TRUE(times < rest && rest != std::string::npos) << value;
      counters[name] = value.substr(0, times) + value.substr(rest);
    }
  }
  return counters;
}

TEST_F(InfoTest, CountsWhatRedisCounts) {
  const auto expect_same = [this] {
    const auto ours = Counters(Info(*ours_wire_, {"all"}));
    const auto redis = Counters(Info(*redis_wire_, {"all"}));
    for (const auto& [name, value] : redis) {
      const auto found = ours.find(name);
      EXPECT_EQ(found == ours.end() ? "nothing" : found->second, value) << name;
    }
    EXPECT_EQ(ours.size(), redis.size());
    return ours;
  };
  ResetCounts();  // Redis has been asked whether it is there.
  RunCommands();
  const auto counted = expect_same();
  EXPECT_GT(counted.size(), 50u);
  EXPECT_EQ(counted.at("cmdstat_get"), "calls=2,rejected_calls=2,failed_calls=0");
  // What RESETSTAT leaves is itself.
  ResetCounts();
  const auto reset = expect_same();
  EXPECT_EQ(reset.at("keyspace_misses"), "0");
  EXPECT_EQ(reset.at("cmdstat_config|resetstat"), "calls=1,rejected_calls=0,failed_calls=0");
}

// A sample of the calls is timed, and all of a rare command.
TEST_F(InfoTest, KnowsHowLongCommandsTake) {
  constexpr int kCalls = 5000;
  std::string bytes;
  for (int call = 0; call < kCalls; ++call) bytes += scenarios::EncodeArray({"INCR", "counter"});
  ASSERT_EQ(ours_wire_->Exchange(bytes, kCalls).size(), size_t{kCalls});
  const auto sections = Info(*ours_wire_, {"commandstats", "latencystats"});
  ASSERT_EQ(sections.size(), 2u);
  uint64_t calls = 0;
  uint64_t time_us = 0;
  double each_us = 0;
  ASSERT_EQ(sections[0].fields.size(), 1u);
  EXPECT_EQ(sections[0].fields[0].first, "cmdstat_incr");
  ASSERT_EQ(std::sscanf(sections[0].fields[0].second.c_str(),
                        "calls=%lu,usec=%lu,usec_per_call=%lf,", &calls, &time_us, &each_us),
            3);
  EXPECT_EQ(calls, uint64_t{kCalls});
  EXPECT_GT(time_us, 0u);
  EXPECT_NEAR(each_us, static_cast<double>(time_us) / kCalls, 0.01);
  // The INFO that was rare.
  EXPECT_NE(Ask(*ours_wire_, {"INFO", "latencystats"}).find("usec_info:p50="), std::string::npos);
  double p50 = 0;
  double p99 = 0;
  double p999 = 0;
  ASSERT_EQ(sections[1].fields.size(), 1u);
  EXPECT_EQ(sections[1].fields[0].first, "latency_percentiles_usec_incr");
  ASSERT_EQ(std::sscanf(sections[1].fields[0].second.c_str(), "p50=%lf,p99=%lf,p99.9=%lf", &p50,
                        &p99, &p999),
            3);
  EXPECT_GT(p50, 0);
  EXPECT_LE(p50, p99);
  EXPECT_LE(p99, p999);
}

}  // namespace
}  // namespace orrery::e2e

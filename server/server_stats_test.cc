// What would break: INFO says of commands, errors, times and rates what was not so.
#include "server/server_stats.h"

#include <gtest/gtest.h>

namespace orrery::server {
namespace {

TEST(CommandStatsTest, EstimatesTheTimeOfAllCalls) {
  CommandStats stats;
  EXPECT_EQ(stats.EstimatedTime(), 0);
  stats.calls = 1000;
  EXPECT_EQ(stats.EstimatedTime(), 0);
  stats.AddTime(100);
  stats.AddTime(300);
  EXPECT_EQ(stats.EstimatedTime(), 200'000);
}

TEST(ErrorCountsTest, CountsByTheFirstWordUpToALimit) {
  ErrorCounts errors;
  errors.Count("ERR syntax error");
  errors.Count("WRONGTYPE of all");
  errors.Count("ERR");
  EXPECT_EQ(errors.total(), 3u);
  EXPECT_EQ(errors.by_code().at("ERR"), 2u);
  EXPECT_EQ(errors.by_code().at("WRONGTYPE"), 1u);
  for (int i = 0; i < 1000; ++i) errors.Count("E" + std::to_string(i) + " x");
  EXPECT_EQ(errors.by_code().size(), ErrorCounts::kCodesMax);
  EXPECT_EQ(errors.total(), 1003u);
  EXPECT_EQ(errors.by_code().at("ERR"), 2 + 1000 - (ErrorCounts::kCodesMax - 2));
}

TEST(ServerStatsTest, ResetKeepsOnlyNamesAndWhatWasBefore) {
  ServerStats stats;
  stats.commands.emplace_back().name = "get";
  stats.commands[0].calls = 7;
  stats.commands[0].AddTime(5);
  stats.output_bytes_before = 10;
  stats.output_bytes = 30;
  stats.errors.Count("ERR x");
  stats.Reset(3, 4);
  ASSERT_EQ(stats.commands.size(), 1u);
  EXPECT_EQ(stats.commands[0].name, "get");
  EXPECT_EQ(stats.commands[0].calls, 0u);
  EXPECT_EQ(stats.commands[0].times, nullptr);
  EXPECT_EQ(stats.output_bytes, 0u);
  EXPECT_EQ(stats.output_bytes_before, 40u);
  EXPECT_EQ(stats.expired_before, 3u);
  EXPECT_EQ(stats.freed_before, 4u);
  EXPECT_EQ(stats.errors.total(), 0u);
}

// A thousand commands a second, recorded every 100 ms or not at all.
TEST(RateMeterTest, KnowsTheLastMomentsAndForgetsOthers) {
  RateMeter meter;
  EXPECT_EQ(meter.PerSecond(kSecond, {.commands = 5}).commands, 0u);
  Nanoseconds now = 0;
  uint64_t commands = 0;
  for (int i = 0; i < 100; ++i, now += RateMeter::kPeriod, commands += 100) {
    EXPECT_TRUE(meter.due(now));
    meter.Record(now, {.commands = commands, .input_bytes = 2 * commands});
    EXPECT_FALSE(meter.due(now + RateMeter::kPeriod - 1));
  }
  EXPECT_EQ(meter.PerSecond(now, {.commands = commands}).commands, 1000u);
  EXPECT_EQ(meter.PerSecond(now, {.commands = commands, .input_bytes = 2 * commands}).input_bytes,
            2000u);
  // Nobody comes for ten seconds; then many at once.
  now += 10 * kSecond;
  EXPECT_LE(meter.PerSecond(now, {.commands = commands}).commands, 10u);
  meter.Record(now, {.commands = commands});
  EXPECT_EQ(meter.PerSecond(now, {.commands = commands + 50}).commands, 500u);
  // All was reset.
  EXPECT_EQ(meter.PerSecond(now + kSecond, {.commands = 1}).commands, 0u);
}

}  // namespace
}  // namespace orrery::server

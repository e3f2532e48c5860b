// What would break: INFO says of commands, errors, times and rates what was not so.
#include "server/server_stats.h"

#include <gtest/gtest.h>

namespace orrery::server {
namespace {

TEST(TimeHistogramTest, KnowsPercentilesToAnEighth) {
  for (const Nanoseconds unit : {Nanoseconds{1}, Nanoseconds{100}, kMicrosecond, kMillisecond}) {
    SCOPED_TRACE(unit);
    TimeHistogram times;
    for (int i = 1; i <= 1000; ++i) times.Add(i * unit);
    for (const uint64_t part : {1u, 10u, 500u, 990u, 999u, 1000u}) {
      const Nanoseconds exact = static_cast<Nanoseconds>(part) * unit;
      EXPECT_GE(times.Percentile(part, 1000), exact);
      EXPECT_LE(times.Percentile(part, 1000), exact + exact / 8);
    }
  }
}

TEST(TimeHistogramTest, TakesAnyTime) {
  TimeHistogram times;
  times.Add(-5);
  EXPECT_EQ(times.Percentile(1, 2), 0);
  times.Add(1000 * kSecond);
  EXPECT_GT(times.Percentile(999, 1000), 60 * kSecond);
}

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

// The server beside redis-server: generated sequences of commands go to both over TCP, and every
// reply must have the same bytes, but for the rows of reply_comparison.cc.
//
// What would break: a client or a library that works with Redis meets something else here. The
// sequences are RapidCheck's: a difference is reported with the shortest sequence that shows it.
// Ours runs with one shard, and then with two, where commands with keys of both are left out.
// ORRERY_COMMANDS says how many commands are drawn for each; RC_PARAMS="seed=7" gives others.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/command_generator.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {

using Arguments = std::vector<std::string>;

// A command of a sequence; a type of its own, so that RapidCheck prints it in one line.
struct Step {
  Arguments arguments;

  friend std::ostream& operator<<(std::ostream& stream, const Step& step) {
    for (const std::string& argument : step.arguments) {
      stream << scenarios::Printable(argument, 60) << ' ';
    }
    return stream << '\n';
  }
};

namespace {

constexpr uint64_t kCommands = 100'000;
// With several shards, where each command on several keys wakes them all, one after the other.
constexpr uint64_t kCommandsAcrossShards = 10'000;
// RapidCheck makes a hundred sequences, half as long as the longest on average. A little more than
// that needs, because lengths are drawn.
constexpr uint64_t kLongestSequenceOneIn = 40;

Step DrawStep(uint64_t seed) {
  Prng prng(seed);
  const scenarios::CommandOptions options{.keys = 6,
                                          .value_bytes_max = 20'000,
                                          .big_value_odds = 25,
                                          .admin_odds = 50,
                                          .bulk_odds = 1500,
                                          .transaction_odds = 12,
                                          .far_times = true};
  return {Materialize(scenarios::CommandGenerator(prng, options).Draw())};
}

// Sequences shrink by losing commands, and commands by losing arguments.
rc::Gen<std::vector<Step>> Sequences(uint64_t steps_max) {
  // All 64 bits: at larger sizes RapidCheck makes integers of ones.
  constexpr int kWholeWord = 100;
  const auto seed = rc::gen::resize(kWholeWord, rc::gen::arbitrary<uint64_t>());
  const auto step = rc::gen::map(rc::gen::noShrink(seed), DrawStep);
  const auto shorter = [](const Step& whole) {
    std::vector<Step> smaller;
    for (size_t index = 1; index < whole.arguments.size(); ++index) {
      Step candidate = whole;
      candidate.arguments.erase(candidate.arguments.begin() + static_cast<ptrdiff_t>(index));
      smaller.push_back(std::move(candidate));
    }
    return rc::seq::fromContainer(smaller);
  };
  return rc::gen::resize(static_cast<int>(steps_max),
                         rc::gen::container<std::vector<Step>>(rc::gen::shrink(step, shorter)));
}

bool IsCalled(const Arguments& arguments, std::string_view name) {
  return std::ranges::equal(arguments[0], name,
                            [](char a, char b) { return std::tolower(a) == b; });
}
bool IsExec(const Arguments& arguments) { return IsCalled(arguments, "exec"); }
bool EndsMulti(const Arguments& arguments) {
  return IsExec(arguments) || (arguments.size() == 1 &&
                               (IsCalled(arguments, "discard") || IsCalled(arguments, "reset")));
}

std::string FullNameOf(const Arguments& arguments) {
  std::string name = arguments[0] + (arguments.size() > 1 ? "|" + arguments[1] : "");
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

// What Redis does not know would make it refuse the transaction, and it counts the references that
// the queue itself has.
void DropIncomparableInTransactions(std::vector<Step>& steps) {
  bool in_multi = false;
  std::erase_if(steps, [&in_multi](const Step& step) {
    if (step.arguments.empty()) return false;
    if (IsCalled(step.arguments, "multi")) in_multi = true;
    if (EndsMulti(step.arguments)) in_multi = false;
    const std::string name = FullNameOf(step.arguments);
    return in_multi && (IsNewer(name) || name == "object|refcount");
  });
}

// Of the replies that EXEC returns to what was queued; of anything else, that it differs.
std::optional<std::string> DifferenceOfEach(const std::vector<Arguments>& queued,
                                            std::string_view ours, std::string_view redis) {
  const auto of_ours = ElementsOf(ours);
  const auto of_redis = ElementsOf(redis);
  if (!of_ours || !of_redis || of_ours->size() != of_redis->size() ||
      of_redis->size() != queued.size()) {
    return Difference({"exec"}, ours, redis);
  }
  for (size_t index = 0; index < queued.size(); ++index) {
    if (auto difference = Difference(queued[index], (*of_ours)[index], (*of_redis)[index])) {
      return "of the queued " + queued[index][0] + ":\n" + *difference;
    }
  }
  return std::nullopt;
}

class DifferentialTest : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    if (!ServerProcess::HasRedis()) GTEST_SKIP() << "redis-server is not installed";
    ASSERT_TRUE(Start());
  }

  bool Start() {
    // Uncompressed, DUMP of both is the same; hiredis_test has what Redis compresses. What is slow
    // is not the same on both.
    redis_ =
        ServerProcess::StartRedis({"--rdbcompression", "no", "--slowlog-log-slower-than", "-1"});
    ours_ = ServerProcess::StartOrrery(
        {"--shards", std::to_string(GetParam()), "--slowlog-log-slower-than", "-1"});
    return redis_ != nullptr && ours_ != nullptr && Reconnect();
  }

  bool Reconnect() {
    redis_wire_ = redis_->Connect();
    ours_wire_ = ours_->Connect();
    return redis_wire_ != nullptr && ours_wire_ != nullptr;
  }

  // What differs first, with the command; empty when nothing does.
  std::string Compare(const std::vector<Step>& steps) {
    std::string bytes = scenarios::EncodeArray({"RESET"}) + scenarios::EncodeArray({"FLUSHALL"});
    for (const Step& step : steps) bytes += scenarios::EncodeArray(step.arguments);
    const size_t count = steps.size() + 2;
    const auto redis = redis_wire_->Exchange(bytes, count);
    const auto ours = ours_wire_->Exchange(bytes, count);
    compared_ += steps.size();
    if (redis.size() != count || ours.size() != count) {
      std::string what = "redis: " + std::to_string(redis.size()) + " replies, " +
                         redis_wire_->problem() + "; ours: " + std::to_string(ours.size()) +
                         " replies, " + ours_wire_->problem();
      // A server that has ended is started again, so that the sequence can shrink.
      if (!Reconnect()) RC_ASSERT(Start());
      return what;
    }
    std::vector<Arguments> queued;
    for (size_t index = 2; index < count; ++index) {
      const Arguments& arguments = steps[index - 2].arguments;
      errors_ += redis[index].starts_with('-') ? 1 : 0;
      accepted_ += redis[index] != ours[index] ? 1 : 0;
      if (redis[index] == "+QUEUED\r\n") queued.push_back(arguments);
      const bool runs_queued = redis[index].starts_with('*') && IsExec(arguments);
      const auto difference = runs_queued ? DifferenceOfEach(queued, ours[index], redis[index])
                                          : Difference(arguments, ours[index], redis[index]);
      if (EndsMulti(arguments)) queued.clear();
      if (!difference) continue;
      std::string shown;
      for (const std::string& argument : arguments) {
        shown += scenarios::Printable(argument, 60) + " ";
      }
      return "command " + std::to_string(index - 1) + ": " + shown + "\n" + *difference;
    }
    return "";
  }

  std::unique_ptr<ServerProcess> redis_;
  std::unique_ptr<ServerProcess> ours_;
  std::unique_ptr<Wire> redis_wire_;
  std::unique_ptr<Wire> ours_wire_;
  uint64_t compared_ = 0;
  uint64_t errors_ = 0;    // Of them, those that both refuse.
  uint64_t accepted_ = 0;  // Of them, those that differ as they may.
};

TEST_P(DifferentialTest, EveryReplyIsThatOfRedis) {
  const char* wanted_text = std::getenv("ORRERY_COMMANDS");
  const uint64_t wanted = wanted_text != nullptr ? std::strtoull(wanted_text, nullptr, 10)
                          : GetParam() == 1      ? kCommands
                                                 : kCommandsAcrossShards;
  const bool same = rc::check("every reply is that of Redis", [this, wanted] {
    std::vector<Step> steps = *Sequences(wanted / kLongestSequenceOneIn);
    DropIncomparableInTransactions(steps);
    const std::string difference = Compare(steps);
    if (!difference.empty()) RC_FAIL(difference);
  });
  ASSERT_TRUE(same);
  EXPECT_GE(compared_, wanted / 4 * 3);
  // Of a mixture, some are refused, and most are not.
  EXPECT_GT(errors_, compared_ / 50);
  EXPECT_LT(errors_, compared_ / 2);
  std::printf("%llu commands compared; errors: %llu; accepted differences: %llu\n",
              static_cast<unsigned long long>(compared_), static_cast<unsigned long long>(errors_),
              static_cast<unsigned long long>(accepted_));
}

INSTANTIATE_TEST_SUITE_P(Shards, DifferentialTest, testing::Values(1u, 2u));

}  // namespace
}  // namespace orrery::e2e

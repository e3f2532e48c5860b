// The sequential model against the real thing: generated commands go to a redis-server of this
// test's own, and each reply must be the model's.
//
// What would break: the simulation would hold the server to semantics that are not Redis's. Skipped
// where no redis-server is installed. The generated times to live are hours at least, or over at
// once, so that real time decides nothing but the last digits of TTL and its like: by how much is
// known from how long the commands have taken.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"
#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

using e2e::ServerProcess;
using e2e::Wire;

// Of a real server: nobody sets its clock, and one clock serves as both.
Moment MomentNow() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  const int64_t now_ms = int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  return {.wall_ms = now_ms, .monotonic_ms = now_ms};
}

// One reply; what is wrong when there is none.
std::string Ask(Wire& wire, std::string_view bytes) {
  const std::vector<std::string> replies = wire.Exchange(bytes, 1);
  return replies.empty() ? wire.problem() : replies[0];
}

std::string LowerWord(std::string word) {
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word;
}

using Arguments = std::vector<std::string>;

// When a key expires, the model knows from a clock that it read before Redis did; and so when
// somebody asks. Redis adds 500 ms to round, and the largest times overflow.
bool MatchesInTime(const Expectation& expected, const Arguments& arguments,
                   const std::string& reply, int64_t late_max_ms) {
  constexpr int64_t kOverflowed = -9'000'000'000'000'000;
  const std::string name = LowerWord(arguments[0]);
  if (name != "ttl" && name != "pttl" && name != "expiretime" && name != "pexpiretime")
    return false;
  const auto want = IntegerIn(expected.bytes);
  const auto have = IntegerIn(reply);
  if (!want || !have || *want < 0) return false;
  if (*have < kOverflowed) return *want > -kOverflowed;
  const int64_t difference_max = name[0] == 'p' ? late_max_ms : late_max_ms / 1000 + 1;
  return *have >= 0 && std::abs(*want - *have) <= difference_max;
}

// Of a small integer, Redis says when anybody used that integer, under whatever key.
bool AsksIdleTime(const Arguments& arguments) {
  return arguments.size() > 1 && LowerWord(arguments[0]) == "object" &&
         LowerWord(arguments[1]) == "idletime";
}

// Redis has these since 7.2.
bool IsNewer(const Arguments& arguments) {
  if (arguments.size() < 2 || LowerWord(arguments[0]) != "client") return false;
  const std::string name = LowerWord(arguments[1]);
  return name == "setinfo" || name == "no-touch";
}

// Whether the reply is the model's, but for what the real time decides. Of an EXEC, `queued` is
// what it runs.
bool IsRight(const Expectation& expected, const Arguments& arguments,
             const std::vector<Arguments>& queued, const std::string& reply, int64_t late_max_ms) {
  if (expected.Matches(reply)) return true;
  if (AsksIdleTime(arguments)) return IntegerIn(expected.bytes) && IntegerIn(reply);
  if (expected.kind != Expectation::Kind::kArray) {
    return MatchesInTime(expected, arguments, reply, late_max_ms);
  }
  const auto elements = ElementsOf(reply);
  if (!elements || elements->size() != queued.size()) return false;
  for (size_t index = 0; index < queued.size(); ++index) {
    if (!IsRight(expected.elements[index], queued[index], {}, (*elements)[index], late_max_ms)) {
      return false;
    }
  }
  return true;
}

class SequentialModelRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!ServerProcess::HasRedis()) GTEST_SKIP() << "redis-server is not installed";
    server_ = ServerProcess::StartRedis({});
    ASSERT_NE(server_, nullptr) << "redis-server did not start";
  }

  std::unique_ptr<ServerProcess> server_;
};

TEST_F(SequentialModelRedisTest, EveryReplyIsTheModels) {
  uint64_t compared = 0;
  // The two moments at which a time to live was set and asked for may each be as late as the
  // slowest command.
  int64_t slowest_ms = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Prng prng(seed);
    WorkloadOptions options = DrawWorkloadOptions(prng);
    options.disconnect_odds = 0;
    options.protocol_error_odds = 0;
    options.control_odds = 0;
    options.far_times = true;
    // The real clock would decide.
    if (options.theme == Theme::kShortLives) options.theme = Theme::kNone;
    options.value_bytes_max = 20'000;
    const std::unique_ptr<Wire> wire = server_->Connect();
    ASSERT_NE(wire, nullptr);
    SequentialModel model;
    SequentialModel::Connection session;
    Ask(*wire, EncodeArray({"FLUSHALL"}));
    Ask(*wire, EncodeArray({"CONFIG", "SET", "rdbcompression", "no"}));
    Workload workload = GenerateWorkload(prng, options);
    AddTransactions(prng, options.keys, workload);
    for (const Script& script : workload) {
      for (const ScriptStep& step : script.steps) {
        for (const Command& command : step.commands) {
          const Arguments arguments = Materialize(command);
          if (session.quit || IsNewer(arguments)) continue;
          const std::string bytes = step.form == Form::kArray ? EncodeArray(arguments)
                                    : step.form == Form::kInlineDouble
                                        ? EncodeInline(arguments, InlineStyle::kDouble)
                                        : EncodeInline(arguments, InlineStyle::kSingle);
          const std::vector<Arguments> queued = session.queued;
          const Moment before = MomentNow();
          const Expectation expected = model.Execute(session, arguments, before);
          const std::string reply = Ask(*wire, bytes);
          slowest_ms = std::max(slowest_ms, MomentNow().wall_ms - before.wall_ms);
          ++compared;
          std::string shown;
          for (const std::string& argument : arguments) shown += Printable(argument, 30) + " ";
          ASSERT_TRUE(IsRight(expected, arguments, queued, reply, 2 * slowest_ms + 1))
              << "seed " << seed << ": " << shown << "\nexpected " << expected.Describe()
              << "\nreceived " << Printable(reply, 300);
        }
      }
    }
  }
  EXPECT_GT(compared, 5000u);
}

TEST_F(SequentialModelRedisTest, BadInputGetsTheErrorsThatTheWorkloadExpects) {
  uint64_t compared = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Prng prng(seed);
    WorkloadOptions options;
    options.clients = 1;
    options.protocol_error_odds = 1;
    for (const Script& script : GenerateWorkload(prng, options)) {
      for (const ScriptStep& step : script.steps) {
        if (step.kind != ScriptStep::Kind::kRaw) continue;
        const std::unique_ptr<Wire> wire = server_->Connect();
        ASSERT_NE(wire, nullptr);
        const std::string ping = step.error.empty() ? "PING\r\n" : "";
        EXPECT_EQ(Ask(*wire, step.raw.Materialize() + ping),
                  step.error.empty() ? "+PONG\r\n" : step.error)
            << Printable(step.raw.Materialize());
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 1000u);
}

}  // namespace
}  // namespace orrery::scenarios

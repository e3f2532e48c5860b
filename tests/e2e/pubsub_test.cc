// Publish and subscribe beside redis-server: several clients of either server do the same, one
// command after the other, and after each every client must have been sent the same.
//
// What would break: a message is missing, comes twice, comes in another order, or in other bytes;
// or a client that listens may do other things than with Redis. What Redis leaves to chance may
// differ: the order in which patterns that match one message are served, and that in which
// UNSUBSCRIBE without names names them.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "tests/e2e/beside_redis.h"
#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/command_generator.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {

// What one of the clients says; a type of its own, so that RapidCheck prints it in one line.
struct Step {
  size_t client = 0;
  Arguments arguments;

  friend std::ostream& operator<<(std::ostream& stream, const Step& step) {
    stream << step.client << ": ";
    for (const std::string& argument : step.arguments) {
      stream << scenarios::Printable(argument, 60) << ' ';
    }
    return stream << '\n';
  }
};

namespace {

constexpr size_t kClients = 4;
constexpr int kStepsMax = 100;

std::string Lower(std::string text) {
  for (char& byte : text) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return text;
}

Step DrawStep(uint64_t seed) {
  Prng prng(seed);
  const scenarios::CommandOptions options{.keys = 6,
                                          .value_bytes_max = 20'000,
                                          .big_value_odds = 10,
                                          .pubsub_odds = 1,
                                          .far_times = true};
  Step step{.client = prng.Below(kClients), .arguments = {}};
  // HELLO often enough that both protocols listen.
  if (prng.Chance(1, 12)) {
    step.arguments = {"HELLO", prng.Chance(1, 2) ? "2" : "3"};
    return step;
  }
  step.arguments = Materialize(scenarios::CommandGenerator(prng, options).Draw());
  if (step.arguments.size() > 1 &&
      IsNewer(Lower(step.arguments[0]) + "|" + Lower(step.arguments[1]))) {
    // Redis refuses what it does not know before it refuses what a listener may not do.
    step.arguments = {"PING"};
  }
  return step;
}

rc::Gen<std::vector<Step>> Sequences() {
  // All 64 bits: at larger sizes RapidCheck makes integers of ones.
  constexpr int kWholeWord = 100;
  const auto seed = rc::gen::resize(kWholeWord, rc::gen::arbitrary<uint64_t>());
  const auto step = rc::gen::map(rc::gen::noShrink(seed), DrawStep);
  return rc::gen::resize(kStepsMax, rc::gen::container<std::vector<Step>>(step));
}

// A server and the clients of a sequence.
class Side {
 public:
  explicit Side(const ServerProcess& server) : server_(server) {}

  // Forgets all that was before; every other client speaks RESP3. False when the server takes no
  // clients.
  bool Start() {
    for (std::unique_ptr<Wire>& wire : wires_) {
      wire = server_.Connect();
      if (wire == nullptr) return false;
    }
    for (size_t client = 1; client < kClients; client += 2) {
      wires_[client]->Exchange(scenarios::EncodeArray({"HELLO", "3"}), 1);
    }
    return wires_[0]->Exchange(scenarios::EncodeArray({"FLUSHALL"}), 1).size() == 1;
  }

  // What each client is sent when this is done.
  std::array<std::vector<std::string>, kClients> Do(const Step& step) {
    std::array<std::vector<std::string>, kClients> sent;
    sent[step.client] =
        Sync(step.client, scenarios::EncodeArray(step.arguments) + std::string(kPing));
    for (size_t client = 0; client < kClients; ++client) {
      if (client != step.client) wires_[client]->Exchange(kPing, 0);
    }
    for (size_t client = 0; client < kClients; ++client) {
      if (client != step.client) sent[client] = Sync(client, "");
    }
    return sent;
  }

 private:
  static constexpr std::string_view kMark = "the-end-of-a-step\r\n";
  static constexpr std::string_view kPing = "PING the-end-of-a-step\r\n";

  // What comes before the answer to the PING, which ends with the mark in either protocol.
  std::vector<std::string> Sync(size_t client, std::string_view bytes) {
    Wire& wire = *wires_[client];
    std::vector<std::string> taken = wire.ExchangeUntil(
        bytes, [](const auto& all) { return !all.empty() && all.back().ends_with(kMark); });
    if (!taken.empty() && taken.back().ends_with(kMark)) {
      taken.pop_back();
    } else {
      taken.push_back(wire.problem());
    }
    return taken;
  }

  const ServerProcess& server_;
  std::array<std::unique_ptr<Wire>, kClients> wires_;
};

bool IsPatternMessage(std::string_view frame) {
  return frame.substr(1).starts_with("4\r\n$8\r\npmessage\r\n");
}

// Messages of patterns, in any order; the rest stays where it is.
std::vector<std::string> WithPatternsSorted(std::vector<std::string> frames) {
  const auto first = std::ranges::find_if(frames, IsPatternMessage);
  auto last = first;
  while (last != frames.end() && IsPatternMessage(*last)) ++last;
  std::sort(first, last);
  return frames;
}

bool IsUnsubscribeFromAll(const Arguments& arguments) {
  return arguments.size() == 1 && Lower(arguments[0]).ends_with("unsubscribe");
}

// Of frames that name something and count down: the names in order, and the counts as they come.
std::vector<std::string> WithNamesSorted(const std::vector<std::string>& frames) {
  std::vector<std::string> names;
  std::vector<std::string> counts;
  for (const std::string& frame : frames) {
    const size_t count = frame.rfind(':');
    names.push_back(frame.substr(0, count));
    counts.push_back(count == std::string::npos ? "" : frame.substr(count));
  }
  std::ranges::sort(names);
  names.insert(names.end(), counts.begin(), counts.end());
  return names;
}

// Why the frames that a client was sent are not those of Redis; nothing when they are.
std::optional<std::string> FirstDifference(const Step& step, bool its_own,
                                           const std::vector<std::string>& ours,
                                           const std::vector<std::string>& redis) {
  if (ours == redis) return std::nullopt;
  if (IsUnsubscribeFromAll(step.arguments) && WithNamesSorted(ours) == WithNamesSorted(redis)) {
    return std::nullopt;
  }
  const auto left = WithPatternsSorted(ours);
  const auto right = WithPatternsSorted(redis);
  if (left == right) return std::nullopt;
  if (its_own && left.size() == 1 && right.size() == 1) {
    return orrery::e2e::Difference(step.arguments, left[0], right[0]);
  }
  std::string shown = std::to_string(redis.size()) + " from redis:";
  for (const std::string& frame : right) shown += "\n  " + scenarios::Printable(frame, 200);
  shown += "\n" + std::to_string(ours.size()) + " from ours:";
  for (const std::string& frame : left) shown += "\n  " + scenarios::Printable(frame, 200);
  return shown;
}

// By how many shards ours has: its clients are then on several.
class PubSubTest : public BesideRedis, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    BesideRedis::SetUp();
    if (IsSkipped() || HasFatalFailure() || GetParam() == 1) return;
    ours_ = ServerProcess::StartOrrery({"--shards=" + std::to_string(GetParam())});
    ASSERT_NE(ours_, nullptr);
    ours_wire_ = ours_->Connect();
    ASSERT_NE(ours_wire_, nullptr);
  }

  // What differs first; empty when nothing does.
  std::string Compare(const std::vector<Step>& steps) {
    Side redis(*redis_);
    Side ours(*ours_);
    if (!redis.Start() || !ours.Start()) return "a server takes no clients";
    for (const Step& step : steps) {
      const auto from_redis = redis.Do(step);
      const auto from_ours = ours.Do(step);
      for (size_t client = 0; client < kClients; ++client) {
        frames_ += from_redis[client].size();
        const auto difference =
            FirstDifference(step, client == step.client, from_ours[client], from_redis[client]);
        if (difference) return "client " + std::to_string(client) + ": " + *difference;
        if (client != step.client) pushes_ += from_redis[client].size();
      }
    }
    return "";
  }

  uint64_t frames_ = 0;
  uint64_t pushes_ =
      0;  // Of them, those that came to another client than the one who said something.
};

TEST_P(PubSubTest, EveryClientIsSentWhatRedisSends) {
  const bool same = rc::check("every client is sent what Redis sends", [this] {
    const std::string difference = Compare(*Sequences());
    if (!difference.empty()) RC_FAIL(difference);
  });
  ASSERT_TRUE(same);
  EXPECT_GT(pushes_, 500u);
  std::printf("%llu frames compared, of them %llu pushed to others\n",
              static_cast<unsigned long long>(frames_), static_cast<unsigned long long>(pushes_));
}

// A client that ends leaves nothing behind, however it ends.
TEST_P(PubSubTest, WhoHasGoneListensNoMore) {
  for (const auto& [server, control] :
       {std::pair(redis_.get(), redis_wire_.get()), std::pair(ours_.get(), ours_wire_.get())}) {
    for (const Arguments& last : {Arguments{"QUIT"}, Arguments{"RESET"}, Arguments{}}) {
      std::unique_ptr<Wire> listener = server->Connect();
      ASSERT_NE(listener, nullptr);
      Ask(*listener, {"SUBSCRIBE", "a"});
      Ask(*listener, {"PSUBSCRIBE", "a*"});
      Ask(*listener, {"SSUBSCRIBE", "a"});
      EXPECT_EQ(Ask(*control, {"PUBLISH", "a", "x"}), ":2\r\n");
      EXPECT_EQ(listener->Exchange("", 2).size(), 2u);
      if (last.empty()) {
        EXPECT_EQ(Ask(*control, {"CLIENT", "KILL", "TYPE", "pubsub"}), ":1\r\n");
      } else {
        Ask(*listener, last);
      }
      EXPECT_EQ(Ask(*control, {"PUBLISH", "a", "x"}), ":0\r\n");
      EXPECT_EQ(Ask(*control, {"SPUBLISH", "a", "x"}), ":0\r\n");
      EXPECT_EQ(Ask(*control, {"PUBSUB", "CHANNELS"}), "*0\r\n");
      EXPECT_EQ(Ask(*control, {"PUBSUB", "SHARDCHANNELS"}), "*0\r\n");
      EXPECT_EQ(Ask(*control, {"PUBSUB", "NUMPAT"}), ":0\r\n");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, PubSubTest, testing::Values(1, 2));

}  // namespace
}  // namespace orrery::e2e

// What would break: one seed would give two different runs, a recorded plan would not repeat its
// run, the scheduler would starve somebody or let time stand still, or a spinning shard would go
// unnoticed.
//
// The program under test is a small echo server written straight onto the ring, so that this test
// needs nothing above it. Its clients check that they read exactly what they sent.
#include "sim/world.h"

#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/observer.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/ring/user_data.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/plan.h"
#include "sim/transcript.h"

namespace orrery::sim {
namespace {

constexpr size_t kEchoBufferBytes = 512;

// Accepts, receives and sends back, one operation at a time for each connection.
class EchoShard final : public Turnable {
 public:
  EchoShard(Ring& ring, int listener) : ring_(ring), submission_(ring), listener_(listener) {}

  EnterRequest Turn() override {
    unsigned head = 0;
    unsigned reaped = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_.memory(), head, cqe) {
      Handle(Completion(*cqe));
      ++reaped;
    }
    io_uring_cq_advance(&ring_.memory(), reaped);
    bool refused = !accepting_ && !Accept();
    for (auto& [number, connection] : connections_) refused |= !Arm(number, *connection);
    std::erase_if(connections_, [](const auto& entry) { return entry.second->gone; });
    const unsigned pending = submission_.Publish();
    return {.to_submit = pending, .min_complete = refused ? 0u : 1u};
  }

  void OnEntered(const EnterResult& result) override {
    if (result.has_value()) return;
    const Errno error = result.error();
    ORRERY_CHECK(error == EINTR || error == EAGAIN || error == EBUSY || error == ETIME);
  }

  bool finished() const override { return false; }
  size_t connections() const { return connections_.size(); }

 private:
  struct Connection {
    int descriptor = -1;
    std::array<std::byte, kEchoBufferBytes> buffer{};
    size_t size = 0;  // Received and not sent back yet: from sent on.
    size_t sent = 0;
    bool end = false;
    bool closing = false;
    bool in_flight = false;
    bool gone = false;
  };

  static UserData Tag(Operation operation, uint32_t number) {
    return {.operation = operation, .slot = {.index = number, .generation = 0}};
  }

  bool Accept() {
    accepting_ = submission_.AcceptMultishot(File::Descriptor(listener_), SOCK_CLOEXEC,
                                             Tag(Operation::kAccept, 0));
    return accepting_;
  }

  void Handle(const Completion& completion) {
    const uint32_t number = completion.user_data().slot.index;
    if (completion.user_data().operation == Operation::kAccept) {
      accepting_ = completion.more();
      if (!completion.ok()) return;
      auto connection = std::make_unique<Connection>();
      connection->descriptor = static_cast<int>(completion.value());
      connections_[next_number_++] = std::move(connection);
      return;
    }
    Connection& connection = *connections_.at(number);
    connection.in_flight = false;
    switch (completion.user_data().operation) {
      case Operation::kReceive:
        connection.sent = 0;
        connection.size = completion.ok() ? completion.value() : 0;
        connection.end = connection.size == 0;
        return;
      case Operation::kSend:
        if (!completion.ok()) connection.end = true;
        connection.sent += completion.ok() ? completion.value() : 0;
        return;
      default:
        connection.gone = true;
        return;
    }
  }

  bool Arm(uint32_t number, Connection& connection) {
    if (connection.in_flight || connection.gone) return true;
    const File file = File::Descriptor(connection.descriptor);
    if (connection.end) {
      connection.in_flight = submission_.Close(file, Tag(Operation::kClose, number));
    } else if (connection.sent < connection.size) {
      const std::span<const std::byte> rest =
          std::span(connection.buffer).subspan(connection.sent, connection.size - connection.sent);
      connection.in_flight = submission_.Send(file, rest, 0, Tag(Operation::kSend, number));
    } else {
      connection.in_flight =
          submission_.Receive(file, connection.buffer, 0, Tag(Operation::kReceive, number));
    }
    return connection.in_flight;
  }

  Ring& ring_;
  SubmissionQueue submission_;
  int listener_;
  bool accepting_ = false;
  uint32_t next_number_ = 0;
  std::map<uint32_t, std::unique_ptr<Connection>> connections_;
};

// Sends its bytes in pieces and reads them back.
class EchoClient final : public Actor {
 public:
  EchoClient(model::ModelKernel& kernel, EventLog& log, uint16_t port, std::string bytes,
             Nanoseconds start)
      : kernel_(kernel), log_(log), port_(port), bytes_(std::move(bytes)), start_(start) {}

  bool Ready(Nanoseconds now) const override {
    if (done()) return false;
    if (!connected_) return now >= start_;
    return sent_ < bytes_.size() || kernel_.PeerReadable(peer_) > 0 || kernel_.PeerEnded(peer_);
  }

  bool Step(Nanoseconds) override {
    if (!connected_) {
      const auto peer = kernel_.PeerConnect(port_);
      if (!peer) return false;
      peer_ = *peer;
      connected_ = true;
      return true;
    }
    std::array<std::byte, 300> buffer{};
    const model::PeerRead read = kernel_.PeerReceive(peer_, buffer);
    const auto* text = reinterpret_cast<const char*>(buffer.data());
    if (std::string_view(text, read.bytes) != std::string_view(bytes_).substr(read_, read.bytes)) {
      log_.ReportViolation("echo-differs", "not what was sent", peer_);
    }
    read_ += read.bytes;
    if (read.end || read.reset) log_.ReportViolation("echo-lost", "ended", peer_);
    if (done()) {
      kernel_.PeerClose(peer_);
      return true;
    }
    const size_t piece = std::min<size_t>(bytes_.size() - sent_, 200);
    const auto sent =
        kernel_.PeerSend(peer_, std::as_bytes(std::span(bytes_)).subspan(sent_, piece));
    if (sent) sent_ += *sent;
    return read.bytes > 0 || (sent && *sent > 0);
  }

  Nanoseconds NextAt(Nanoseconds now) const override {
    return connected_ || start_ <= now ? kNever : start_;
  }

  bool done() const { return read_ == bytes_.size(); }

 private:
  model::ModelKernel& kernel_;
  EventLog& log_;
  uint16_t port_;
  std::string bytes_;
  Nanoseconds start_;
  model::ModelKernel::PeerId peer_ = 0;
  bool connected_ = false;
  size_t sent_ = 0;
  size_t read_ = 0;
};

struct EchoResult {
  uint64_t hash = 0;
  uint64_t events = 0;
  Nanoseconds time = 0;
  StopReason reason{};
  std::optional<Violation> violation;
  std::vector<PlannedChoice> choices;
};

// The world of a seed, with the decisions of `choice`. The configuration is the seed's in both
// cases.
EchoResult RunEcho(uint64_t seed, model::Choice& decisions, Transcript* transcript = nullptr) {
  Prng prng(seed);
  model::ModelOptions options;
  options.task_work = prng.Chance(1, 2) ? model::TaskWork::kPrompt : model::TaskWork::kDeferred;
  options.sq_entries = 1u << prng.Below(4);
  options.cq_entries = options.sq_entries << prng.Below(3);
  options.socket_buffer_bytes = prng.Between(1, 3000);
  const uint64_t clients = prng.Between(1, 5);

  EventLog log({}, transcript);
  RecordingChoice choice(decisions);
  model::ModelKernel kernel(options, choice, &log);
  const int listener = kernel.Listen({.address = "127.0.0.1", .port = 7, .backlog = 16}).value();
  std::unique_ptr<Ring> ring = kernel.MakeRing({}).value();
  EchoShard shard(*ring, listener);
  World world(kernel, choice, log,
              {.interrupts = options.task_work == model::TaskWork::kPrompt, .spin_turns_max = 500});
  world.AddShard(0, shard, *kernel.rings().front());
  std::vector<std::unique_ptr<EchoClient>> actors;
  for (uint64_t client = 0; client < clients; ++client) {
    std::string bytes;
    for (uint64_t size = prng.Below(5000); size-- > 0;) bytes += static_cast<char>(prng.Below(256));
    const auto start = static_cast<Nanoseconds>(prng.Below(100)) * kMillisecond;
    actors.push_back(std::make_unique<EchoClient>(kernel, log, 7, std::move(bytes),
                                                  kernel.MonotonicNow() + start));
    world.AddActor(100 + client, *actors.back());
  }
  const StopReason reason = world.RunUntil(
      [&] {
        return shard.connections() == 0 &&
               std::all_of(actors.begin(), actors.end(), [](const auto& a) { return a->done(); });
      },
      {.time_max = kernel.MonotonicNow() + 60 * kSecond,
       .events_max = 2'000'000,
       .steps_max = 2'000'000});
  EchoResult result{.hash = log.hash(),
                    .events = log.count(),
                    .time = log.now(),
                    .reason = reason,
                    .violation = log.violation(),
                    .choices = choice.recorded()};
  kernel.Close(listener);
  return result;
}

EchoResult RunEchoSeed(uint64_t seed, Transcript* transcript = nullptr) {
  Prng prng(Mix64(seed));
  const SiteRates rates = SiteRates::Draw(prng);
  RandomChoice choice(seed, rates);
  return RunEcho(seed, choice, transcript);
}

TEST(World, EveryByteComesBackWhateverTheKernelAndTheSchedulerDo) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const EchoResult result = RunEchoSeed(seed);
    ASSERT_FALSE(result.violation.has_value())
        << "seed " << seed << ": " << result.violation->invariant << ": "
        << result.violation->detail;
    ASSERT_EQ(result.reason, StopReason::kPredicate)
        << "seed " << seed << ": " << NameOf(result.reason) << " after " << result.events
        << " events at " << result.time;
  }
}

TEST(World, ASeedIsOneRun) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const EchoResult first = RunEchoSeed(seed);
    const EchoResult second = RunEchoSeed(seed);
    EXPECT_EQ(first.hash, second.hash) << seed;
    EXPECT_EQ(first.events, second.events) << seed;
    EXPECT_EQ(first.choices, second.choices) << seed;
  }
}

// The bytes of each kind of event, by connection, one after the other.
std::map<uint64_t, std::string> BytesOf(const Transcript& transcript, model::EventKind kind,
                                        bool reads) {
  std::map<uint64_t, std::string> bytes;
  for (const TranscriptEntry& entry : transcript.entries()) {
    const model::Event& event = entry.event.event;
    if (!entry.event.note.empty() || event.kind != kind || entry.bytes.empty()) continue;
    if (kind == model::EventKind::kPeer && (event.a < 0) != reads) continue;
    bytes[event.entity] += entry.bytes;
  }
  return bytes;
}

TEST(World, ATranscriptHasAllBytesAndChangesNothing) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Transcript transcript({.entries_max = SIZE_MAX, .bytes_max = SIZE_MAX});
    const EchoResult watched = RunEchoSeed(seed, &transcript);
    EXPECT_EQ(watched.hash, RunEchoSeed(seed).hash) << seed;
    EXPECT_EQ(transcript.entries().size(), watched.events) << seed;
    // An echo: what one end sends is what the other receives, there and back.
    const auto sent_by_clients = BytesOf(transcript, model::EventKind::kPeer, false);
    EXPECT_FALSE(sent_by_clients.empty()) << seed;
    EXPECT_EQ(BytesOf(transcript, model::EventKind::kReceived, false), sent_by_clients) << seed;
    EXPECT_EQ(BytesOf(transcript, model::EventKind::kSent, false), sent_by_clients) << seed;
    EXPECT_EQ(BytesOf(transcript, model::EventKind::kPeer, true), sent_by_clients) << seed;
  }
}

TEST(World, SaysWhatItLooksLikeAfterTheEventThatIsAskedFor) {
  const auto ask = [](uint64_t event) {
    Transcript transcript({.entries_max = 1, .bytes_max = 0});
    transcript.AskWorld(event, std::nullopt);
    RunEchoSeed(1, &transcript);
    return transcript.answer();
  };
  const Facts early = ask(1);
  ASSERT_EQ(early.size(), 2u);
  EXPECT_EQ(early[0].first, "shard 0");
  EXPECT_EQ(early[1].first, "ring 0");
  EXPECT_EQ(ask(1), early);
  std::set<Facts> answers;
  for (uint64_t event = 1; event < 40; ++event) answers.insert(ask(event));
  EXPECT_GT(answers.size(), 2u);
  EXPECT_TRUE(ask(UINT64_MAX).empty());
}

TEST(World, DifferentSeedsAreDifferentRuns) {
  std::map<uint64_t, uint64_t> seeds_by_hash;
  for (uint64_t seed = 0; seed < 100; ++seed) seeds_by_hash[RunEchoSeed(seed).hash] = seed;
  EXPECT_GT(seeds_by_hash.size(), 95u);
}

TEST(World, ThePlanOfASeedIsThatRun) {
  uint64_t choices = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const EchoResult recorded = RunEchoSeed(seed);
    choices += recorded.choices.size();
    Plan plan;
    plan.scenario = "echo";
    plan.choices = recorded.choices;
    const auto read = ReadPlan(WritePlan(plan));
    ASSERT_TRUE(read.has_value()) << read.error();
    PlanChoice choice(read->choices);
    const EchoResult replayed = RunEcho(seed, choice);
    EXPECT_EQ(replayed.hash, recorded.hash) << seed;
    EXPECT_EQ(replayed.events, recorded.events) << seed;
    EXPECT_EQ(choice.unused(), 0u) << seed;
  }
  EXPECT_GT(choices, 500u);
}

// --- Small participants, for the scheduler alone.

// Counts its steps; ready until it has done all of them.
class Counter final : public Actor {
 public:
  explicit Counter(std::string& trace, char name, int steps)
      : trace_(trace), name_(name), left_(steps) {}
  bool Ready(Nanoseconds) const override { return left_ > 0; }
  bool Step(Nanoseconds) override {
    trace_ += name_;
    --left_;
    return true;
  }
  Nanoseconds NextAt(Nanoseconds) const override { return kNever; }

 private:
  std::string& trace_;
  char name_;
  int left_;
};

// Acts at given times only.
class Alarm final : public Actor {
 public:
  explicit Alarm(std::vector<Nanoseconds> times) : times_(std::move(times)) {}
  bool Ready(Nanoseconds now) const override {
    return next_ < times_.size() && now >= times_[next_];
  }
  bool Step(Nanoseconds now) override {
    rung_.push_back(now);
    ++next_;
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return next_ < times_.size() && times_[next_] > now ? times_[next_] : kNever;
  }
  const std::vector<Nanoseconds>& rung() const { return rung_; }

 private:
  std::vector<Nanoseconds> times_;
  size_t next_ = 0;
  std::vector<Nanoseconds> rung_;
};

// Always wants to, never can.
class Stuck final : public Actor {
 public:
  bool Ready(Nanoseconds) const override { return true; }
  bool Step(Nanoseconds) override {
    ++tries_;
    return false;
  }
  Nanoseconds NextAt(Nanoseconds) const override { return kNever; }
  int tries() const { return tries_; }

 private:
  int tries_ = 0;
};

// Enters without ever waiting.
class Spinner final : public Turnable {
 public:
  EnterRequest Turn() override { return {.to_submit = 0, .min_complete = 0}; }
  void OnEntered(const EnterResult&) override {}
  bool finished() const override { return false; }
};

class SmallWorldTest : public testing::Test {
 protected:
  World MakeWorld(unsigned spin_turns_max = 100) {
    return World(kernel_, choice_, log_, {.interrupts = false, .spin_turns_max = spin_turns_max});
  }
  static bool Never() { return false; }

  model::BenignChoice choice_;
  EventLog log_;
  model::ModelKernel kernel_{model::ModelOptions{}, choice_, &log_};
};

TEST_F(SmallWorldTest, TheBenignScheduleIsRoundRobin) {
  std::string trace;
  Counter a(trace, 'a', 4);
  Counter b(trace, 'b', 2);
  Counter c(trace, 'c', 3);
  World world = MakeWorld();
  world.AddActor(1, a);
  world.AddActor(2, b);
  world.AddActor(3, c);
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kQuiescent);
  EXPECT_EQ(trace, "abcabcaca");
  EXPECT_EQ(world.steps(), 9u);
}

TEST_F(SmallWorldTest, AChoiceLetsAnotherGoFirst) {
  std::string trace;
  Counter a(trace, 'a', 2);
  Counter b(trace, 'b', 2);
  PlanChoice plan({{.site = model::Site::kSchedule, .entity = 1, .ordinal = 0, .value = 1}});
  World world(kernel_, plan, log_, {});
  world.AddActor(1, a);
  world.AddActor(2, b);
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kQuiescent);
  EXPECT_EQ(trace, "baba");
}

TEST_F(SmallWorldTest, TimeGoesToWhatIsDueNextAndNotBack) {
  const Nanoseconds start = kernel_.MonotonicNow();
  Alarm one({start + 5, start + 5, start + 30});
  Alarm two({start + 20});
  World world = MakeWorld();
  world.AddActor(1, one);
  world.AddActor(2, two);
  EXPECT_EQ(world.RunUntil(Never, {.time_max = start + 25}), StopReason::kTimeLimit);
  EXPECT_EQ(one.rung(), (std::vector<Nanoseconds>{start + 5, start + 5}));
  EXPECT_EQ(two.rung(), (std::vector<Nanoseconds>{start + 20}));
  EXPECT_EQ(kernel_.MonotonicNow(), start + 20);
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kQuiescent);
  EXPECT_EQ(world.now(), start + 30);
  EXPECT_EQ(log_.now(), start + 30);
}

TEST_F(SmallWorldTest, WhoCannotGoOnIsAskedAgainOnlyWhenSomethingMoves) {
  const Nanoseconds start = kernel_.MonotonicNow();
  Stuck stuck;
  Alarm alarm({start + 5});
  World world = MakeWorld();
  world.AddActor(1, stuck);
  world.AddActor(2, alarm);
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kQuiescent);
  EXPECT_EQ(stuck.tries(), 2) << "once at the start, once when time has moved";
  log_.Note("moved", 1, 0, 0);
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kQuiescent);
  EXPECT_EQ(stuck.tries(), 3);
}

TEST_F(SmallWorldTest, AShardThatSpinsIsAViolation) {
  std::unique_ptr<Ring> ring = kernel_.MakeRing({}).value();
  Spinner spinner;
  World world = MakeWorld(50);
  world.AddShard(7, spinner, *kernel_.rings().front());
  EXPECT_EQ(world.RunUntil(Never, {.steps_max = 10'000}), StopReason::kViolation);
  ASSERT_TRUE(log_.violation().has_value());
  EXPECT_EQ(log_.violation()->invariant, "spinning");
  EXPECT_EQ(log_.violation()->detail, "shard 7 turned 50 times at one instant, and nothing moved");
}

TEST_F(SmallWorldTest, LimitsEndARun) {
  std::string trace;
  Counter a(trace, 'a', 1000);
  World world = MakeWorld();
  world.AddActor(1, a);
  EXPECT_EQ(world.RunUntil(Never, {.steps_max = 10}), StopReason::kStepLimit);
  EXPECT_EQ(trace.size(), 10u);
  log_.Note("one", 0, 0, 0);
  EXPECT_EQ(world.RunUntil(Never, {.events_max = 1}), StopReason::kEventLimit);
  EXPECT_EQ(world.RunUntil([&trace] { return trace.size() == 20; }, {}), StopReason::kPredicate);
  log_.OnViolation("broken", "");
  EXPECT_EQ(world.RunUntil(Never, {}), StopReason::kViolation);
}

}  // namespace
}  // namespace orrery::sim

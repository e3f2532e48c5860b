// An echo application on a reactor on a TestWorld, for the tests of the reactor: each body runs on
// Linux, on the fake kernel, and on the fake kernel with faults from a few seeds.
//
// Every test ends with a stop in the state that it has reached, after which nothing may be left.
// Test code only.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/scripted_choice.h"
#include "runtime/model_world.h"
#include "runtime/reactor.h"
#include "runtime/test_world.h"

namespace orrery {

using Kind = ConnectionEvent::Kind;

// What the application has seen of one connection, from kOpened to kClosed.
struct Session {
  Connection* connection = nullptr;  // Null once closed.
  SlotHandle handle;
  std::string received;
  int data_events = 0;
  int sent_events = 0;
  bool end_of_input = false;
  bool closed = false;
};

// Echoes, unless a test says otherwise, and checks the order of events.
class Echo final : public Application {
 public:
  // Ends every wait: a test must never hang.
  static constexpr Nanoseconds kTick = kMillisecond;

  void OnEvents(std::span<const ConnectionEvent> events) override {
    if (interrupt) interrupt();  // The data of these events must still be ours.
    EXPECT_FALSE(events.empty());
    EXPECT_LE(events.size(), Reactor::kEventsMax);
    for (const ConnectionEvent& event : events) {
      Session& session = Note(event);
      on_event ? on_event(session, event) : EchoBack(event);
      if (event.kind == Kind::kClosed) session.connection = nullptr;
    }
  }
  void OnWoken() override { ++woken; }
  Nanoseconds OnTurn(Nanoseconds now) override {
    if (next_turn) std::exchange(next_turn, nullptr)();
    return now + tick;
  }
  void OnAccepted(int descriptor) override { handed_out.push_back(descriptor); }
  bool TrySleep() override {
    EXPECT_FALSE(asleep);
    asleep = may_sleep;
    return may_sleep;
  }
  void OnAwake() override {
    EXPECT_TRUE(asleep);
    asleep = false;
    ++sleeps;
  }

  void EchoBack(const ConnectionEvent& event) {
    Connection& connection = *event.connection;
    if (!connection.open()) return;
    if (event.kind == Kind::kData) {
      connection.output().Append(event.data);
      reactor->Flush(connection);
    } else if (event.kind == Kind::kEndOfInput) {
      reactor->Finish(connection);
    }
  }

  // Null: EchoBack().
  std::function<void(Session&, const ConnectionEvent&)> on_event;
  std::function<void()> next_turn;
  std::function<void()> interrupt;
  Reactor* reactor = nullptr;
  Nanoseconds tick = kTick;
  std::vector<std::unique_ptr<Session>> sessions;  // In the order of their acceptance.
  int woken = 0;
  // From its acceptance.
  Session& Begin(Connection& connection) {
    sessions.push_back(std::make_unique<Session>());
    sessions.back()->connection = &connection;
    sessions.back()->handle = connection.handle();
    return *sessions.back();
  }

  std::vector<int> handed_out;
  bool may_sleep = true;
  bool asleep = false;
  int sleeps = 0;

 private:
  Session& Note(const ConnectionEvent& event) {
    if (event.kind == Kind::kOpened) return Begin(*event.connection);
    const auto session = std::find_if(
        sessions.begin(), sessions.end(),
        [&event](const auto& candidate) { return candidate->connection == event.connection; });
    EXPECT_NE(session, sessions.end()) << "an event of a connection that was never opened";
    Session& found = **session;
    EXPECT_EQ(found.handle, event.connection->handle());
    EXPECT_FALSE(found.closed);
    switch (event.kind) {
      case Kind::kData:
        EXPECT_FALSE(event.data.empty());
        EXPECT_FALSE(found.end_of_input);
        found.received += event.data;
        ++found.data_events;
        break;
      case Kind::kBody:
        EXPECT_FALSE(found.end_of_input);
        break;
      case Kind::kEndOfInput:
        EXPECT_FALSE(found.end_of_input);
        found.end_of_input = true;
        break;
      case Kind::kSent:
        ++found.sent_events;
        break;
      default:
        found.closed = true;
        EXPECT_FALSE(event.connection->open());
    }
    return found;
  }
};

struct WorldOptions {
  size_t socket_buffer_bytes = 0;  // 0: as large as the kernel likes.
};

struct WorldKind {
  const char* name;
  std::unique_ptr<TestWorld> (*make)(const WorldOptions& options);
  // How long a test waits for anything. Turns of the model cost no time.
  int turns_max;
};

inline std::unique_ptr<TestWorld> MakeLinux(const WorldOptions& options) {
  return MakeLinuxWorld(static_cast<int>(options.socket_buffer_bytes));
}

inline model::ModelOptions ModelOptionsFor(const WorldOptions& options, model::TaskWork task_work) {
  model::ModelOptions result;
  result.task_work = task_work;
  if (options.socket_buffer_bytes != 0) result.socket_buffer_bytes = options.socket_buffer_bytes;
  return result;
}

template <model::TaskWork kTaskWork>
std::unique_ptr<TestWorld> MakeModel(const WorldOptions& options) {
  return std::make_unique<ModelWorld>(ModelOptionsFor(options, kTaskWork),
                                      std::make_unique<model::BenignChoice>());
}

// One question in four goes wrong.
template <model::TaskWork kTaskWork, uint64_t kSeed>
std::unique_ptr<TestWorld> MakeFaultyModel(const WorldOptions& options) {
  return std::make_unique<ModelWorld>(ModelOptionsFor(options, kTaskWork),
                                      std::make_unique<SeededChoice>(kSeed, 4));
}

// What GoogleTest prints of the parameter.
inline void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

class ReactorTest : public testing::TestWithParam<WorldKind> {
 protected:
  using Peer = TestWorld::Peer;

  struct Options {
    WorldOptions world;
    RingOptions ring;
    ReactorOptions reactor;
  };

  void SetUpWorld(const Options& options) { SetUpWorld(GetParam().make(options.world), options); }
  void SetUpWorld(std::unique_ptr<TestWorld> world, const Options& options) {
    world_ = std::move(world);
    buffers_ = options.reactor.buffers;
    echo_.interrupt = [this] { world_->Interrupt(); };
    descriptors_before_ = world_->open_descriptors();
    auto ring = world_->kernel().MakeRing(options.ring);
    ASSERT_TRUE(ring.has_value()) << ring.error();
    ring_ = wrap_ring_ ? wrap_ring_(std::move(*ring)) : std::move(*ring);
    auto reactor = Reactor::Create(*ring_, world_->kernel(), echo_, options.reactor);
    ASSERT_TRUE(reactor.has_value()) << reactor.error().ToString();
    reactor_ = std::move(*reactor);
    echo_.reactor = reactor_.get();
    const auto listener = world_->kernel().Listen({});
    ASSERT_TRUE(listener.has_value());
    world_->Prepare(*listener);
    port_ = world_->kernel().LocalPort(*listener).value();
    reactor_->Listen(*listener);
    const auto eventfd = world_->kernel().MakeEventFd();
    ASSERT_TRUE(eventfd.has_value());
    eventfd_ = *eventfd;
    reactor_->Watch(eventfd_);
  }

  // Every test ends with a stop in the state that it has reached: nothing may be left.
  void TearDown() override {
    if (reactor_ == nullptr) return;
    echo_.on_event = nullptr;  // It may look at what has died with the test's body.
    if (!reactor_->stopping()) InTurn([this] { reactor_->Stop(); });
    if (!reactor_->finished()) InTurn([this] { reactor_->Stop(); });
    EXPECT_TRUE(RunUntil([this] { return reactor_->finished(); }));
    if (!reactor_->finished()) return Leak();
    for (const auto& session : echo_.sessions) EXPECT_TRUE(session->closed);
    // A slot outlives all its operations, so nobody is ever late.
    EXPECT_EQ(reactor_->counters().stale_completions, stale_completions_);
    EXPECT_EQ(world_->ProvidedBuffers(Reactor::kBufferGroup).value_or(buffers_), buffers_);
    reactor_.reset();
    ring_.reset();
    EXPECT_EQ(world_->open_descriptors(), descriptors_before_);
  }

  // What the kernel still works for cannot be taken down, and the other tests are to run.
  void Leak() {
    (void)reactor_.release();
    (void)ring_.release();
    (void)world_.release();
  }

  void Turn() {
    ++turns_;
    const uint64_t refused = reactor_->counters().refused;
    const EnterRequest request = reactor_->Turn();
    EXPECT_EQ(echo_.asleep, request.min_complete > 0);
    if (request.min_complete > 0) {
      EXPECT_EQ(reactor_->counters().refused, refused) << "it sleeps on work that was refused";
      EXPECT_GT(request.deadline, reactor_->now()) << "a sleep that ends at once is a spin";
    }
    reactor_->OnEntered(ring_->Enter(request));
  }
  void Turns(int count) {
    while (count-- > 0) Turn();
  }
  // Runs `call` where an application may call the reactor.
  void InTurn(std::function<void()> call) {
    echo_.next_turn = std::move(call);
    Turn();
  }
  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < GetParam().turns_max; ++turn) {
      if (predicate()) return true;
      Turn();
    }
    return predicate();
  }

  Peer Connect() { return world_->Connect(port_); }
  // Connects one after the other, so that session i belongs to peer i.
  std::vector<Peer> ConnectAll(size_t count) {
    std::vector<Peer> peers;
    for (size_t index = 0; index < count; ++index) {
      const size_t accepted = echo_.sessions.size();
      peers.push_back(Connect());
      EXPECT_TRUE(RunUntil([&] { return echo_.sessions.size() > accepted; }));
    }
    return peers;
  }
  Session& session(size_t index) { return *echo_.sessions.at(index); }
  Connection& connection(size_t index) { return *session(index).connection; }
  // Until no wake-up of the past can be the reason for what is seen.
  void Settle() { Turns(20); }

  // Feeds `bytes` through `peer` while the reactor runs, and returns what comes back until there
  // are `expected` bytes.
  std::string Exchange(Peer peer, std::string_view bytes, size_t expected) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      bytes.remove_prefix(world_->Send(peer, bytes));
      world_->Receive(peer, input, expected - input.bytes.size());
      return bytes.empty() && input.bytes.size() == expected;
    })) << bytes.size()
        << " bytes not sent, " << input.bytes.size() << " of " << expected << " received";
    return input.bytes;
  }
  // What `peer` reads until the stream ends one way or another.
  PeerInput ReadToTheEnd(Peer peer) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      world_->Receive(peer, input, ~size_t{0});
      return input.end || input.reset;
    })) << input.bytes.size()
        << " bytes received";
    return input;
  }

  // Bytes that say where they stand.
  static std::string Pattern(size_t size, size_t salt = 0) {
    std::string bytes(size, '\0');
    for (size_t index = 0; index < size; ++index) {
      bytes[index] = static_cast<char>((index * 7 + (index >> 8) + salt) & 0xff);
    }
    return bytes;
  }

  Echo echo_;
  std::unique_ptr<TestWorld> world_;
  // Puts something between the reactor and its ring.
  std::function<std::unique_ptr<Ring>(std::unique_ptr<Ring>)> wrap_ring_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Reactor> reactor_;
  uint16_t port_ = 0;
  int eventfd_ = -1;
  uint64_t turns_ = 0;
  size_t descriptors_before_ = 0;
  unsigned buffers_ = 0;
  uint64_t stale_completions_ = 0;  // That the test itself has caused.
};

// Tests that count what happens: on kernels that do nothing unusual.
class ReactorExactTest : public ReactorTest {};

// Tests whose faults a script decides.
class ReactorModelTest : public ReactorTest {
 protected:
  // A world whose faults script_ decides.
  void SetUpScripted(const Options& options, unsigned descriptors_max = 1024) {
    auto choice = std::make_unique<model::ScriptedChoice>();
    script_ = choice.get();
    model::ModelOptions model_options = ModelOptionsFor(options.world, model::TaskWork::kDeferred);
    model_options.descriptors_max = descriptors_max;
    SetUpWorld(std::make_unique<ModelWorld>(model_options, std::move(choice)), options);
  }

  model::ScriptedChoice* script_ = nullptr;
};

inline std::string NameOf(const testing::TestParamInfo<WorldKind>& instance) {
  return instance.param.name;
}

inline constexpr auto kDeferred = model::TaskWork::kDeferred;
inline constexpr auto kPrompt = model::TaskWork::kPrompt;
inline constexpr int kRealTurnsMax = 3000;
inline constexpr int kModelTurnsMax = 20'000;

inline constexpr WorldKind kLinux{"Linux", MakeLinux, kRealTurnsMax};
inline constexpr WorldKind kModelDeferred{"ModelDeferred", MakeModel<kDeferred>, kModelTurnsMax};
inline constexpr WorldKind kModelPrompt{"ModelPrompt", MakeModel<kPrompt>, kModelTurnsMax};

// Linux, the fake kernel, and the fake kernel with faults from a few seeds.
inline auto AllWorlds() {
  return testing::Values(
      kLinux, kModelDeferred, kModelPrompt,
      WorldKind{"FaultsDeferred1", MakeFaultyModel<kDeferred, 1>, kModelTurnsMax},
      WorldKind{"FaultsDeferred2", MakeFaultyModel<kDeferred, 2>, kModelTurnsMax},
      WorldKind{"FaultsDeferred3", MakeFaultyModel<kDeferred, 3>, kModelTurnsMax},
      WorldKind{"FaultsPrompt1", MakeFaultyModel<kPrompt, 1>, kModelTurnsMax},
      WorldKind{"FaultsPrompt2", MakeFaultyModel<kPrompt, 2>, kModelTurnsMax});
}

// Those that do nothing unusual.
inline auto ExactWorlds() { return testing::Values(kLinux, kModelDeferred, kModelPrompt); }

}  // namespace orrery

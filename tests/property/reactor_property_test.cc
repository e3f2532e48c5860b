// Whatever peers and application do, and whatever the kernel is allowed to do to them: every stream
// is exact, every connection ends, and nothing is left.
//
// The whole reactor runs on the fake kernel. Scripts, sizes and faults are generated; a failure
// shrinks to the few steps that matter.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_bytes.h"
#include "gtest/gtest.h"
#include "kernel_model/model_kernel.h"
#include "rapidcheck/gtest.h"
#include "runtime/incoming_body.h"
#include "runtime/model_world.h"
#include "runtime/reactor.h"
#include "tests/property/output_steps.h"

namespace orrery {
namespace {

struct Machine {
  bool prompt = false;
  uint64_t seed = 0;    // 0: nothing goes wrong.
  uint64_t one_in = 4;  // How often something does.
  unsigned sq_entries = 1;
  unsigned cq_more = 0;  // The CQ has sq_entries << cq_more.
  unsigned buffers_log = 0;
  size_t buffer_bytes = 1;
  size_t socket_buffer_bytes = 1;
  unsigned iovecs_max = 1;
  unsigned descriptors_max = 1024;
  bool zero_copy = false;    // For every body, with slots for little.
  bool fixed_files = false;  // For two connections; the others have descriptors.
};

std::ostream& operator<<(std::ostream& out, const Machine& machine) {
  return out << "{" << (machine.prompt ? "prompt" : "deferred") << ", seed " << machine.seed
             << ", one in " << machine.one_in << ", sq " << machine.sq_entries << ", cq "
             << (machine.sq_entries << machine.cq_more) << ", buffers "
             << (1U << machine.buffers_log) << " of " << machine.buffer_bytes << ", sockets of "
             << machine.socket_buffer_bytes << ", iovecs " << machine.iovecs_max << ", descriptors "
             << machine.descriptors_max << (machine.zero_copy ? ", zero copy" : "")
             << (machine.fixed_files ? ", fixed files" : "") << "}";
}

rc::Gen<Machine> AnyMachine() {
  return rc::gen::build<Machine>(
      rc::gen::set(&Machine::prompt),
      rc::gen::set(&Machine::seed, rc::gen::weightedOneOf<uint64_t>(
                                       {{1, rc::gen::just<uint64_t>(0)},
                                        {5, rc::gen::inRange<uint64_t>(1, 1'000'000)}})),
      rc::gen::set(&Machine::one_in, rc::gen::element<uint64_t>(2, 4, 16)),
      rc::gen::set(&Machine::sq_entries, rc::gen::element(1U, 2U, 4U, 8U, 64U)),
      rc::gen::set(&Machine::cq_more, rc::gen::element(0U, 1U, 2U, 6U)),
      rc::gen::set(&Machine::buffers_log, rc::gen::element(0U, 1U, 3U, 6U)),
      rc::gen::set(&Machine::buffer_bytes, rc::gen::element<size_t>(1, 7, 64, 1000)),
      rc::gen::set(&Machine::socket_buffer_bytes, rc::gen::element<size_t>(20, 500, 65536)),
      rc::gen::set(&Machine::iovecs_max, rc::gen::element(1U, 2U, 7U, 1024U)),
      rc::gen::set(&Machine::descriptors_max, rc::gen::element(7U, 12U, 1024U)),
      rc::gen::set(&Machine::zero_copy), rc::gen::set(&Machine::fixed_files));
}

// The reactor on a machine, with an application that the property supplies.
class Rig {
 public:
  Rig(const Machine& machine, Application& application)
      : world_(std::make_unique<ModelWorld>(
            model::ModelOptions{
                .task_work = machine.prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred,
                .socket_buffer_bytes = machine.socket_buffer_bytes,
                .descriptors_max = machine.descriptors_max},
            machine.seed == 0 ? std::unique_ptr<model::Choice>(new model::BenignChoice)
                              : std::make_unique<SeededChoice>(machine.seed, machine.one_in))),
        ring_(world_->kernel()
                  .MakeRing({.sq_entries = machine.sq_entries,
                             .cq_entries = machine.sq_entries << machine.cq_more})
                  .value()),
        reactor_(Reactor::Create(*ring_, world_->kernel(), application,
                                 {.buffers = 1U << machine.buffers_log,
                                  .buffer_bytes = machine.buffer_bytes,
                                  .fixed_files = machine.fixed_files ? 2U : 0U,
                                  .iovecs_max = machine.iovecs_max,
                                  .flush_timeout = 500 * kSecond,
                                  .linger = 500 * kSecond,
                                  .zero_copy = {.body_bytes_min =
                                                    machine.zero_copy ? 1 : ZeroCopyOptions::kNever,
                                                .slab = {.slots = 3, .iovecs = 5, .guards = 2},
                                                .copy_slots = 2,
                                                .copy_bytes = 50},
                                  .notification_timeout = 500 * kSecond})
                     .value()),
        buffers_(1U << machine.buffers_log) {
    const int listener = world_->kernel().Listen({}).value();
    port_ = world_->kernel().LocalPort(listener).value();
    reactor_->Listen(listener);
    eventfd_ = world_->kernel().MakeEventFd().value();
    reactor_->Watch(eventfd_);
  }

  // A property that has failed leaves in the middle: what the kernel still works for cannot be
  // taken down, and shrinking goes on in this process.
  ~Rig() {
    if (reactor_->finished()) return;
    (void)reactor_.release();
    (void)ring_.release();
    (void)world_.release();
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  void Turn() {
    const uint64_t refused = reactor_->counters().refused;
    const EnterRequest request = reactor_->Turn();
    if (request.min_complete > 0) {
      // It neither sleeps on work that was refused, nor spins.
      RC_ASSERT(reactor_->counters().refused == refused);
      RC_ASSERT(request.deadline > reactor_->now());
    }
    reactor_->OnEntered(ring_->Enter(request));
  }

  // Runs until `done`; a run that does not get there has lost a wake-up or spins.
  template <typename Done>
  void RunUntil(Done done, const char* what) {
    constexpr int kTurnsMax = 50'000;
    for (int turn = 0; turn < kTurnsMax && !done(); ++turn) Turn();
    if (!done()) RC_FAIL(std::string("never: ") + what);
  }

  // Nothing is left: no descriptor, no file, no request, and no rule was broken.
  void CheckOver() {
    RC_ASSERT(reactor_->finished());
    RC_ASSERT(reactor_->counters().stale_completions == 0U);
    RC_ASSERT(reactor_->counters().notifications_stale == 0U);
    RC_ASSERT(world_->ProvidedBuffers(Reactor::kBufferGroup) == buffers_);
    RC_ASSERT(world_->model().open_descriptors() == 0U);
    RC_ASSERT(world_->model().requests_in_flight() == 0U);
    RC_ASSERT(world_->TakeViolations() == std::vector<std::string>());
  }

  ModelWorld& world() { return *world_; }
  Reactor& reactor() { return *reactor_; }
  uint16_t port() const { return port_; }
  int eventfd() const { return eventfd_; }

 private:
  std::unique_ptr<ModelWorld> world_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Reactor> reactor_;
  unsigned buffers_;
  uint16_t port_ = 0;
  int eventfd_ = -1;
};

// --- Echo: any behaviour of peers and application

struct Step {
  enum class Kind : uint8_t {
    kConnect,
    kSend,
    kRead,
    kShutdownWrite,
    kClose,
    kReset,
    kPause,
    kResume,
    kFinish,
    kAbort,
    kBody,  // The next bytes of the stream are received in place.
    kWake,
    kTurns,
  };
  Kind kind = Kind::kTurns;
  uint32_t who = 0;  // Which peer, or connection, modulo those that exist.
  uint32_t size = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* kNames[] = {"connect", "send",  "read",   "shutdown", "close",
                                    "reset",   "pause", "resume", "finish",   "abort",
                                    "body",    "wake",  "turns"};
  return out << kNames[static_cast<int>(step.kind)] << "(" << step.who << ", " << step.size << ")";
}

rc::Gen<Step> AnyStep() {
  using Kind = Step::Kind;
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::weightedElement<Kind>({{5, Kind::kConnect},
                                                                {12, Kind::kSend},
                                                                {8, Kind::kRead},
                                                                {2, Kind::kShutdownWrite},
                                                                {1, Kind::kClose},
                                                                {1, Kind::kReset},
                                                                {4, Kind::kPause},
                                                                {4, Kind::kResume},
                                                                {1, Kind::kFinish},
                                                                {1, Kind::kAbort},
                                                                {4, Kind::kBody},
                                                                {1, Kind::kWake},
                                                                {8, Kind::kTurns}})),
      rc::gen::set(&Step::who, rc::gen::inRange<uint32_t>(0, 12)),
      rc::gen::set(&Step::size, rc::gen::element<uint32_t>(0, 1, 2, 3, 10, 100, 3000)));
}

struct Client {
  TestWorld::Peer peer = 0;
  std::string sent;
  PeerInput input;
  bool gone = false;       // It closed or reset its end.
  bool half_gone = false;  // It has shut its write side down.
  bool closed = false;     // It has read to the end, and then closed.
};

struct Session {
  Connection* connection = nullptr;  // Null once closed.
  std::string received;
  bool cut_short = false;  // The application ended it before its peer did.
  bool ended = false;
};

class EchoApplication final : public Application {
 public:
  void OnEvents(std::span<const ConnectionEvent> events) override {
    world->Interrupt();  // The data of these events must still be ours.
    for (const ConnectionEvent& event : events) {
      Connection& connection = *event.connection;
      if (event.kind == ConnectionEvent::Kind::kOpened) {
        sessions.push_back({.connection = &connection, .received = {}});
        continue;
      }
      Session& session = *std::find_if(
          sessions.begin(), sessions.end(),
          [&](const Session& candidate) { return candidate.connection == &connection; });
      switch (event.kind) {
        case ConnectionEvent::Kind::kData:
          data_after_end |= session.ended;
          if (connection.open()) Take(session, event.data);
          break;
        case ConnectionEvent::Kind::kBody:
          data_after_end |= session.ended;
          if (connection.open()) TakeBody(session);
          break;
        case ConnectionEvent::Kind::kEndOfInput:
          session.ended = true;
          if (connection.open() && connection.body() != nullptr) {
            Echo(session, connection.body()->filled());
          }
          reactor->Finish(connection);
          break;
        case ConnectionEvent::Kind::kClosed:
          session.connection = nullptr;
          break;
        default:
          break;
      }
    }
  }
  void OnWoken() override { woken = true; }
  Nanoseconds OnTurn(Nanoseconds now) override {
    if (next != nullptr) Do(*next);
    next = nullptr;
    return now + kMillisecond;
  }

  TestWorld* world = nullptr;
  Reactor* reactor = nullptr;
  const Step* next = nullptr;    // What the application does in the next turn.
  std::deque<Session> sessions;  // Stays where it is while it grows.
  bool woken = false;
  bool data_after_end = false;
  Session* aborted = nullptr;  // The one that was aborted in the last turn.

 private:
  void Take(Session& session, std::string_view data) {
    if (session.connection->body() != nullptr) {
      data.remove_prefix(reactor->FeedBody(*session.connection, data));
      if (!session.connection->body()->complete()) {
        RC_ASSERT(data.empty());
        return;
      }
      TakeBody(session);
    }
    if (!data.empty()) Echo(session, data);
  }

  void TakeBody(Session& session) {
    const std::optional<SharedBytes> body = reactor->TakeBody(*session.connection);
    RC_ASSERT(body.has_value());
    Echo(session, body->view());
  }

  // Half copied, half borrowed.
  void Echo(Session& session, std::string_view data) {
    session.received += data;
    PendingOutput& output = session.connection->output();
    output.Append(data.substr(0, data.size() / 2));
    output.AppendBody(SharedBytes::Copy(data.substr(data.size() / 2)));
    reactor->Flush(*session.connection);
  }

  void Do(const Step& step) {
    if (sessions.empty()) return;
    Session& session = sessions[step.who % sessions.size()];
    if (session.connection == nullptr || !session.connection->open()) return;
    switch (step.kind) {
      case Step::Kind::kPause:
        return reactor->PauseReads(*session.connection);
      case Step::Kind::kResume:
        return reactor->ResumeReads(*session.connection);
      case Step::Kind::kFinish:
        session.cut_short = true;
        return reactor->Finish(*session.connection);
      case Step::Kind::kBody:
        if (session.connection->body() != nullptr) return;
        return reactor->ReceiveBody(*session.connection, IncomingBody(1 + step.size));
      default:
        session.cut_short = true;
        aborted = &session;
        return reactor->Abort(*session.connection);
    }
  }
};

class EchoRun {
 public:
  explicit EchoRun(const Machine& machine) : rig_(machine, application_) {
    application_.world = &rig_.world();
    application_.reactor = &rig_.reactor();
  }

  void Run(const std::vector<Step>& steps) {
    for (const Step& step : steps) Do(step);
    EndWell();
    for (size_t index = 0; index < clients_.size(); ++index) Check(index);
    RC_ASSERT(!application_.data_after_end);
    rig_.CheckOver();
  }

 private:
  static constexpr size_t kClientsMax = 12;

  void Do(const Step& step) {
    using Kind = Step::Kind;
    switch (step.kind) {
      case Kind::kConnect:
        if (clients_.size() == kClientsMax) return;
        clients_.emplace_back();
        clients_.back().peer = rig_.world().Connect(rig_.port());
        return;
      case Kind::kTurns:
        for (uint32_t count = 0; count <= step.size % 50; ++count) rig_.Turn();
        return;
      case Kind::kWake:
        rig_.world().Ring(rig_.eventfd());
        return rig_.RunUntil([this] { return application_.woken; }, "the waker's event");
      case Kind::kPause:
      case Kind::kResume:
      case Kind::kFinish:
      case Kind::kBody:
        application_.next = &step;
        return rig_.Turn();
      case Kind::kAbort:
        application_.next = &step;
        application_.aborted = nullptr;
        rig_.Turn();
        if (application_.aborted == nullptr) return;
        // Whatever its peer does.
        return rig_.RunUntil([this] { return application_.aborted->connection == nullptr; },
                             "the end of an aborted connection");
      default:
        if (!clients_.empty()) DoAsPeer(step, clients_[step.who % clients_.size()]);
    }
  }

  void DoAsPeer(const Step& step, Client& client) {
    if (client.gone) return;
    switch (step.kind) {
      case Step::Kind::kSend:
        if (!client.half_gone) Send(client, step.size);
        return;
      case Step::Kind::kRead:
        return rig_.world().Receive(client.peer, client.input, step.size);
      case Step::Kind::kShutdownWrite:
        client.half_gone = true;
        return rig_.world().ShutdownWrite(client.peer);
      case Step::Kind::kClose:
        client.gone = true;
        return rig_.world().Close(client.peer);
      default:
        client.gone = true;
        return rig_.world().Reset(client.peer);
    }
  }

  void Send(Client& client, size_t size) {
    std::string bytes;
    for (size_t count = 0; count < size; ++count) {
      const size_t position = client.sent.size() + count;
      bytes.push_back(static_cast<char>(position ^ position >> 8));
    }
    bytes.resize(rig_.world().Send(client.peer, bytes));
    client.sent += bytes;
  }

  // Every peer ends its stream and reads to the end of the other; then the reactor stops.
  void EndWell() {
    for (size_t index = 0; index < kClientsMax; ++index) {
      const Step resume{.kind = Step::Kind::kResume, .who = static_cast<uint32_t>(index)};
      application_.next = &resume;
      rig_.Turn();
    }
    for (Client& client : clients_) {
      if (!client.gone) rig_.world().ShutdownWrite(client.peer);
    }
    rig_.RunUntil([this] { return AllHaveEnded(); }, "the end of a peer's stream");
    rig_.RunUntil(
        [this] {
          return application_.sessions.size() == clients_.size() &&
                 rig_.reactor().connections() == 0;
        },
        "the end of the last connection");
    rig_.reactor().Stop();
    rig_.RunUntil([this] { return rig_.reactor().finished(); }, "the end");
  }

  // All together: with few descriptors one waits to be accepted until another has gone.
  bool AllHaveEnded() {
    bool all = true;
    for (Client& client : clients_) {
      if (client.gone || client.closed) continue;
      rig_.world().Receive(client.peer, client.input, ~size_t{0});
      client.closed = client.input.end || client.input.reset;
      if (client.closed) rig_.world().Close(client.peer);
      all &= client.closed;
    }
    return all;
  }

  void Check(size_t index) {
    const Client& client = clients_[index];
    const auto& accepted = rig_.world().accepted();
    const auto found = std::find(accepted.begin(), accepted.end(), client.peer);
    RC_ASSERT(found != accepted.end());
    const Session& session = application_.sessions[static_cast<size_t>(found - accepted.begin())];
    RC_ASSERT(session.connection == nullptr);
    RC_ASSERT(client.sent.starts_with(session.received));
    RC_ASSERT(session.received.starts_with(client.input.bytes));
    if (client.gone || session.cut_short) return;
    // Nobody broke it off: all of it went there and back.
    RC_ASSERT(session.received == client.sent);
    RC_ASSERT(client.input.bytes == client.sent);
    RC_ASSERT(client.input.end);
    RC_ASSERT(!client.input.reset);
  }

  EchoApplication application_;
  Rig rig_;
  std::vector<Client> clients_;
};

RC_GTEST_PROP(ReactorProperty, EveryStreamIsExactAndEverythingEnds, ()) {
  const Machine machine = *AnyMachine();
  const auto steps = *rc::gen::container<std::vector<Step>>(AnyStep());
  EchoRun(machine).Run(steps);
}

// --- Chunks through the kernel: any output against one string

class WritingApplication final : public Application {
 public:
  void OnEvents(std::span<const ConnectionEvent> events) override {
    for (const ConnectionEvent& event : events) {
      if (event.kind == ConnectionEvent::Kind::kOpened) connection = event.connection;
      if (event.kind == ConnectionEvent::Kind::kClosed) connection = nullptr;
    }
  }
  void OnWoken() override {}
  Nanoseconds OnTurn(Nanoseconds now) override {
    if (connection != nullptr && next != nullptr) {
      model.Apply(*next, connection->output());
      reactor->Flush(*connection);
      next = nullptr;
    }
    return now + kMillisecond;
  }

  Reactor* reactor = nullptr;
  Connection* connection = nullptr;
  const OutputStep* next = nullptr;
  NaiveOutput model;
};

RC_GTEST_PROP(ReactorProperty, ThePeerReadsExactlyWhatWasAppended, ()) {
  Machine machine = *AnyMachine();
  machine.descriptors_max = 1024;
  const auto steps =
      *rc::gen::scale(0.3, rc::gen::container<std::vector<OutputStep>>(AnyOutputStep()));
  const auto reads = *rc::gen::nonEmpty(rc::gen::container<std::vector<uint32_t>>(
      rc::gen::element<uint32_t>(0, 1, 5, 100, 5000, 100'000)));
  // A peer that reads a byte at a time takes too long: the sizes go together.
  if (machine.socket_buffer_bytes < 500) machine.socket_buffer_bytes = 500;

  WritingApplication application;
  Rig rig(machine, application);
  application.reactor = &rig.reactor();
  const TestWorld::Peer peer = rig.world().Connect(rig.port());
  rig.RunUntil([&] { return application.connection != nullptr; }, "the connection");
  PeerInput input;
  size_t turn = 0;
  const auto read_some = [&] {
    rig.world().Receive(peer, input, reads[turn++ % reads.size()]);
    // A body is held exactly as long as a byte of it may have to be sent; zero-copy sends hold it
    // longer.
    if (!machine.zero_copy) {
      application.model.CheckBodies(rig.reactor().counters().sent_bytes,
                                    application.connection->output());
    }
    RC_ASSERT(application.connection->output().copied_bytes() == application.model.copied_bytes());
  };
  for (const OutputStep& step : steps) {
    application.next = &step;
    rig.Turn();
    read_some();
  }
  rig.RunUntil(
      [&] {
        read_some();
        rig.world().Receive(peer, input, 5000);
        return application.connection->output().empty();
      },
      "the end of the output");
  rig.world().ShutdownWrite(peer);
  rig.reactor().Finish(*application.connection);
  rig.RunUntil(
      [&] {
        rig.world().Receive(peer, input, ~size_t{0});
        return input.end && application.connection == nullptr;
      },
      "the end of the stream");
  RC_ASSERT(input.bytes == application.model.stream());
  rig.reactor().Stop();
  rig.RunUntil([&] { return rig.reactor().finished(); }, "the end");
  application.model.CheckAllReleased();
  rig.CheckOver();
}

}  // namespace
}  // namespace orrery

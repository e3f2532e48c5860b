#include "tests/exhaustive/echo_world.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/units.h"

namespace orrery::exhaustive {
namespace {

// More than any run of such a scope needs; the clock moves in these turns when nothing else does.
constexpr int kTurnsMax = 2000;
constexpr size_t kAll = ~size_t{0};

// The k-th byte that peer `index` sends.
char ByteOf(size_t index, size_t position) {
  return static_cast<char>((index == 0 ? 'a' : 'A') + position % 26);
}

}  // namespace

void EchoWorld::Echo::OnEvents(std::span<const ConnectionEvent> events) {
  world->world_->Interrupt();  // The data of these events must still be ours.
  for (const ConnectionEvent& event : events) {
    if (event.kind == ConnectionEvent::Kind::kOpened) {
      ORRERY_CHECK(opened < kConnections);
      connections[opened++] = event.connection;
      continue;
    }
    const auto found = std::find(connections.begin(), connections.end(), event.connection);
    if (found == connections.end()) return world->Fail("an event of a connection that is gone");
    const auto index = static_cast<size_t>(found - connections.begin());
    switch (event.kind) {
      case ConnectionEvent::Kind::kData:
        if (!event.connection->open()) break;
        received[index] += event.data;
        event.connection->output().Append(event.data);
        world->reactor_->Flush(*event.connection);
        break;
      case ConnectionEvent::Kind::kEndOfInput:
        world->reactor_->Finish(*event.connection);
        break;
      case ConnectionEvent::Kind::kClosed:
        *found = nullptr;
        break;
      default:
        break;
    }
  }
}

Nanoseconds EchoWorld::Echo::OnTurn(Nanoseconds now) {
  for (size_t index = 0; index < kConnections; ++index) {
    Connection* const connection = connections[index];
    const bool paused = std::exchange(pause[index], false);
    const bool resumed = std::exchange(resume[index], false);
    if (connection == nullptr || !connection->open()) continue;
    if (paused) world->reactor_->PauseReads(*connection);
    if (resumed) world->reactor_->ResumeReads(*connection);
  }
  return now + kMillisecond;
}

EchoWorld::EchoWorld(const EchoOptions& options, model::Choice& choice)
    : buffers_(options.buffers) {
  auto gate = std::make_unique<sim::GatedChoice>(choice);
  gate_ = gate.get();
  world_ = std::make_unique<ModelWorld>(
      model::ModelOptions{.task_work = options.task_work,
                          .socket_buffer_bytes = options.socket_buffer_bytes},
      std::move(gate));
  ring_ = world_->kernel()
              .MakeRing({.sq_entries = options.sq_entries, .cq_entries = options.cq_entries})
              .value();
  application_.world = this;
  reactor_ = Reactor::Create(*ring_, world_->kernel(), application_,
                             {.connections_max = kConnections,
                              .buffers = options.buffers,
                              .buffer_bytes = options.buffer_bytes,
                              .flush_timeout = 500 * kSecond,
                              .linger = 500 * kSecond})
                 .value();
  const int listener = world_->kernel().Listen({}).value();
  reactor_->Listen(listener);
  const uint16_t port = world_->kernel().LocalPort(listener).value();
  for (size_t index = 0; index < kConnections; ++index) {
    clients_[index].peer = world_->Connect(port);
    RunUntil([&] { return application_.opened == index + 1; }, "a connection that opens");
  }
  gate_->open = true;
}

EchoWorld::~EchoWorld() {
  // What the kernel still works for cannot be taken down.
  if (reactor_->finished()) return;
  (void)reactor_.release();
  (void)ring_.release();
  (void)world_.release();
}

void EchoWorld::Fail(std::string what) {
  if (failure_.empty()) failure_ = std::move(what);
}

void EchoWorld::PeerSends(size_t index, size_t bytes) {
  Client& client = clients_[index];
  if (client.ended) return;
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text.push_back(ByteOf(index, client.sent.size() + i));
  text.resize(world_->Send(client.peer, text));
  client.sent += text;
}

void EchoWorld::PeerEnds(size_t index) {
  if (std::exchange(clients_[index].ended, true)) return;
  world_->ShutdownWrite(clients_[index].peer);
}

void EchoWorld::PeerReads(size_t index, size_t bytes_max) {
  world_->Receive(clients_[index].peer, clients_[index].input, bytes_max);
}

void EchoWorld::Turn() {
  const uint64_t refused = reactor_->counters().refused;
  const EnterRequest request = reactor_->Turn();
  if (request.min_complete > 0) {
    if (reactor_->counters().refused != refused) Fail("it sleeps on work that was refused");
    if (request.deadline <= reactor_->now()) Fail("it spins");
  }
  reactor_->OnEntered(ring_->Enter(request));
}

template <typename Done>
void EchoWorld::RunUntil(Done done, const char* what) {
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    if (done() || !failure_.empty()) return;
    Turn();
  }
  Fail(std::string("never: ") + what);
}

void EchoWorld::EndWell() {
  gate_->open = false;
  for (size_t index = 0; index < kConnections; ++index) {
    ResumeInNextTurn(index);
    PeerEnds(index);
  }
  RunUntil(
      [this] {
        bool all = true;
        for (size_t index = 0; index < kConnections; ++index) {
          Client& client = clients_[index];
          if (client.closed) continue;
          PeerReads(index, kAll);
          client.closed = client.input.end || client.input.reset;
          if (client.closed) world_->Close(client.peer);
          all &= client.closed;
        }
        return all;
      },
      "the end of both streams");
  RunUntil([this] { return reactor_->connections() == 0; }, "the end of both connections");
  if (failure_.empty()) CheckStreams();
  reactor_->Stop();
  RunUntil([this] { return reactor_->finished(); }, "the end of the reactor");
  if (failure_.empty()) CheckNothingIsLeft();
}

void EchoWorld::CheckStreams() {
  for (size_t index = 0; index < kConnections; ++index) {
    const Client& client = clients_[index];
    const std::string who = "connection " + std::to_string(index) + ": ";
    if (application_.received[index] != client.sent) {
      Fail(who + "sent \"" + client.sent + "\", received \"" + application_.received[index] + "\"");
    }
    if (client.input.bytes != client.sent) {
      Fail(who + "sent \"" + client.sent + "\", echoed \"" + client.input.bytes + "\"");
    }
    if (client.input.reset || !client.input.end) Fail(who + "its stream did not end well");
  }
}

void EchoWorld::CheckNothingIsLeft() {
  if (reactor_->counters().stale_completions != 0) Fail("a stale completion");
  if (world_->ProvidedBuffers(Reactor::kBufferGroup) != buffers_) Fail("a buffer is lost");
  if (world_->model().open_descriptors() != 0) Fail("a descriptor is left");
  if (world_->model().requests_in_flight() != 0) Fail("a request is left");
  for (const std::string& violation : world_->TakeViolations()) Fail(violation);
}

}  // namespace orrery::exhaustive

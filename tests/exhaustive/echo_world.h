// The production reactor with an echo on it and two peers, as small as it can be: what the
// exhaustive tests run thousands of times.
//
// The test says when a peer sends, when the application pauses its reads, and when the reactor
// turns; the Choice that it brings says what the kernel does. Nothing here asserts: the first thing
// that is wrong is kept as text. One thread, no state beyond a run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/model_world.h"
#include "runtime/reactor.h"
#include "sim/choices.h"

namespace orrery::exhaustive {

constexpr size_t kConnections = 2;

struct EchoOptions {
  model::TaskWork task_work = model::TaskWork::kDeferred;
  unsigned sq_entries = 2;
  unsigned cq_entries = 4;
  unsigned buffers = 4;
  size_t buffer_bytes = 1;
  size_t socket_buffer_bytes = 64;
};

class EchoWorld {
 public:
  // Both peers are connected and their connections opened, by a benign kernel: `choice` is not
  // asked before this returns. It must outlive the world.
  EchoWorld(const EchoOptions& options, model::Choice& choice);
  ~EchoWorld();
  EchoWorld(const EchoWorld&) = delete;
  EchoWorld& operator=(const EchoWorld&) = delete;

  // The number of connection `index` in questions.
  uint64_t entity(size_t index) const { return clients_[index].peer; }

  // --- What the world does.
  void PeerSends(size_t index, size_t bytes);
  void PeerEnds(size_t index);
  void PeerReads(size_t index, size_t bytes_max);
  // In the reactor's next turn the application pauses, or resumes, the reads of a connection.
  void PauseInNextTurn(size_t index) { application_.pause[index] = true; }
  void ResumeInNextTurn(size_t index) { application_.resume[index] = true; }
  void Turn();

  // From now on the kernel is benign. Every peer ends its stream and reads to the end; the reactor
  // stops. Then everything is checked: exact streams, an end for everybody, and nothing left.
  void EndWell();

  const ReactorCounters& counters() const { return reactor_->counters(); }
  // The first thing that was wrong; empty: none.
  const std::string& failure() const { return failure_; }

 private:
  struct Client {
    TestWorld::Peer peer = 0;
    std::string sent;
    PeerInput input;
    bool ended = false;   // It sends nothing more.
    bool closed = false;  // It has read to the end, and closed.
  };

  class Echo final : public Application {
   public:
    void OnEvents(std::span<const ConnectionEvent> events) override;
    void OnWoken() override {}
    Nanoseconds OnTurn(Nanoseconds now) override;

    EchoWorld* world = nullptr;
    std::array<Connection*, kConnections> connections{};  // In the order of opening; null: gone.
    std::array<std::string, kConnections> received;
    std::array<bool, kConnections> pause{};
    std::array<bool, kConnections> resume{};
    size_t opened = 0;
  };

  void Fail(std::string what);
  // Turns until `done`, a bounded number of times: otherwise a wake-up was lost, or it spins.
  template <typename Done>
  void RunUntil(Done done, const char* what);
  void CheckStreams();
  void CheckNothingIsLeft();

  std::string failure_;
  sim::GatedChoice* gate_ = nullptr;  // The world owns it.
  Echo application_;
  std::unique_ptr<ModelWorld> world_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Reactor> reactor_;
  unsigned buffers_;
  std::array<Client, kConnections> clients_;
};

}  // namespace orrery::exhaustive

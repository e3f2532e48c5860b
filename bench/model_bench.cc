// How fast the fake kernel is: modelled completions a second, with all its checks on.

#include <benchmark/benchmark.h>
#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/buffer_ring.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {
namespace {

constexpr UserData Tag(Operation operation, uint32_t index) {
  return {.operation = operation, .slot = {.index = index, .generation = 1}};
}

// One ring with a listener and accepted connections, their peers at hand.
class Machine {
 public:
  explicit Machine(unsigned connections) : kernel_(Options(connections), choice_, nullptr) {
    auto made = kernel_.MakeRing({.sq_entries = 4096, .cq_entries = 8192});
    ORRERY_CHECK(made.has_value());
    ring_ = std::move(*made);
    submission_ = std::make_unique<SubmissionQueue>(*ring_);
    const auto listener = kernel_.Listen({.backlog = static_cast<int>(connections)});
    const auto port = kernel_.LocalPort(*listener);
    ORRERY_CHECK(
        submission_->AcceptMultishot(File::Descriptor(*listener), 0, Tag(Operation::kAccept, 0)));
    Enter(0);
    for (unsigned connection = 0; connection < connections; ++connection) {
      peers_.push_back(*kernel_.PeerConnect(*port));
    }
    while (sockets_.size() < connections) {
      Enter(0);
      Reap([this](const Completion& completion) {
        sockets_.push_back(static_cast<int>(completion.value()));
      });
    }
  }

  void Enter(unsigned min_complete) {
    const auto result =
        ring_->Enter({.to_submit = submission_->Publish(), .min_complete = min_complete});
    ORRERY_CHECK(result.has_value());
  }

  template <typename Visit>
  unsigned Reap(Visit visit) {
    unsigned count = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
      ++count;
      visit(Completion(*cqe));
    }
    io_uring_cq_advance(&ring_->memory(), count);
    return count;
  }

  model::ModelKernel& kernel() { return kernel_; }
  Ring& ring() { return *ring_; }
  SubmissionQueue& submission() { return *submission_; }
  const std::vector<int>& sockets() const { return sockets_; }
  const std::vector<model::ModelKernel::PeerId>& peers() const { return peers_; }

 private:
  static model::ModelOptions Options(unsigned connections) {
    model::ModelOptions options;
    options.descriptors_max = connections + 16;
    return options;
  }

  model::BenignChoice choice_;
  model::ModelKernel kernel_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> submission_;
  std::vector<int> sockets_;
  std::vector<model::ModelKernel::PeerId> peers_;
};

// The ring alone: `range(0)` NOPs an Enter.
void Nops(benchmark::State& state) {
  Machine machine(1);
  int64_t completions = 0;
  for (auto _ : state) {
    for (int64_t nop = 0; nop < state.range(0); ++nop) {
      ORRERY_CHECK(machine.submission().Nop(Tag(Operation::kTest, 0)));
    }
    machine.Enter(0);
    completions += machine.Reap([](const Completion&) {});
  }
  state.SetItemsProcessed(completions);
}
BENCHMARK(Nops)->Arg(1)->Arg(64);

// What a server does: on each of `range(0)` connections a peer's request is received by multishot
// into a provided buffer, and a reply is sent. Two completions a request.
void RequestAndReply(benchmark::State& state) {
  const auto connections = static_cast<unsigned>(state.range(0));
  Machine machine(connections);
  auto buffers = BufferRing::Create(machine.ring(), 0, 1024, 4096);
  ORRERY_CHECK(buffers.has_value());
  for (unsigned index = 0; index < connections; ++index) {
    ORRERY_CHECK(machine.submission().ReceiveMultishot(File::Descriptor(machine.sockets()[index]),
                                                       0, Tag(Operation::kReceive, index)));
  }
  machine.Enter(0);
  const std::array<std::byte, 36> request{};
  const std::array<std::byte, 9> reply{};
  std::array<std::byte, 64> sink;
  int64_t completions = 0;
  for (auto _ : state) {
    for (const auto peer : machine.peers()) (void)machine.kernel().PeerSend(peer, request);
    unsigned replies = 0;
    while (replies < connections) {
      machine.Enter(0);
      completions += machine.Reap([&](const Completion& completion) {
        const uint32_t index = completion.user_data().slot.index;
        if (completion.user_data().operation == Operation::kSend) {
          ++replies;
          return;
        }
        (*buffers)->Take(*completion.buffer(), completion.value());
        (*buffers)->Return(*completion.buffer());
        ORRERY_CHECK(machine.submission().Send(File::Descriptor(machine.sockets()[index]), reply, 0,
                                               Tag(Operation::kSend, index)));
      });
      (*buffers)->Publish();
    }
    for (const auto peer : machine.peers()) machine.kernel().PeerReceive(peer, sink);
  }
  state.SetItemsProcessed(completions);
}
BENCHMARK(RequestAndReply)->Arg(1)->Arg(50)->Arg(500);

}  // namespace
}  // namespace orrery

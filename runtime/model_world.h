// The fake kernel as a TestWorld: benign, or with faults drawn from a seed.
//
// What the model calls a violation of the ring's rules fails the test, at the latest when the world
// ends. Test code only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/test_world.h"

namespace orrery {

// A fault at one question in `one_in`, as a function of the seed and of the question alone.
class SeededChoice final : public model::Choice {
 public:
  // REQUIRES: one_in > 0.
  SeededChoice(uint64_t seed, uint64_t one_in) : seed_(seed), one_in_(one_in) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;

 private:
  uint64_t seed_;
  uint64_t one_in_;
};

class ModelWorld final : public TestWorld {
 public:
  ModelWorld(const model::ModelOptions& options, std::unique_ptr<model::Choice> choice);
  // Those that nobody took fail the test here.
  ~ModelWorld() override;

  Kernel& kernel() override { return *kernel_; }
  void Prepare(int) override {}
  Peer Connect(uint16_t port) override;
  size_t Send(Peer peer, std::string_view bytes) override;
  void Receive(Peer peer, PeerInput& input, size_t bytes_max) override;
  void ShutdownWrite(Peer peer) override { kernel_->PeerShutdownWrite(peer); }
  void Close(Peer peer) override { kernel_->PeerClose(peer); }
  void Reset(Peer peer) override { kernel_->PeerReset(peer); }
  void Ring(int eventfd) override { kernel_->SignalEventFd(eventfd); }
  void Interrupt() override;
  std::optional<size_t> ProvidedBuffers(uint16_t group) override;
  size_t open_descriptors() override { return kernel_->open_descriptors(); }

  model::ModelKernel& model() { return *kernel_; }
  // Whose connections have been accepted, in that order.
  const std::vector<Peer>& accepted() const;
  // The violations since the last call, for a test that wants to say by itself what they mean.
  std::vector<std::string> TakeViolations();

 private:
  class Watcher;

  std::unique_ptr<model::Choice> choice_;
  std::unique_ptr<Watcher> observer_;
  std::unique_ptr<model::ModelKernel> kernel_;
};

}  // namespace orrery

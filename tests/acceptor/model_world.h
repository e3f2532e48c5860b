// The model as a World for the executor: peers whose packets arrive at once, and violations that
// are collected. One thread.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "tests/conformance/world.h"

namespace orrery::acceptor {

class ModelWorld final : public conformance::World {
 public:
  ModelWorld(const model::ModelOptions& options, model::Choice& choice)
      : kernel_(options, choice, &observer_) {}

  model::ModelKernel& model() { return kernel_; }
  // The first rule that the program broke; empty: none.
  const std::string& violation() const { return observer_.violation; }

  Kernel& kernel() override { return kernel_; }
  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    return kernel_.MakeRing(options);
  }
  void PrepareListener(int) override {}
  std::expected<Peer, Errno> Connect(uint16_t port) override { return kernel_.PeerConnect(port); }
  std::expected<size_t, Errno> Send(Peer peer, std::string_view bytes) override;
  conformance::PeerRead Receive(Peer peer, size_t bytes_max) override;
  void ShutdownWrite(Peer peer) override { kernel_.PeerShutdownWrite(peer); }
  void Close(Peer peer) override { kernel_.PeerClose(peer); }
  void Reset(Peer peer) override { kernel_.PeerReset(peer); }
  void SignalEventFd(int fd) override { kernel_.SignalEventFd(fd); }
  std::string Directory() override { return "/"; }
  bool AwaitReadable(int, size_t) override { return true; }
  bool AwaitHangup(int) override { return true; }
  void AwaitSteadyOutput(int) override {}
  void Pause() override {}
  void InterruptWaits(bool) override {}
  void LowerDescriptorLimit() override {}

 private:
  class Collector final : public model::Observer {
   public:
    void OnEvent(const model::Event&) override {}
    void OnViolation(std::string_view invariant, std::string_view detail) override;
    std::string violation;
  };

  Collector observer_;
  model::ModelKernel kernel_;
};

}  // namespace orrery::acceptor

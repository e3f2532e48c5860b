#include "tests/conformance/model_world.h"

#include <memory>
#include <string>

#include "base/units.h"
#include "gtest/gtest.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/observer.h"
#include "kernel_model/scripted_choice.h"

namespace orrery::conformance {
namespace {

constexpr Nanoseconds kMoment = 100 * kMicrosecond;

class FailingObserver final : public model::Observer {
 public:
  void OnEvent(const model::Event&) override {}
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    ADD_FAILURE() << invariant << ": " << detail;
  }
};

class ModelWorld final : public World {
 public:
  explicit ModelWorld(bool deferred) : kernel_(Options(deferred), choice_, &observer_) {}

  Kernel& kernel() override { return kernel_; }

  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    return kernel_.MakeRing(options);
  }

  void PrepareListener(int) override {}

  std::expected<Peer, Errno> Connect(uint16_t port) override { return kernel_.PeerConnect(port); }

  std::expected<size_t, Errno> Send(Peer peer, std::string_view bytes) override {
    return kernel_.PeerSend(peer, std::as_bytes(std::span(bytes.data(), bytes.size())));
  }

  PeerRead Receive(Peer peer, size_t bytes_max) override {
    PeerRead read;
    read.bytes.resize(bytes_max);
    const model::PeerRead got =
        kernel_.PeerReceive(peer, std::as_writable_bytes(std::span(read.bytes)));
    read.bytes.resize(got.bytes);
    // The model tells the end together with the last bytes; a socket tells it with the next read.
    read.end = got.end && got.bytes == 0;
    read.reset = got.reset && got.bytes == 0;
    return read;
  }

  void ShutdownWrite(Peer peer) override { kernel_.PeerShutdownWrite(peer); }
  void Close(Peer peer) override { kernel_.PeerClose(peer); }
  void Reset(Peer peer) override { kernel_.PeerReset(peer); }
  void SignalEventFd(int fd) override { kernel_.SignalEventFd(fd); }

  std::string Directory() override { return "/"; }

  // What a peer does has arrived when its call returns.
  bool AwaitReadable(int, size_t) override { return true; }
  bool AwaitHangup(int) override { return true; }
  void AwaitSteadyOutput(int) override {}

  void Pause() override {
    kernel_.AdvanceTo(kernel_.MonotonicNow() + kMoment);
    for (model::ModelRing* ring : kernel_.rings()) {
      if (ring != nullptr) ring->Interrupt();
    }
  }

  void InterruptWaits(bool on) override {
    if (on) {
      choice_.Always(model::Site::kEnterInterrupted, 1);
    } else {
      choice_.Never(model::Site::kEnterInterrupted);
    }
  }
  void LowerDescriptorLimit() override {}

 private:
  static model::ModelOptions Options(bool deferred) {
    model::ModelOptions options;
    options.task_work = deferred ? model::TaskWork::kDeferred : model::TaskWork::kPrompt;
    return options;
  }

  model::ScriptedChoice choice_;
  FailingObserver observer_;
  model::ModelKernel kernel_;
};

}  // namespace

std::unique_ptr<World> MakeModelWorld(bool deferred) {
  return std::make_unique<ModelWorld>(deferred);
}

}  // namespace orrery::conformance

// The model as a World: peers whose packets go as the choices say, and a clock that moves when a
// test waits.
//
// Who decides, and who is told of broken rules, is up to the maker: the fixture takes a benign
// kernel and fails the test, the acceptor guides the choices and looks afterwards. One thread.
#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "tests/conformance/world.h"

namespace orrery::conformance {

class ModelWorld final : public World {
 public:
  // `choice` and `observer` outlive the world.
  ModelWorld(const model::ModelOptions& options, model::Choice& choice, model::Observer& observer)
      : choice_(choice), kernel_(options, choice_, &observer) {}

  model::ModelKernel& model() { return kernel_; }

  Kernel& kernel() override { return kernel_; }
  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    return kernel_.MakeRing(options);
  }
  std::expected<std::unique_ptr<Ring>, Errno> SetUpRing(unsigned entries,
                                                        io_uring_params& parameters) override;
  EnterResult Enter(int descriptor, const EnterCall& call) override;
  std::expected<unsigned, Errno> Register(int descriptor, unsigned opcode, const void* argument,
                                          unsigned count) override {
    return kernel_.Register(descriptor, opcode, argument, count);
  }
  void OnAnotherThread(const std::function<void()>& body) override;
  EnterResult EnterWhile(Ring& ring, const EnterRequest& request,
                         const std::function<void()>& body) override;
  void PrepareListener(int) override {}
  std::expected<Peer, Errno> Connect(uint16_t port) override { return kernel_.PeerConnect(port); }
  std::expected<Peer, Errno> ConnectUnix(const std::string& path) override {
    return kernel_.PeerConnectUnix(path);
  }
  std::expected<size_t, Errno> Send(Peer peer, std::string_view bytes) override;
  PeerRead Receive(Peer peer, size_t bytes_max) override;
  void ShutdownWrite(Peer peer) override { kernel_.PeerShutdownWrite(peer); }
  void Close(Peer peer) override { kernel_.PeerClose(peer); }
  void Reset(Peer peer) override { kernel_.PeerReset(peer); }
  Peer OpenDatagramPeer() override { return kernel_.OpenDatagramPeer(); }
  uint16_t DatagramPort(Peer peer) override { return kernel_.DatagramPort(peer); }
  void SendDatagram(Peer peer, uint16_t port, std::string_view bytes) override;
  std::optional<Datagram> ReceiveDatagram(Peer peer) override;
  void CloseDatagramPeer(Peer peer) override { kernel_.CloseDatagramPeer(peer); }
  void SignalEventFd(int fd) override { kernel_.SignalEventFd(fd); }
  std::string Directory() override { return "/"; }
  // With a benign choice, what a peer does has arrived when its call returns.
  bool AwaitReadable(int, size_t) override { return true; }
  bool AwaitHangup(int) override { return true; }
  bool AwaitDatagram(int) override { return true; }
  void AwaitSteadyOutput(int) override {}
  void Pause() override;
  void InterruptWaits(bool on) override { choice_.interrupt_waits = on; }
  Description Describe(int fd) override;
  void LimitFileSize(size_t bytes) override { kernel_.LimitFileSize(bytes); }
  size_t BrokenPipeSignals() override { return kernel_.HandleBrokenPipes(); }
  void LowerDescriptorLimit() override {}

 private:
  // Passes questions on, but for signals while a test asks for them.
  class Decider final : public model::Choice {
   public:
    explicit Decider(model::Choice& inner) : inner_(inner) {}
    uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                    uint64_t alternatives) override;
    uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                         std::span<const uint64_t> names) override {
      return inner_.ChooseAmong(site, entity, ordinal, names);
    }
    bool interrupt_waits = false;

   private:
    model::Choice& inner_;
  };

  Decider choice_;
  model::ModelKernel kernel_;
};

}  // namespace orrery::conformance

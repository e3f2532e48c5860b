#include "tests/conformance/model_world.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <span>

#include "base/units.h"
#include "kernel_model/model_ring.h"

namespace orrery::conformance {
namespace {

constexpr Nanoseconds kMoment = 100 * kMicrosecond;

}  // namespace

uint64_t ModelWorld::Decider::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                                     uint64_t alternatives) {
  if (site == model::Site::kEnterInterrupted && interrupt_waits) return 1;
  return inner_.Choose(site, entity, ordinal, alternatives);
}

std::expected<std::unique_ptr<Ring>, Errno> ModelWorld::SetUpRing(unsigned entries,
                                                                  io_uring_params& parameters) {
  auto ring = kernel_.SetUpRing(entries, parameters);
  if (!ring) return std::unexpected(ring.error());
  return *std::move(ring);
}

EnterResult ModelWorld::Enter(int descriptor, const EnterCall& call) {
  return kernel_.Enter(descriptor, {.to_submit = call.to_submit,
                                    .min_complete = call.min_complete,
                                    .flags = call.flags,
                                    .argument = call.argument,
                                    .argument_bytes = call.argument_bytes});
}

void ModelWorld::OnAnotherThread(const std::function<void()>& body) {
  kernel_.SwitchThread(1);
  body();
  kernel_.SwitchThread(0);
}

EnterResult ModelWorld::EnterWhile(Ring& ring, const EnterRequest& request,
                                   const std::function<void()>& body) {
  auto& sleeper = static_cast<model::ModelRing&>(ring);  // This world's rings are the model's.
  const std::optional<EnterResult> entered = sleeper.Begin(request);
  OnAnotherThread(body);
  if (entered) return *entered;
  while (!sleeper.CanFinish()) {
    kernel_.AdvanceTo(std::min(kernel_.NextEventAt(), sleeper.deadline()));
  }
  return sleeper.Finish();
}

std::expected<size_t, Errno> ModelWorld::Send(Peer peer, std::string_view bytes) {
  return kernel_.PeerSend(peer, std::as_bytes(std::span(bytes)));
}

PeerRead ModelWorld::Receive(Peer peer, size_t bytes_max) {
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

void ModelWorld::SendDatagram(Peer peer, uint16_t port, std::string_view bytes) {
  kernel_.PeerSendDatagram(peer, port, std::as_bytes(std::span(bytes)));
}

std::optional<Datagram> ModelWorld::ReceiveDatagram(Peer peer) {
  const auto got = kernel_.PeerReceiveDatagram(peer);
  if (!got) return std::nullopt;
  // Bytes that were received are text to these tests.
  return Datagram{.from = got->from,
                  .bytes = {reinterpret_cast<const char*>(got->bytes.data()), got->bytes.size()}};
}

Description ModelWorld::Describe(int fd) {
  return {.close_on_exec = kernel_.IsCloseOnExec(fd),
          .non_blocking = kernel_.IsNonBlocking(fd),
          .no_delay = kernel_.SocketOption(fd, IPPROTO_TCP, TCP_NODELAY).value_or(0) != 0};
}

void ModelWorld::Pause() {
  kernel_.AdvanceTo(kernel_.MonotonicNow() + kMoment);
  for (model::ModelRing* ring : kernel_.rings()) {
    if (ring != nullptr) ring->Interrupt();
  }
}

}  // namespace orrery::conformance

#include "tests/acceptor/model_world.h"

#include <span>

namespace orrery::acceptor {

void ModelWorld::Collector::OnViolation(std::string_view invariant, std::string_view detail) {
  // The recording process ignores the signal, as these programs write to broken streams.
  if (invariant == "sigpipe" || !violation.empty()) return;
  violation = std::string(invariant) + ": " + std::string(detail);
}

std::expected<size_t, Errno> ModelWorld::Send(Peer peer, std::string_view bytes) {
  return kernel_.PeerSend(peer, std::as_bytes(std::span(bytes.data(), bytes.size())));
}

conformance::PeerRead ModelWorld::Receive(Peer peer, size_t bytes_max) {
  conformance::PeerRead read;
  read.bytes.resize(bytes_max);
  const model::PeerRead got =
      kernel_.PeerReceive(peer, std::as_writable_bytes(std::span(read.bytes)));
  read.bytes.resize(got.bytes);
  // The model tells the end together with the last bytes; a socket tells it with the next read.
  read.end = got.end && got.bytes == 0;
  read.reset = got.reset && got.bytes == 0;
  return read;
}

}  // namespace orrery::acceptor

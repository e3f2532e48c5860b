#include "runtime/model_world.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "kernel_model/model_ring.h"

namespace orrery {

uint64_t SeededChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                              uint64_t alternatives) {
  const uint64_t question =
      Combine(Combine(Combine(seed_, static_cast<uint64_t>(site)), entity), ordinal);
  if (Bounded(Mix64(question), one_in_) != 0) return 0;
  return Bounded(Mix64(question + 1), alternatives);
}

class ModelWorld::Watcher final : public model::Observer {
 public:
  void OnEvent(const model::Event& event) override {
    // A peer and its connection have one number.
    if (event.kind == model::EventKind::kAccepted) accepted.push_back(event.entity);
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    seen.push_back(std::string(invariant) + ": " + std::string(detail));
  }

  std::vector<std::string> seen;
  std::vector<Peer> accepted;
};

ModelWorld::ModelWorld(const model::ModelOptions& options, std::unique_ptr<model::Choice> choice)
    : choice_(std::move(choice)),
      observer_(std::make_unique<Watcher>()),
      kernel_(std::make_unique<model::ModelKernel>(options, *choice_, observer_.get())) {}

ModelWorld::~ModelWorld() {
  for (const std::string& violation : TakeViolations()) {
    ADD_FAILURE() << "violation of the ring's rules: " << violation;
  }
}

void ModelWorld::Interrupt() {
  for (model::ModelRing* ring : kernel_->rings()) {
    if (ring != nullptr) ring->Interrupt();
  }
}

std::optional<size_t> ModelWorld::ProvidedBuffers(uint16_t group) {
  model::ModelRing* ring = kernel_->rings().back();
  ORRERY_CHECK(ring != nullptr);
  (void)ring->Enter({});  // Whatever it answers: it looks at what was published.
  return ring->provided_buffers(group);
}

std::vector<std::string> ModelWorld::TakeViolations() { return std::exchange(observer_->seen, {}); }

const std::vector<TestWorld::Peer>& ModelWorld::accepted() const { return observer_->accepted; }

TestWorld::Peer ModelWorld::Connect(uint16_t port) {
  const auto peer = kernel_->PeerConnect(port);
  ORRERY_CHECK(peer.has_value());
  return *peer;
}

size_t ModelWorld::Send(Peer peer, std::string_view bytes) {
  return kernel_->PeerSend(peer, std::as_bytes(std::span(bytes))).value_or(0);
}

void ModelWorld::Receive(Peer peer, PeerInput& input, size_t bytes_max) {
  std::array<char, 16 * kKiB> buffer;
  for (;;) {
    const std::span<char> part(buffer.data(), std::min(bytes_max, buffer.size()));
    if (part.empty()) return;
    const model::PeerRead read = kernel_->PeerReceive(peer, std::as_writable_bytes(part));
    input.bytes.append(buffer.data(), read.bytes);
    bytes_max -= read.bytes;
    input.end |= read.end;
    input.reset |= read.reset;
    if (read.bytes == 0) return;
  }
}

}  // namespace orrery

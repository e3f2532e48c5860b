#include "sim/byte_choice.h"

namespace orrery::sim {
namespace {

// Bytes below this are benign.
constexpr uint64_t kBenign = 128;

}  // namespace

uint64_t ByteChoice::Take() {
  if (bytes_.empty()) return 0;
  const uint64_t byte = bytes_.front();
  bytes_ = bytes_.subspan(1);
  return byte;
}

uint64_t ByteChoice::Choose(model::Site, uint64_t, uint64_t, uint64_t alternatives) {
  if (alternatives <= 1) return 0;
  const uint64_t byte = Take();
  if (byte < kBenign) return 0;
  const uint64_t answers = alternatives - 1;  // That are not benign.
  const uint64_t pick = byte - kBenign;
  if (answers <= kBenign) return 1 + pick % answers;
  // A quantity: from either end, by the lowest bit.
  const uint64_t high = Take();
  const uint64_t quantity = (high << 8 | Take()) << (pick / 2 % 4 * 4);
  const uint64_t distance = quantity % answers;
  return pick % 2 == 0 ? 1 + distance : answers - distance;
}

}  // namespace orrery::sim

// Bytes as choices: a fuzzer's input decides.
//
// Each question takes a byte (a quantity two more): its lower half is the benign answer, so that an
// input is mostly benign like a plan; when the bytes are used up all answers are benign, so that a
// prefix of an input is an input. Used by the one thread of its run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernel_model/choice.h"

namespace orrery::sim {

class ByteChoice final : public model::Choice {
 public:
  // `bytes` must outlive this.
  explicit ByteChoice(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;

  // Bytes that no question has taken yet.
  size_t left() const { return bytes_.size(); }

 private:
  // 0 when there is none.
  uint64_t Take();

  std::span<const uint8_t> bytes_;
};

}  // namespace orrery::sim

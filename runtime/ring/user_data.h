// What an SQE carries to its CQEs: which operation of which slot, and of which generation of it.
//
//   63      56 55            32 31                     0
//   | operation |  slot index   |      generation      |
//
// The operation is never 0xff, so user_data ~0 (which liburing reserves) never occurs. A completion
// whose generation is not its slot's is stale: its buffer is returned, and it is dropped.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "base/slab.h"

namespace orrery {

enum class Operation : uint8_t {
  kNone = 0,
  kAccept,
  kAcceptCancel,
  kReceive,
  kReceiveCancel,
  kSend,
  kSendCancel,
  kShutdown,
  kClose,
  kWaker,
  kWakerCancel,
  kTest,  // For tests and tools that drive a ring by hand.
  // Those of runtime/operations.
  kOperation,
  kOperationCancel,
  kOperationTimeout,
  kSendZeroCopy,  // Its slot is one of the send slab.
};

struct UserData {
  static constexpr uint32_t kIndexMax = (uint32_t{1} << 24) - 1;

  Operation operation = Operation::kNone;
  SlotHandle slot;

  // REQUIRES: slot.index <= kIndexMax.
  constexpr uint64_t Pack() const {
    ORRERY_CHECK(slot.index <= kIndexMax);
    return uint64_t{static_cast<uint8_t>(operation)} << 56 | uint64_t{slot.index} << 32 |
           slot.generation;
  }

  static constexpr UserData Unpack(uint64_t word) {
    return {.operation = static_cast<Operation>(word >> 56),
            .slot = {.index = static_cast<uint32_t>(word >> 32) & kIndexMax,
                     .generation = static_cast<uint32_t>(word)}};
  }

  friend constexpr bool operator==(const UserData&, const UserData&) = default;
};

static_assert(UserData::Unpack(UserData{.operation = Operation::kTest, .slot = {5, 9}}.Pack()) ==
              UserData{.operation = Operation::kTest, .slot = {5, 9}});

}  // namespace orrery

// The device I/O loop: an accelerator publishes requests in mapped memory, the ring serves them.
//
// A loop claims requests in order, checks each against what the device may name (handles.h), reads
// or writes by fixed-buffer operations straight from or into the registered memory, and completes
// the slot. It runs on a thread of its own (device_thread.h), which is nothing but
//
//     while (!loop.finished()) loop.OnEntered(loop.ring().Enter(loop.Turn()));
//
// or is driven by a simulation.
//
// Back-pressure. At most `requests_max` requests are claimed and not completed; the others stay
// PUBLISHED, in order. A request has one operation in flight at a time, of `piece_bytes_max` bytes
// at most; what is left goes on with the next (a short read, or a long request), before requests
// that have not begun.
//
// Waiting. A device cannot ring a bell. While nothing is in flight the loop looks kLooksMax times,
// and then parks between two looks, from kParkMin doubling up to kParkMax. While something is, it
// looks kLooksInFlight times after each claim and completion (a device that has been answered asks
// again), and then waits for a completion, for kWaitMax at most. While all places are taken it
// waits for completions alone.
//
// The end. After a stop nothing is claimed any more, and the loop ends when everything claimed is
// completed and the kernel has nothing of ours; what takes longer than `finish_limit` is cancelled,
// and still waited for. An error of the ring (Enter fails for good) is a stop, too: what the kernel
// has not begun ends with that error at once, what it has ends when its completion comes. If those
// do not come within `loss_limit`, nobody can say when the kernel will be through with that memory,
// and nobody may be told that it is: such slots stay CLAIMED for ever, and are counted as lost.
//
// Invariants: a slot is completed once, and not before the kernel is through with its memory; a
// FENCE is completed when all that were claimed before it have been. Thread: the one that creates
// it, for everything.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/intrusive_list.h"
#include "base/units.h"
#include "runtime/device/device_port.h"
#include "runtime/operations/operations.h"
#include "runtime/operations/wake_poll.h"
#include "runtime/registered_buffers.h"
#include "runtime/ring/ring.h"

namespace orrery {

struct DeviceLoopOptions {
  // Claimed and not completed, at most. Never more than the queue has slots.
  uint32_t requests_max = 256;
  // Of one operation, at most.
  uint32_t piece_bytes_max = 1 << 20;
  // False: nothing is registered, and the operations are plain reads and writes.
  bool fixed_buffers = true;
  // Where the next request is, in a queue that another loop has served: its next_slot().
  uint32_t first_slot = 0;
  // Of the end; see above.
  Nanoseconds finish_limit = kSecond;
  Nanoseconds loss_limit = kSecond;
};

class DeviceLoop {
 public:
  static constexpr uint32_t kLooksMax = 64;
  static constexpr uint32_t kLooksInFlight = 16;
  static constexpr Nanoseconds kParkMin = 10 * kMicrosecond;
  static constexpr Nanoseconds kParkMax = 100 * kMicrosecond;
  static constexpr Nanoseconds kWaitMax = 50 * kMicrosecond;

  // Makes the ring, and registers the port's regions with it. `port` serves this loop alone. The
  // error is a line for a person.
  static std::expected<std::unique_ptr<DeviceLoop>, std::string> Create(
      DevicePort& port, const DeviceLoopOptions& options);
  DeviceLoop(const DeviceLoop&) = delete;
  DeviceLoop& operator=(const DeviceLoop&) = delete;
  // REQUIRES: finished(), or never turned.
  ~DeviceLoop();

  // --- For the driver.

  EnterRequest Turn();
  void OnEntered(const EnterResult& result);
  // Everything that was claimed is completed or lost, and the kernel has nothing but what was lost.
  bool finished() const { return phase_ == Phase::kFinished; }
  // What ended it, if it was not a stop.
  std::optional<Errno> error() const { return error_; }
  // Of the request that comes next.
  uint32_t next_slot() const { return next_; }

  Ring& ring() { return *ring_; }
  const OperationsCounters& operations() const { return operations_->counters(); }

 private:
  enum class Phase : uint8_t {
    kRunning,
    kFinishing,   // Nothing is claimed; what was is carried out.
    kCancelling,  // What was is cancelled.
    kEnding,      // Only the poll on the eventfd is left.
    kFinished,
  };

  // A claimed request.
  class Claimed final : public RingOperation {
   public:
    explicit Claimed(DeviceLoop& loop) : loop_(loop) {}

    DeviceRequest request;
    DeviceHandles::Target target;
    uint32_t slot = 0;
    Nanoseconds claimed_at = 0;
    ListLink link;

    bool is_fence() const { return request.operation == ORRERY_DEVICE_FENCE; }
    // REQUIRES: a READ or WRITE of one byte at least.
    void Start();

   private:
    Next OnTerminal(const Completion& completion) override;
    void OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) override;
    // What the kernel has is the destination, not this. It stays among the claimed ones until
    // LoseAll() has seen it, so that no fence passes it.
    void OnLost() override { SurviveLoss(); }
    // For the bytes that are not moved yet.
    void Prepare();

    DeviceLoop& loop_;
    uint32_t moved_ = 0;
  };
  using List = IntrusiveList<Claimed, &Claimed::link>;

  DeviceLoop(DevicePort& port, const DeviceLoopOptions& options, std::unique_ptr<Ring> ring,
             std::unique_ptr<RegisteredBuffers> buffers, uint32_t requests_max);

  // Claims what is published, as far as there is room. True: there may be more.
  bool ClaimPublished();
  // The status of the next slot is none that a device gives it: counted once.
  void NoteStatus(uint32_t status);
  void Begin(Claimed& claimed);
  // Answers and frees it; then the fences that have waited for it.
  void Complete(Claimed& claimed, DeviceResult result, std::optional<DeviceFailure> failure);
  void Answer(Claimed& claimed, DeviceResult result, std::optional<DeviceFailure> failure);
  void CompleteFences();
  void Fail(Claimed& claimed, Errno error, DeviceFailure failure);
  void Lose(Claimed& claimed);

  void BeginStop();
  void CancelAll();
  void StepStop();
  // Gives up what does not come.
  void LoseAll();
  // After how long to look for what nobody announces; 0: at once.
  Nanoseconds NextLook();

  DevicePort& port_;
  const DeviceLoopOptions options_;
  DeviceCounters& counters_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<RegisteredBuffers> buffers_;
  std::unique_ptr<Operations> operations_;
  std::deque<Claimed> all_;
  std::vector<Claimed*> free_;
  List claimed_;  // In the order of their claims.
  // By slot: it is claimed, whatever its status says.
  std::vector<bool> held_;
  WakePoll wake_;
  uint32_t next_;
  uint32_t last_status_ = ORRERY_DEVICE_EMPTY;  // Of the next slot, when it was noted.
  uint32_t looks_ = 0;                          // In vain, in a row. Saturates.
  Phase phase_ = Phase::kRunning;
  Nanoseconds phase_ends_at_ = kNever;
  std::optional<Errno> error_;
  bool armed_ = false;
};

}  // namespace orrery

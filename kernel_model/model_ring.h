// A ring of the fake kernel: real SQEs and CQEs in heap memory, and Enter split in two.
//
// Enter() is Begin() followed by Finish(). The simulation's scheduler calls them itself and runs
// the rest of the world in between; a whole Enter() steps the world (time moves to the next event)
// and is legal only while no other ring sleeps. Owned by the program under test; must die before
// its ModelKernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "kernel_model/model_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::model {

class RingCore;
struct OpenFile;
struct RingSetUp;

class ModelRing final : public Ring {
 public:
  ~ModelRing() override;

  EnterResult Enter(const EnterRequest& request) override;
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override;

  // Consumes SQEs. The result when the call need not sleep; otherwise nothing, and the ring sleeps
  // until Finish().
  std::optional<EnterResult> Begin(const EnterRequest& request);
  // The same of EnterAs().
  std::optional<EnterResult> BeginAs(const EnterCall& call);
  bool sleeping() const;
  // Whether the sleeper's wait is over now: enough completions, the deadline, or a signal. Runs
  // task work as a thread does that wakes up, looks, and sleeps again; once true it stays true.
  // REQUIRES: sleeping().
  bool CanFinish();
  // When the sleeper wakes up at the latest, be it by a signal; kNever without either. REQUIRES:
  // sleeping().
  Nanoseconds deadline() const;
  // Wakes up and delivers. REQUIRES: CanFinish().
  EnterResult Finish();

  // A signal comes: a sleeper wakes up, and its call may end with EINTR.
  void Signal();

  // With TaskWork::kPrompt: what a timer interrupt does; queued task work runs now. With kDeferred:
  // nothing.
  void Interrupt();

  // The ring's number in events and choices: its index in ModelKernel::rings().
  uint64_t number() const;

  // --- For checks at the end of a run.
  size_t requests_in_flight() const;
  // Buffers of a group that the kernel owns: published and not handed over. Nothing when there is
  // no such group.
  std::optional<size_t> provided_buffers(uint16_t group) const;

 private:
  friend class ModelKernel;
  bool RunWorker(uint64_t user_data);
  ModelRing(Machine& machine, const RingSetUp& set_up);
  EnterResult EnterAs(const EnterCall& call);
  EnterResult Sleep();
  // Fills in what io_uring_setup(2) tells about the ring's memory.
  void Describe(io_uring_params& parameters) const;

  Machine& machine_;
  OpenFile* file_ = nullptr;  // Its descriptor's.
  std::unique_ptr<RingCore> core_;
};

}  // namespace orrery::model

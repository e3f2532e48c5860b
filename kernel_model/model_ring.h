// A ring of the fake kernel: real SQEs and CQEs in heap memory, and Enter split in two.
//
// Enter() is Begin() followed by Finish(). The simulation's scheduler calls them itself and runs
// the rest of the world in between; a whole Enter() steps the world (time moves to the next event)
// and is legal only when it is the kernel's only ring. Owned by the program under test; must die
// before its ModelKernel.
#pragma once

#include <memory>
#include <optional>

#include "kernel_model/model_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::model {

class ModelRing final : public Ring {
 public:
  ~ModelRing() override;

  EnterResult Enter(const EnterRequest& request) override;
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override;

  // Consumes SQEs. The result when the call need not sleep; otherwise nothing, and the ring sleeps
  // until Finish().
  std::optional<EnterResult> Begin(const EnterRequest& request);
  bool sleeping() const;
  // Whether a sleeper would wake up now: enough completions or task work, the deadline, or a
  // signal. REQUIRES: sleeping().
  bool CanFinish() const;
  // When the sleeper wakes up at the latest; kNever without a deadline. REQUIRES: sleeping().
  Nanoseconds deadline() const;
  // Wakes up and delivers. REQUIRES: CanFinish().
  EnterResult Finish();

  // With TaskWork::kPrompt: what a timer interrupt does; queued task work runs now. With kDeferred:
  // nothing.
  void Interrupt();

  // The ring's number in events and choices.
  uint64_t number() const;

 private:
  friend class ModelKernel;
  struct State;
  ModelRing(ModelKernel& kernel, const RingOptions& options);
  std::unique_ptr<State> state_;
};

}  // namespace orrery::model

// The real ring: io_uring of the Linux kernel we run on, mapped by liburing.
//
// Create() takes the best mode that the kernel offers and refuses, with one line for a person,
// where a feature that the reactor needs is missing. Invariant: memory() is the structure that
// liburing mapped; nothing but Enter() and Register() talks to the kernel about it.
//
// Owned by the program; made, used and destroyed on one thread (SINGLE_ISSUER: the kernel answers
// EEXIST to any other).
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "runtime/ring/ring.h"

namespace orrery {

// How late completions reach the ring, from best to worst. Create() goes down the list until the
// kernel agrees.
enum class RingMode : uint8_t {
  kDeferred,     // SINGLE_ISSUER | DEFER_TASKRUN (Linux 6.1): only inside Enter.
  kCooperative,  // COOP_TASKRUN (Linux 5.19): at any system call, without interruptions.
  kPlain,        // At any moment.
};

// For the line that a program prints at its start:
// "io_uring, Linux 6.18, SINGLE_ISSUER|DEFER_TASKRUN". Of a ring of the running kernel.
std::string DescribeRing(const io_uring& memory);

class LiburingRing final : public Ring {
 public:
  // A ring for the calling thread, in the first mode from `best_mode` on that the kernel has.
  // The error is one line that names what is missing or forbidden, the running kernel, and what to
  // do about it.
  static std::expected<std::unique_ptr<LiburingRing>, std::string> Create(
      const RingOptions& options, RingMode best_mode = RingMode::kDeferred);

  ~LiburingRing() override;

  // Reads the clock only when it has to wait and there is a deadline. Never repeats a call that a
  // signal interrupted. A minimum wait is dropped where the kernel does not know it (before Linux
  // 6.12). Errors beside those that EnterResult names (EBADF, EFAULT, EINVAL, EEXIST) are the
  // caller's mistakes.
  EnterResult Enter(const EnterRequest& request) override;

  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override;

  RingMode mode() const { return mode_; }

  // As DescribeRing().
  std::string description() const { return DescribeRing(memory_); }

 private:
  explicit LiburingRing(RingMode mode) : mode_(mode) {}

  // Null, or what this kernel lacks, for a message.
  const char* MissingFeature();
  // The result of one operation that the kernel answers at once; nothing when it did not.
  std::optional<int> ResultOf(const io_uring_sqe& prepared);
  bool HasBufferRings();

  RingMode mode_;
  bool has_minimum_wait_ = false;
};

// What Create() says when io_uring_setup(2) failed with `error`. `kernel` is the running release
// ("6.18"), `disabled_sysctl` the value of kernel.io_uring_disabled, or -1 where there is none.
// Apart so that each case can be tested.
std::string ExplainSetupFailure(Errno error, const std::string& kernel, int disabled_sysctl);

// The running kernel's version: "6.18" of "6.18.44-custom".
std::string RunningKernelVersion();

}  // namespace orrery

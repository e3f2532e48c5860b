// A ring of the real kernel with whatever parameters a test asks for, mapped by hand.
//
// LiburingRing makes the rings that programs use; this one is for facts about all others, flags
// that the system's liburing does not know included. Made by a test, on the thread that is to own
// it.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>

#include "base/errno.h"
#include "runtime/ring/ring.h"

namespace orrery::conformance {

class RawRing final : public Ring {
 public:
  // The error of io_uring_setup(2). `parameters` are filled in.
  static std::expected<std::unique_ptr<Ring>, Errno> SetUp(unsigned entries,
                                                           io_uring_params& parameters);
  ~RawRing() override;

  EnterResult Enter(const EnterRequest& request) override;
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override;

 private:
  RawRing(int descriptor, const io_uring_params& parameters);

  size_t sqes_bytes_;
};

}  // namespace orrery::conformance

// One ring of a test, driven by hand: prepare operations with queue(), enter, and look at the
// completions.
//
// Every wait has a bound (of the world's own clock), after which the test fails. Borrows its World;
// one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <vector>

#include "base/units.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/ring/user_data.h"
#include "tests/conformance/world.h"

namespace orrery::conformance {

// The name by which a test knows an operation.
constexpr UserData Id(uint32_t number) {
  return {.operation = Operation::kTest, .slot = {.index = number, .generation = 1}};
}

// A completion as the kernel wrote it.
struct Seen {
  uint32_t id = 0;
  int32_t result = 0;
  uint32_t flags = 0;

  bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
  bool not_empty() const { return (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0; }
  std::optional<uint16_t> buffer() const;
};
void PrintTo(const Seen& seen, std::ostream* out);

// The last completion of operation `id`.
MATCHER_P2(Final, id, result, "") {
  return arg.id == static_cast<uint32_t>(id) && arg.result == static_cast<int>(result) &&
         !arg.more();
}
// One that others will follow.
MATCHER_P2(More, id, result, "") {
  return arg.id == static_cast<uint32_t>(id) && arg.result == static_cast<int>(result) &&
         arg.more();
}

class DrivenRing {
 public:
  static constexpr Nanoseconds kWaitBound = 5 * kSecond;
  static constexpr Nanoseconds kQuiet = 20 * kMillisecond;

  DrivenRing(World& world, std::unique_ptr<Ring> ring) : world_(world), ring_(std::move(ring)) {}
  DrivenRing(const DrivenRing&) = delete;
  DrivenRing& operator=(const DrivenRing&) = delete;

  Ring& ring() { return *ring_; }
  SubmissionQueue& queue() { return queue_; }
  // The descriptor by which other rings and system calls name it.
  int descriptor() { return ring_->memory().ring_fd; }
  // A flag of the SQ that the kernel sets (IORING_SQ_*).
  bool shows(unsigned flag);

  // The SQE of the test's operation `id`, for what SubmissionQueue has no words for: zeroed, but
  // for its opcode and user data.
  io_uring_sqe& Raw(unsigned opcode, uint32_t id);
  // The SQE that was prepared last, to add to it.
  io_uring_sqe& LastSqe();

  // Publishes what is prepared and enters. `timeout` bounds a wait.
  EnterResult Enter(unsigned min_complete = 0, Nanoseconds timeout = kWaitBound);
  // The same with these flags and nothing more: without GETEVENTS it only submits.
  EnterResult EnterWith(unsigned flags, unsigned min_complete = 0);
  // As Enter(0), and checks that everything prepared was consumed.
  void Submit();
  // The completions that are in the ring now, without entering the kernel.
  std::vector<Seen> Visible();
  // At least `count` completions: enters until they are there. Fails the test at the bound.
  std::vector<Seen> Await(size_t count);
  // Await(1), for one completion exactly.
  Seen AwaitOne();
  // Nothing completes, although the ring is entered.
  void ExpectQuiet();

 private:
  World& world_;
  std::unique_ptr<Ring> ring_;
  SubmissionQueue queue_{*ring_};
};

}  // namespace orrery::conformance

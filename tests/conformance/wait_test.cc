// How a wait ends. A reactor that reads these wrongly reports work as lost, or sleeps on it.
#include <array>
#include <cerrno>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Wait : public Conformance {
 protected:
  ~Wait() override { world().InterruptWaits(false); }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Wait, AllWorlds(), WorldName);

TEST_P(Wait, W1_AnEmptyWaitEndsWithEtimeAtItsDeadline) {
  const Nanoseconds begin = kernel().MonotonicNow();
  const EnterResult entered = Enter(1, kQuiet);
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error(), Errno(ETIME));
  EXPECT_GE(kernel().MonotonicNow() - begin, kQuiet);
}

TEST_P(Wait, W1_ASignalEndsAnEmptyWaitWithEintr) {
  world().InterruptWaits(true);
  const EnterResult entered = Enter(1);
  world().InterruptWaits(false);
  ASSERT_FALSE(entered);
  EXPECT_EQ(entered.error(), Errno(EINTR));
  // Nothing is broken by it.
  ASSERT_TRUE(queue().Nop(Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
}

TEST_P(Wait, W2_WithACompletionThereADeadlineIsNoError) {
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  EXPECT_EQ(Enter(2, kQuiet), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Wait, W2_WithACompletionThereASignalIsNoError) {
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  world().InterruptWaits(true);
  EXPECT_EQ(Enter(2), 0U);
  world().InterruptWaits(false);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Wait, W3_WithASubmissionADeadlineIsNoError) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  EXPECT_EQ(Enter(1, kQuiet), 1U);
  EXPECT_THAT(Visible(), IsEmpty());
}

TEST_P(Wait, W3_WithASubmissionASignalIsNoError) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  world().InterruptWaits(true);
  EXPECT_EQ(Enter(1), 1U);
  world().InterruptWaits(false);
  EXPECT_THAT(Visible(), IsEmpty());
}

TEST_P(Wait, W4_ADeadlineThatHasPassedEndsAWaitAtOnceAfterTaskWork) {
  const EnterResult empty = Enter(1, 0);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error(), Errno(ETIME));

  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  Deliver(connection, "hello");
  EXPECT_EQ(Enter(1, -kSecond), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5)));
}

TEST_P(Wait, W4_ArgumentsOfAWaitAreReadAfterTheSubmission) {
  io_uring_getevents_arg argument{};
  const EnterCall wrong{.to_submit = 0,
                        .min_complete = 1,
                        .flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                        .argument = &argument,
                        .argument_bytes = sizeof argument - 1};
  EXPECT_EQ(world().Enter(driven().descriptor(), wrong), std::unexpected(Errno(EINVAL)));
  ASSERT_TRUE(queue().Nop(Id(1)));
  EnterCall submitting = wrong;
  submitting.to_submit = queue().Publish();
  EXPECT_EQ(world().Enter(driven().descriptor(), submitting), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Wait, W4_ATimeThatTheClockDoesNotHoldIsForEver) {
  constexpr __kernel_timespec kTime{.tv_sec = kNever, .tv_nsec = 0};
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<uint64_t>(&kTime);  // The ABI carries pointers so.
  world().InterruptWaits(true);
  EXPECT_EQ(
      world().Enter(driven().descriptor(), {.to_submit = 0,
                                            .min_complete = 1,
                                            .flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                            .argument = &argument,
                                            .argument_bytes = sizeof argument}),
      std::unexpected(Errno(EINTR)));
  world().InterruptWaits(false);
}

TEST_P(Wait, W5_ASignalThatTheWaitMasksDoesNotEndIt) {
  constexpr __kernel_timespec kTime{.tv_sec = 0, .tv_nsec = 50 * kMillisecond};
  const uint64_t all_signals = ~uint64_t{0};
  io_uring_getevents_arg argument{};
  argument.sigmask = reinterpret_cast<uint64_t>(&all_signals);  // The ABI carries pointers so.
  argument.sigmask_sz = sizeof all_signals;
  argument.ts = reinterpret_cast<uint64_t>(&kTime);
  const Nanoseconds begin = kernel().MonotonicNow();
  world().InterruptWaits(true);
  EXPECT_EQ(
      world().Enter(driven().descriptor(), {.to_submit = 0,
                                            .min_complete = 1,
                                            .flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                            .argument = &argument,
                                            .argument_bytes = sizeof argument}),
      std::unexpected(Errno(ETIME)));
  world().InterruptWaits(false);
  EXPECT_GE(kernel().MonotonicNow() - begin, kTime.tv_nsec);
}

TEST_P(Wait, W6_ATimeoutThatFiresDuringAWaitEndsIt) {
  const __kernel_timespec duration{.tv_sec = 0, .tv_nsec = kQuiet};
  ASSERT_TRUE(queue().Timeout(duration, 0, Id(1)));
  const Nanoseconds begin = kernel().MonotonicNow();
  // One of the five completions that are waited for is enough.
  EXPECT_EQ(Enter(5), 1U);
  EXPECT_LT(kernel().MonotonicNow() - begin, kWaitBound);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, -ETIME)));
}

// A minimum wait: how long to wait for all before one will do.
class MinimumWait : public Conformance {
 protected:
  static constexpr Nanoseconds kMinimum = 20 * kMillisecond;
  // Long after it, and long before the deadline.
  static constexpr Nanoseconds kLate = 1 * kSecond;
  static_assert(kLate < kWaitBound);

  // A receive that two completions end at this time. What a TIMEOUT posts would end the wait
  // by itself (fact W6).
  void CompleteAt(Nanoseconds time) {
    connection_ = Connect();
    time_ = {.tv_sec = 0, .tv_nsec = time};
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection_.fd), bytes_, 0, Id(1)));
    LastSqe().flags |= IOSQE_IO_LINK;
    io_uring_sqe& timeout = Raw(IORING_OP_LINK_TIMEOUT, 2);
    timeout.addr = reinterpret_cast<uint64_t>(&time_);  // The ABI carries pointers so.
    timeout.len = 1;
    Submit();
  }
  // Waits for so many; how long that took.
  Nanoseconds WaitFor(unsigned count, Nanoseconds timeout, EnterResult expected) {
    const Nanoseconds begin = kernel().MonotonicNow();
    const Nanoseconds deadline = timeout == kNever ? kNever : begin + timeout;
    EXPECT_EQ(ring().Enter({.to_submit = 0,
                            .min_complete = count,
                            .deadline = deadline,
                            .min_wait_us = kMinimum / kMicrosecond}),
              expected);
    return kernel().MonotonicNow() - begin;
  }

 private:
  Connection connection_;
  __kernel_timespec time_{};
  std::array<std::byte, 16> bytes_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, MinimumWait, AllWorlds(), WorldName);

TEST_P(MinimumWait, W7_AllOfThemEndItAtOnce) {
  CompleteAt(kMillisecond);
  EXPECT_LT(WaitFor(2, kWaitBound, 0U), kLate);
  EXPECT_THAT(Visible(), testing::SizeIs(2));
}

TEST_P(MinimumWait, W7_WhenItIsOverOneWillDo) {
  CompleteAt(kMillisecond);
  const Nanoseconds took = WaitFor(5, kWaitBound, 0U);
  EXPECT_GE(took, kMinimum);
  EXPECT_LT(took, kLate);
  EXPECT_THAT(Visible(), testing::SizeIs(2));
}

TEST_P(MinimumWait, W7_WithNothingYetTheFirstOneEndsTheWait) {
  CompleteAt(3 * kMinimum);
  const Nanoseconds took = WaitFor(5, kWaitBound, 0U);
  EXPECT_GE(took, 2 * kMinimum);
  EXPECT_LT(took, kLate);
  const std::vector<Seen> seen = Visible();
  EXPECT_GE(seen.size(), 1U);
  EXPECT_THAT(Await(2 - seen.size()), testing::SizeIs(2 - seen.size()));
}

TEST_P(MinimumWait, W7_WithNothingAtAllTheDeadlineEndsTheWait) {
  EXPECT_GE(WaitFor(5, 3 * kMinimum, std::unexpected(Errno(ETIME))), 3 * kMinimum);
}

TEST_P(MinimumWait, W7_WithoutADeadlineItIsOne) {
  const Nanoseconds took = WaitFor(5, kNever, std::unexpected(Errno(ETIME)));
  EXPECT_GE(took, kMinimum);
  EXPECT_LT(took, kLate);
}

}  // namespace
}  // namespace orrery::conformance

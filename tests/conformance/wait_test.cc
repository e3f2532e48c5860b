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

TEST_P(Wait, W6_ATimeoutThatFiresDuringAWaitEndsIt) {
  const __kernel_timespec duration{.tv_sec = 0, .tv_nsec = kQuiet};
  ASSERT_TRUE(queue().Timeout(duration, 0, Id(1)));
  const Nanoseconds begin = kernel().MonotonicNow();
  // One of the five completions that are waited for is enough.
  EXPECT_EQ(Enter(5), 1U);
  EXPECT_LT(kernel().MonotonicNow() - begin, kWaitBound);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, -ETIME)));
}

}  // namespace
}  // namespace orrery::conformance

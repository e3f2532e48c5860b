// Linked timeouts: a limit of time for one operation. What both answer is a set; which of it comes
// is a race that nobody may count on.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr __kernel_timespec kShort{.tv_sec = 0, .tv_nsec = 5 * kMillisecond};
constexpr __kernel_timespec kLong{.tv_sec = 3600, .tv_nsec = 0};
constexpr unsigned kLink = IOSQE_IO_LINK;
constexpr unsigned kSkip = IOSQE_CQE_SKIP_SUCCESS;

class LinkTimeouts : public Conformance {
 protected:
  void Receive(const Connection& connection, uint32_t id, unsigned flags = kLink, int how = 0) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, how, Id(id)));
    LastSqe().flags |= static_cast<uint8_t>(flags);
  }
  void Limit(const __kernel_timespec& time, uint32_t id, unsigned flags = 0) {
    ::io_uring_prep_link_timeout(&Raw(IORING_OP_NOP, id), const_cast<__kernel_timespec*>(&time), 0);
    LastSqe().flags = static_cast<uint8_t>(flags);
    LastSqe().user_data = Id(id).Pack();
  }

  std::array<std::byte, 16> memory_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, LinkTimeouts, AllWorlds(), WorldName);

TEST_P(LinkTimeouts, Q1_WhatIsInTimeCancelsIts) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kLong, 2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, -ECANCELED)));
}

TEST_P(LinkTimeouts, Q1_WhatEndsAtOnceToo) {
  Nop(1, kLink);
  Limit(kLong, 2);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, -ECANCELED)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(987'654), memory_, 0, Id(3)));
  LastSqe().flags |= kLink;
  Limit(kLong, 4);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, -EBADF), Final(4, -ECANCELED)));
  Nop(5, kLink);
  LastSqe().ioprio = 1;  // An error of preparation.
  Limit(kLong, 6);
  EXPECT_THAT(Await(2), ElementsAre(Final(5, -EINVAL), Final(6, -ECANCELED)));
}

TEST_P(LinkTimeouts, Q1_WhatAWorkerRefusesHadNone) {
  const __kernel_timespec none{.tv_sec = 0, .tv_nsec = 0};
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(987'654), SHUT_RD, Id(1)));
  LastSqe().flags |= kLink;
  Limit(none, 2);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, -EBADF), Final(2, -ECANCELED)));
}

TEST_P(LinkTimeouts, Q2_WhatIsLateIsCancelled) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kShort, 2);
  EXPECT_THAT(Await(2), ElementsAre(Final(2, -ETIME), Final(1, -ECANCELED)));
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  Receive(connection, 3, 0);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 3)));
}

TEST_P(LinkTimeouts, Q3_ARaceHasAFewOutcomesAndLosesNothing) {
  for (int round = 0; round < 20; ++round) {
    const Connection connection = Connect();
    const __kernel_timespec soon{.tv_sec = 0, .tv_nsec = 1 * kMillisecond};
    Receive(connection, 1);
    Limit(soon, 2);
    Submit();
    const Nanoseconds begin = kernel().MonotonicNow();
    while (kernel().MonotonicNow() - begin < (round % 4) * 300 * kMicrosecond) world().Pause();
    ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
    while (kernel().MonotonicNow() - begin < 2 * kMillisecond) world().Pause();
    const std::vector<Seen> seen = Await(2);
    const bool in_time = testing::Matches(
        UnorderedElementsAre(Final(1, 3), AnyOf(Final(2, -ECANCELED), Final(2, -ENOENT),
                                                Final(2, -ETIME), Final(2, -EALREADY))))(seen);
    if (!in_time) {
      ASSERT_THAT(seen, UnorderedElementsAre(Final(1, -ECANCELED), Final(2, -ETIME)));
      Receive(connection, 3, 0);
      EXPECT_THAT(Await(1), ElementsAre(Final(3, 3)));
    }
  }
}

TEST_P(LinkTimeouts, Q4_WhatHasSomeBytesAnswersThem) {
  const Connection connection = Connect();
  Receive(connection, 1, kLink, MSG_WAITALL);
  const __kernel_timespec later{.tv_sec = 0, .tv_nsec = 50 * kMillisecond};
  Limit(later, 2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(2), ElementsAre(Final(2, -ETIME), Final(1, 3)));
}

TEST_P(LinkTimeouts, Q6_NeedsALinkBeforeItAndATime) {
  Limit(kLong, 1);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
  Nop(2, kLink);
  Limit(kLong, 3);
  LastSqe().addr = 0;
  EXPECT_THAT(Await(2), ElementsAre(Final(2, -ECANCELED), Final(3, -EFAULT)));
  Nop(4, kLink);
  Limit(kLong, 5, kLink);
  Limit(kLong, 6);  // A limit of a limit.
  EXPECT_THAT(Await(3),
              UnorderedElementsAre(Final(4, -ECANCELED), Final(5, -ECANCELED), Final(6, -EINVAL)));
}

TEST_P(LinkTimeouts, Q7_AMultishotHasOneForItsWholeLife) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  LastSqe().flags |= kLink;
  const __kernel_timespec later{.tv_sec = 0, .tv_nsec = 50 * kMillisecond};
  Limit(later, 2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, -ETIME), Final(1, -ECANCELED)));
}

TEST_P(LinkTimeouts, Q8_TheNextOneHangsOnTheOperation) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kLong, 2, kLink);
  Nop(3);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 3), Final(2, -ECANCELED), Final(3, 0)));
  Receive(connection, 4);
  Limit(kShort, 5, kLink);
  Nop(6);
  EXPECT_THAT(Await(3), ElementsAre(Final(5, -ETIME), Final(4, -ECANCELED), Final(6, -ECANCELED)));
}

TEST_P(LinkTimeouts, Q9_SkippingIt) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kShort, 2, kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ECANCELED)));
  Nop(3, kLink);
  Limit(kLong, 4, kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 0)));
  Nop(5, kLink | kSkip);
  Limit(kLong, 6);
  EXPECT_THAT(Await(1), ElementsAre(Final(6, -ECANCELED)));
  ExpectQuiet();
}

TEST_P(LinkTimeouts, C9_CancellingTheOperationCancelsBoth) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kLong, 2);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(3),
              UnorderedElementsAre(Final(3, 0), Final(1, -ECANCELED), Final(2, -ECANCELED)));
}

TEST_P(LinkTimeouts, C9_ItCannotBeFoundByItself) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kLong, 2);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(2), Id(3)));
  ::io_uring_prep_timeout_remove(&Raw(IORING_OP_NOP, 4), Id(2).Pack(), 0);
  LastSqe().user_data = Id(4).Pack();
  EXPECT_THAT(Await(2), ElementsAre(Final(3, -ENOENT), Final(4, -ENOENT)));
}

TEST_P(LinkTimeouts, K5_AnUpdateMovesIt) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Limit(kLong, 2);
  Submit();
  auto* const time = const_cast<__kernel_timespec*>(&kShort);
  ::io_uring_prep_timeout_update(&Raw(IORING_OP_NOP, 3), time, Id(2).Pack(),
                                 IORING_LINK_TIMEOUT_UPDATE);
  LastSqe().user_data = Id(3).Pack();
  EXPECT_THAT(Await(3), ElementsAre(Final(3, 0), Final(2, -ETIME), Final(1, -ECANCELED)));
  ::io_uring_prep_timeout_update(&Raw(IORING_OP_NOP, 4), time, Id(2).Pack(),
                                 IORING_LINK_TIMEOUT_UPDATE);
  LastSqe().user_data = Id(4).Pack();
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
}

}  // namespace
}  // namespace orrery::conformance

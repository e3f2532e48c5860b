// Messages from one ring to another. Shards wake each other by them: one that is lost, or that
// nobody is woken for, is a mailbox that nobody reads.
#include <poll.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr unsigned kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
// Not in the headers of liburing 2.3.
constexpr unsigned kCommandSendFile = 1;     // IORING_MSG_SEND_FD
constexpr unsigned kMessageSkip = 1U << 0;   // IORING_MSG_RING_CQE_SKIP
constexpr unsigned kMessageFlags = 1U << 1;  // IORING_MSG_RING_FLAGS_PASS
constexpr unsigned kRegisterMessage = 31;    // IORING_REGISTER_SEND_MSG_RING

class RingMessages : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    target_ = &UseAnotherRing();
  }
  DrivenRing& target() { return *target_; }

  void Send(DrivenRing& to, uint32_t message, uint32_t value, uint32_t id) {
    ASSERT_TRUE(queue().Message(File::Descriptor(to.descriptor()), Id(message), value, Id(id)));
  }
  // Passes what is in a slot of this ring's table on to another's.
  void PassFile(DrivenRing& to, unsigned slot, uint32_t message, uint32_t id) {
    ASSERT_TRUE(queue().PassFile(File::Descriptor(to.descriptor()), slot, Id(message), Id(id)));
  }

 private:
  DrivenRing* target_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Kernels, RingMessages, AllWorlds(), WorldName);

TEST_P(RingMessages, G1_AMessageIsACompletionOfTheOtherRing) {
  Send(target(), 7, 0, 1);
  Send(target(), 8, 12345, 2);
  Send(target(), 9, 0x80000000U, 3);
  EXPECT_EQ(Enter(), 3U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, 0), Final(3, 0))) << "inline";
  const std::vector<Seen> seen = target().Await(3);
  EXPECT_THAT(seen, ElementsAre(Final(7, 0), Final(8, 12345), Final(9, INT32_MIN)));
  for (const Seen& one : seen) EXPECT_EQ(one.flags, 0U);
  target().ExpectQuiet();
}

TEST_P(RingMessages, G1_TheSenderMaySayNothing) {
  Send(target(), 7, 1, 1);
  LastSqe().flags |= IOSQE_CQE_SKIP_SUCCESS;
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(target().Await(1), ElementsAre(Final(7, 1)));
  ExpectQuiet();
}

TEST_P(RingMessages, G1_FlagsArePassedWhenAsked) {
  Send(target(), 7, 1, 1);
  LastSqe().msg_ring_flags = kMessageFlags;
  LastSqe().file_index = IORING_CQE_F_MORE | 1U << 20;
  EXPECT_EQ(Enter(), 1U);
  const Seen seen = target().AwaitOne();
  EXPECT_THAT(seen, More(7, 1));
  EXPECT_EQ(seen.flags, IORING_CQE_F_MORE | 1U << 20);
}

TEST_P(RingMessages, G1_WhatAMessageCannotHaveIsRefused) {
  Send(target(), 7, 1, 1);
  LastSqe().msg_ring_flags = kMessageSkip;
  Send(target(), 7, 1, 2);
  LastSqe().file_index = 1;  // Flags that are not passed.
  Send(target(), 7, 1, 3);
  LastSqe().addr3 = 1;
  EXPECT_EQ(Enter(), 3U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, -EINVAL), Final(2, -EINVAL), Final(3, -EINVAL)));
  Send(target(), 7, 1, 4);
  LastSqe().msg_ring_flags = 1U << 5;
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -EINVAL)));
  target().ExpectQuiet();
}

TEST_P(RingMessages, G2_DeferredItIsSeenInAnEnterOfTheTarget) {
  if (!deferred()) GTEST_SKIP() << "the other body is this side";
  Send(target(), 7, 1, 1);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  for (int i = 0; i < 20; ++i) world().Pause();
  EXPECT_THAT(target().Visible(), IsEmpty());
  EXPECT_EQ(target().EnterWith(0), 0U);
  EXPECT_THAT(target().Visible(), IsEmpty());
  EXPECT_EQ(target().Enter(0), 0U);
  EXPECT_THAT(target().Visible(), ElementsAre(Final(7, 1)));
}

TEST_P(RingMessages, G2_OtherwiseItIsThereAtOnce) {
  DrivenRing& plain = UseAnotherRing(16, 0);
  Send(plain, 7, 1, 1);
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(plain.Visible(), ElementsAre(Final(7, 1)));
}

TEST_P(RingMessages, G2_ItRaisesTheFlagOfTaskWork) {
  DrivenRing& watched = UseAnotherRing(16, kDeferred | IORING_SETUP_TASKRUN_FLAG);
  EXPECT_FALSE(watched.shows(IORING_SQ_TASKRUN));
  Send(watched, 7, 1, 1);
  EXPECT_EQ(Enter(), 1U);
  EXPECT_TRUE(watched.shows(IORING_SQ_TASKRUN));
  EXPECT_THAT(watched.Await(1), ElementsAre(Final(7, 1)));
  EXPECT_FALSE(watched.shows(IORING_SQ_TASKRUN));
}

TEST_P(RingMessages, G2_ItWakesWhoSleeps) {
  constexpr uint32_t kMessages = 2;
  EXPECT_EQ(
      world().EnterWhile(
          ring(), {.min_complete = kMessages, .deadline = kernel().MonotonicNow() + kWaitBound},
          [&] {
            DrivenRing& sender = UseAnotherRing();
            for (uint32_t id = 0; id < kMessages; ++id) {
              ASSERT_TRUE(sender.queue().Message(File::Descriptor(driven().descriptor()), Id(id), 5,
                                                 Id(9)));
            }
            EXPECT_EQ(sender.Enter(), kMessages);
          }),
      0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 5), Final(1, 5)));
}

TEST_P(RingMessages, G2_FewerThanWereWaitedForWakeNobody) {
  constexpr Nanoseconds kTimeout = 50 * kMillisecond;
  const Nanoseconds begin = kernel().MonotonicNow();
  EXPECT_EQ(world().EnterWhile(ring(), {.min_complete = 2, .deadline = begin + kTimeout},
                               [&] {
                                 DrivenRing& sender = UseAnotherRing();
                                 ASSERT_TRUE(sender.queue().Message(
                                     File::Descriptor(driven().descriptor()), Id(1), 5, Id(9)));
                                 EXPECT_EQ(sender.Enter(), 1U);
                               }),
            0U);
  EXPECT_GE(kernel().MonotonicNow() - begin, kTimeout);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5)));
}

TEST_P(RingMessages, G2_ThoseOfOneSenderKeepTheirOrder) {
  constexpr uint32_t kMessages = 50;
  for (uint32_t id = 0; id < kMessages; ++id) Send(target(), id, id, 99);
  EXPECT_EQ(Enter(), kMessages);
  std::vector<size_t> passes;
  uint32_t next = 0;
  for (int pass = 0; pass < 3; ++pass) {
    EXPECT_EQ(target().Enter(0), 0U);
    const std::vector<Seen> seen = target().Visible();
    passes.push_back(seen.size());
    for (const Seen& one : seen) EXPECT_EQ(one.id, next++);
  }
  if (deferred()) {
    EXPECT_THAT(passes, ElementsAre(20, 20, 10));
  } else {
    EXPECT_THAT(passes, ElementsAre(kMessages, 0, 0));
  }
}

TEST_P(RingMessages, G3_ARingMayWriteToItself) {
  Send(driven(), 7, 1, 1);
  EXPECT_EQ(Enter(), 1U);
  if (deferred()) {
    EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(7, 1)));
  } else {
    EXPECT_THAT(Visible(), ElementsAre(Final(7, 1), Final(1, 0)));
  }
}

TEST_P(RingMessages, G4_WhatIsNoRingTakesNone) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().Message(File::Descriptor(fd), Id(7), 1, Id(1)));
  ASSERT_TRUE(queue().Message(File::Descriptor(987'654), Id(7), 1, Id(2)));
  DrivenRing& disabled = UseAnotherRing(16, Mode(IORING_SETUP_R_DISABLED));
  Send(disabled, 7, 1, 3);
  Send(target(), 7, 1, 4);
  LastSqe().addr = 99;  // No command.
  EXPECT_EQ(Enter(), 4U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, -EBADFD), Final(2, -EBADF), Final(3, -EBADFD),
                                     Final(4, -EINVAL)));
  kernel().Close(fd);
}

TEST_P(RingMessages, G4_ARingWhoseThreadIsGoneSwallowsThem) {
  if (!deferred()) GTEST_SKIP() << "only a deferred ring belongs to a thread so";
  DrivenRing* orphan = nullptr;
  world().OnAnotherThread([&] { orphan = &UseAnotherRing(); });
  Send(*orphan, 7, 1, 1);
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
  EXPECT_EQ(orphan->Enter(0), std::unexpected(Errno(EEXIST)));
  EXPECT_THAT(orphan->Visible(), IsEmpty());
}

TEST_P(RingMessages, G6_TheyOvertakeWhatEndsInTheSameRun) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  Deliver(connection, "hello");
  DrivenRing& sender = target();
  ASSERT_TRUE(sender.queue().Message(File::Descriptor(driven().descriptor()), Id(2), 0, Id(9)));
  EXPECT_EQ(sender.Enter(), 1U);
  const std::vector<Seen> seen = Await(2);
  if (deferred()) {
    EXPECT_THAT(seen, ElementsAre(Final(2, 0), Final(1, 5)));
  } else {
    EXPECT_THAT(seen, UnorderedElementsAre(Final(2, 0), Final(1, 5)));
  }
}

TEST_P(RingMessages, G6_ButNotWhatAMultishotPosts) {
  if (!deferred()) GTEST_SKIP() << "messages come at once, polls by themselves";
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  world().SignalEventFd(fd);
  ASSERT_TRUE(target().queue().Message(File::Descriptor(driven().descriptor()), Id(2), 0, Id(9)));
  EXPECT_EQ(target().Enter(), 1U);
  EXPECT_THAT(Await(2), ElementsAre(More(1, POLLIN), Final(2, 0)));
  kernel().Close(fd);
}

TEST_P(RingMessages, O6_AFullTargetKeepsThemInItsBacklog) {
  DrivenRing& small = UseAnotherRing({.sq_entries = 2, .cq_entries = 2});
  for (uint32_t id = 0; id < 5; ++id) Send(small, id, 0, 99);
  EXPECT_EQ(Enter(), 5U);
  EXPECT_THAT(Visible(), SizeIs(5));
  EXPECT_EQ(small.Enter(0), 0U);
  EXPECT_TRUE(small.shows(IORING_SQ_CQ_OVERFLOW));
  EXPECT_THAT(small.Await(2), ElementsAre(Final(0, 0), Final(1, 0)));
  EXPECT_THAT(small.Await(2), ElementsAre(Final(2, 0), Final(3, 0)));
  EXPECT_THAT(small.Await(1), ElementsAre(Final(4, 0)));
}

TEST_P(RingMessages, G5_AFileIsPassedIntoASlotOfTheTarget) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  ASSERT_TRUE(RegisterSparseFiles(target().ring(), 4));
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, fd));
  for (const int slot : {0, 1}) {
    PassFile(target(), 2, 7, 1);
    EXPECT_THAT(Await(1), ElementsAre(Final(1, slot)));
    EXPECT_THAT(target().Await(1), ElementsAre(Final(7, slot)));
  }
  // It is the same file.
  uint64_t count = 0;
  ASSERT_TRUE(target().queue().Read(File::Fixed(1), std::as_writable_bytes(std::span(&count, 1)),
                                    SubmissionQueue::kCurrentOffset, Id(3)));
  target().Submit();
  world().SignalEventFd(fd);
  EXPECT_THAT(target().Await(1), ElementsAre(Final(3, 8)));
  EXPECT_EQ(count, 1U);
  kernel().Close(fd);
}

TEST_P(RingMessages, G5_ATargetMayHearNothingOfIt) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  ASSERT_TRUE(RegisterSparseFiles(target().ring(), 4));
  ASSERT_TRUE(UpdateFixedFile(ring(), 0, fd));
  PassFile(target(), 0, 7, 1);
  LastSqe().msg_ring_flags = kMessageSkip;
  LastSqe().file_index = 4;  // Slot 3, by its number + 1.
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  target().ExpectQuiet();
  kernel().Close(fd);
  ASSERT_TRUE(target().queue().Close(File::Fixed(3), Id(2)));
  EXPECT_THAT(target().Await(1), ElementsAre(Final(2, 0)));
}

TEST_P(RingMessages, G5_WhatCannotBePassed) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  ASSERT_TRUE(UpdateFixedFile(ring(), 0, fd));
  PassFile(target(), 1, 7, 1);  // An empty slot.
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EBADF)));
  PassFile(target(), 0, 7, 2);  // The target has no table.
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENFILE)));
  PassFile(target(), 0, 7, 3);
  LastSqe().file_index = 1;
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -ENXIO)));
  PassFile(driven(), 0, 7, 4);  // To itself.
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -EINVAL)));
  PassFile(target(), 0, 7, 5);
  LastSqe().len = 1;
  EXPECT_THAT(Await(1), ElementsAre(Final(5, -EINVAL)));
  ASSERT_TRUE(RegisterSparseFiles(target().ring(), 1));
  PassFile(target(), 0, 7, 6);
  LastSqe().file_index = 2;  // Beyond the table.
  EXPECT_THAT(Await(1), ElementsAre(Final(6, -EINVAL)));
  target().ExpectQuiet();
  kernel().Close(fd);
}

TEST_P(RingMessages, G7_OneCanBeSentWithoutARing) {
  io_uring_sqe sqe{};
  sqe.opcode = IORING_OP_MSG_RING;
  sqe.fd = target().descriptor();
  sqe.off = Id(7).Pack();
  sqe.len = 5;
  EXPECT_EQ(world().Register(-1, kRegisterMessage, &sqe, 1), 0U);
  EXPECT_THAT(target().Await(1), ElementsAre(Final(7, 5)));
  sqe.user_data = 1;  // It would go nowhere, and is not looked at.
  EXPECT_EQ(world().Register(-1, kRegisterMessage, &sqe, 1), 0U);
  EXPECT_THAT(target().Await(1), ElementsAre(Final(7, 5)));
  sqe.flags = IOSQE_IO_LINK;
  EXPECT_EQ(world().Register(-1, kRegisterMessage, &sqe, 1), std::unexpected(Errno(EINVAL)));
  sqe.flags = 0;
  sqe.addr = kCommandSendFile;
  EXPECT_EQ(world().Register(-1, kRegisterMessage, &sqe, 1), std::unexpected(Errno(EINVAL)));
  sqe.addr = 0;
  sqe.fd = 987'654;
  EXPECT_EQ(world().Register(-1, kRegisterMessage, &sqe, 1), std::unexpected(Errno(EBADF)));
}

}  // namespace
}  // namespace orrery::conformance

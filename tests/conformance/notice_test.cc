// What tells of completions without entering the ring: a registered eventfd, and polling the ring's
// descriptor. A loop that sleeps on either must not miss one.
#include <poll.h>

#include <array>
#include <cerrno>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr unsigned kNoWait = 8;  // RWF_NOWAIT

class Notices : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    other_ = &UseAnotherRing();
    event_ = kernel().MakeEventFd().value();
  }
  ~Notices() override { kernel().Close(event_); }

  DrivenRing& other() { return *other_; }
  int event() const { return event_; }
  std::expected<unsigned, Errno> RegisterEvent(int fd) {
    return ring().Register(IORING_REGISTER_EVENTFD, &fd, 1);
  }
  // How often it was signalled since it was asked last.
  uint64_t Signals() {
    uint64_t count = 0;
    EXPECT_TRUE(other().queue().Read(File::Descriptor(event_),
                                     std::as_writable_bytes(std::span(&count, 1)),
                                     SubmissionQueue::kCurrentOffset, Id(99)));
    other().LastSqe().rw_flags = kNoWait;
    const Seen seen = other().AwaitOne();
    EXPECT_TRUE(seen.result == 8 || seen.result == -EAGAIN);
    return count;
  }
  // What a poll of the ring's descriptor says at once; 0: nothing.
  uint32_t Poll(uint32_t events) {
    io_uring_sqe& sqe = other().Raw(IORING_OP_POLL_ADD, 98);
    sqe.fd = driven().descriptor();
    sqe.poll32_events = events;
    other().Submit();
    const std::vector<Seen> seen = other().Visible();
    if (!seen.empty()) return static_cast<uint32_t>(seen[0].result);
    EXPECT_TRUE(other().queue().Cancel(Id(98), Id(97)));
    EXPECT_THAT(other().Await(2), SizeIs(2));
    return 0;
  }

 private:
  DrivenRing* other_ = nullptr;
  int event_ = -1;
};
INSTANTIATE_TEST_SUITE_P(Kernels, Notices, AllWorlds(), WorldName);

TEST_P(Notices, N1_ABatchSignalsTheEventFdOnce) {
  ASSERT_EQ(RegisterEvent(event()), 0U);
  for (int batch = 0; batch < 3; ++batch) {
    for (uint32_t id = 0; id < 3; ++id) ASSERT_TRUE(queue().Nop(Id(id)));
    Submit();
  }
  EXPECT_EQ(Signals(), 3U);
  EXPECT_THAT(Visible(), SizeIs(9));
  EXPECT_EQ(Enter(), 0U);
  EXPECT_EQ(Signals(), 0U);
}

TEST_P(Notices, N1_DeferredTaskWorkSignalsWhenItIsQueuedAndWhenItCompletes) {
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 16> bytes{};
  std::array<std::byte, 16> more{};
  ASSERT_EQ(RegisterEvent(event()), 0U);
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), bytes, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), more, 0, Id(2)));
  Submit();
  EXPECT_EQ(Signals(), 0U);
  Deliver(first, "hello");
  if (!deferred()) {
    EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
    EXPECT_EQ(Signals(), 1U);
    return;
  }
  EXPECT_EQ(Signals(), 1U);
  EXPECT_THAT(Visible(), IsEmpty());
  // More work behind what is queued says nothing new.
  Deliver(second, "world");
  EXPECT_EQ(Signals(), 0U);
  EXPECT_EQ(Enter(), 0U);
  EXPECT_EQ(Signals(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5), Final(2, 5)));
}

TEST_P(Notices, N1_WhatGoesToTheBacklogIsSignalledWhenItLeavesIt) {
  UseRing({.sq_entries = 2, .cq_entries = 2});
  ASSERT_EQ(RegisterEvent(event()), 0U);
  for (uint32_t id = 0; id < 2; ++id) ASSERT_TRUE(queue().Nop(Id(id)));
  Submit();
  EXPECT_EQ(Signals(), 1U);
  for (uint32_t id = 2; id < 4; ++id) ASSERT_TRUE(queue().Nop(Id(id)));
  Submit();
  EXPECT_EQ(Signals(), 0U);
  EXPECT_THAT(Visible(), SizeIs(2));
  EXPECT_EQ(Enter(), 0U);
  EXPECT_EQ(Signals(), 1U);
  EXPECT_THAT(Visible(), SizeIs(2));
}

TEST_P(Notices, N1_AMessageOfAnotherRingSignals) {
  ASSERT_EQ(RegisterEvent(event()), 0U);
  const File target = File::Descriptor(driven().descriptor());
  ASSERT_TRUE(other().queue().Message(target, Id(7), 0, Id(9)));
  EXPECT_THAT(other().Await(1), ElementsAre(Final(9, 0)));
  EXPECT_EQ(Signals(), 1U);
  EXPECT_THAT(Await(1), ElementsAre(Final(7, 0)));
}

TEST_P(Notices, N1_ThereIsOneAtATime) {
  ASSERT_EQ(RegisterEvent(event()), 0U);
  EXPECT_EQ(RegisterEvent(event()), std::unexpected(Errno(EBUSY)));
  EXPECT_EQ(ring().Register(IORING_UNREGISTER_EVENTFD, nullptr, 0), 0U);
  EXPECT_EQ(ring().Register(IORING_UNREGISTER_EVENTFD, nullptr, 0), std::unexpected(Errno(ENXIO)));
  ASSERT_TRUE(queue().Nop(Id(1)));
  EXPECT_THAT(Await(1), SizeIs(1));
  EXPECT_EQ(Signals(), 0U);
  EXPECT_EQ(RegisterEvent(987'654), std::unexpected(Errno(EBADF)));
  EXPECT_EQ(RegisterEvent(listener()), std::unexpected(Errno(EINVAL)));
  EXPECT_EQ(RegisterEvent(event()), 0U);
}

TEST_P(Notices, N1_AFlagOfTheQueueSilencesIt) {
  ASSERT_EQ(RegisterEvent(event()), 0U);
  *ring().memory().cq.kflags |= IORING_CQ_EVENTFD_DISABLED;
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  EXPECT_EQ(Signals(), 0U);
  *ring().memory().cq.kflags &= ~IORING_CQ_EVENTFD_DISABLED;
  EXPECT_EQ(Enter(), 0U);
  EXPECT_EQ(Signals(), 0U);
  ASSERT_TRUE(queue().Nop(Id(2)));
  Submit();
  EXPECT_EQ(Signals(), 1U);
  EXPECT_THAT(Visible(), SizeIs(2));
}

TEST_P(Notices, N2_ARingIsReadableWithCompletionsAndWritableWithSpace) {
  constexpr uint32_t kBoth = POLLIN | POLLOUT;
  EXPECT_EQ(Poll(kBoth), uint32_t{POLLOUT});
  EXPECT_EQ(Poll(POLLIN), 0U);
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  EXPECT_EQ(Poll(kBoth), kBoth);
  EXPECT_THAT(Visible(), SizeIs(1));
  EXPECT_EQ(Poll(POLLIN), 0U);
  while (queue().space_left() > 0) ASSERT_TRUE(queue().Nop(Id(2)));
  queue().Publish();
  EXPECT_EQ(Poll(POLLOUT), 0U);
}

TEST_P(Notices, N2_DeferredTaskWorkMakesItReadable) {
  if (!deferred()) GTEST_SKIP() << "nothing is pending without completing by itself";
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  EXPECT_EQ(Poll(POLLIN), 0U);
  Deliver(connection, "hello");
  EXPECT_EQ(Poll(POLLIN), uint32_t{POLLIN});
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
  EXPECT_EQ(Poll(POLLIN), 0U);
}

TEST_P(Notices, N2_APollThatWaitsIsWokenByTaskWork) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  io_uring_sqe& sqe = other().Raw(IORING_OP_POLL_ADD, 98);
  sqe.fd = driven().descriptor();
  sqe.poll32_events = POLLIN;
  other().Submit();
  EXPECT_THAT(other().Visible(), IsEmpty());
  Deliver(connection, "hello");
  EXPECT_THAT(other().Await(1), ElementsAre(Final(98, POLLIN)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
}

TEST_P(Notices, N2_APollThatWaitsIsWokenByACompletion) {
  io_uring_sqe& sqe = other().Raw(IORING_OP_POLL_ADD, 98);
  sqe.fd = driven().descriptor();
  sqe.poll32_events = POLLIN;
  other().Submit();
  EXPECT_THAT(other().Visible(), IsEmpty());
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  EXPECT_THAT(other().Await(1), ElementsAre(Final(98, POLLIN)));
  EXPECT_THAT(Visible(), SizeIs(1));
}

}  // namespace
}  // namespace orrery::conformance

// RECV in its three forms, and READ on streams: if these are wrong, every program tested on the
// model learns the wrong rules. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr uint16_t kGroup = 7;

uint32_t Id(uint16_t id) { return kBuffer | uint32_t{id} << IORING_CQE_BUFFER_SHIFT; }

// A machine with one connected stream and a group of `entries` buffers of `bytes` bytes.
class ReceiveTest : public ::testing::Test {
 protected:
  void Provide(unsigned entries, uint32_t bytes, bool publish = true) {
    buffers_ = std::make_unique<TestBuffers>(kGroup, entries, bytes);
    ASSERT_TRUE(buffers_->Register(machine_.ring()).has_value());
    if (publish) buffers_->PublishAll();
  }
  void SetUp() override { stream_ = machine_.Connect(); }
  void TearDown() override {
    EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
    machine_.DestroyRing();
  }
  void ReceiveSelect(uint64_t user_data, uint32_t bytes = 0, int flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, stream_.fd, nullptr, bytes, flags);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
  }
  void Multishot(uint64_t user_data = 1) {
    machine_.ReceiveMultishot(user_data, stream_.fd, kGroup);
  }
  void Arrive(std::string_view text) { machine_.PeerSend(stream_.peer, text); }

  std::unique_ptr<TestBuffers> buffers_;
  TestMachine machine_;
  TestMachine::Stream stream_;
  std::array<std::byte, 16> memory_{};
};

TEST_F(ReceiveTest, SingleReturnsWhatIsThere) {  // Fact R1.
  Arrive("abcdef");
  machine_.Receive(1, stream_.fd, std::span(memory_).first(4));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, kNotEmpty}}));
  EXPECT_EQ(std::memcmp(memory_.data(), "abcd", 4), 0);
  machine_.Receive(2, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, 0}}));
}

TEST_F(ReceiveTest, SingleWaitsAndEndsByTaskWorkOnly) {  // Facts V3, V11.
  machine_.Receive(1, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 0U);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
}

TEST_F(ReceiveTest, EndOfStreamRepeats) {  // Facts R1, R8.
  Arrive("ab");
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  machine_.Receive(1, stream_.fd, memory_);
  machine_.Receive(2, stream_.fd, memory_);
  machine_.Receive(3, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, kNotEmpty}, {2, 0, kNotEmpty}, {3, 0, kNotEmpty}}));
}

TEST_F(ReceiveTest, ResetIsToldOnceAfterTheData) {  // Fact R7.
  Arrive("ab");
  machine_.kernel.PeerReset(stream_.peer);
  for (uint64_t user_data = 1; user_data <= 3; ++user_data) {
    machine_.Receive(user_data, stream_.fd, memory_);
  }
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, 0}, {2, -ECONNRESET, 0}, {3, 0, 0}}));
}

TEST_F(ReceiveTest, ClosingWithUnreadDataResets) {  // Fact R7.
  machine_.Send(1, stream_.fd, "unread");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 6, 0}}));
  machine_.Receive(2, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.PeerClose(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECONNRESET, 0}}));
}

TEST_F(ReceiveTest, LengthZeroWaitsForReadability) {  // Fact R2.
  machine_.Receive(1, stream_.fd, std::span(memory_).first(0));
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotEmpty}}));
}

TEST_F(ReceiveTest, DontWaitAnswersAgain) {  // Fact R3.
  machine_.Receive(1, stream_.fd, memory_, MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EAGAIN, 0}}));
}

TEST_F(ReceiveTest, WaitAllAccumulates) {  // Fact R5.
  machine_.Receive(1, stream_.fd, std::span(memory_).first(6), MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("defgh");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 6, kNotEmpty}}));
  EXPECT_EQ(std::memcmp(memory_.data(), "abcdef", 6), 0);
}

TEST_F(ReceiveTest, WaitAllEndsShortAtTheEndOfTheStream) {  // Fact R5; one pass for each step.
  machine_.Receive(1, stream_.fd, memory_, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, kNotEmpty}}));
}

TEST_F(ReceiveTest, WaitAllSwallowsAReset) {  // Fact R5.
  machine_.Receive(1, stream_.fd, memory_, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.PeerReset(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  machine_.Receive(2, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
}

TEST_F(ReceiveTest, WaitAllDontWaitIsShort) {  // Fact R6.
  Arrive("abc");
  machine_.Receive(1, stream_.fd, memory_, MSG_WAITALL | MSG_DONTWAIT);
  machine_.Receive(2, stream_.fd, memory_, MSG_WAITALL | MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, -EAGAIN, 0}}));
}

TEST_F(ReceiveTest, LocalShutdownOfReadingEndsIt) {  // Fact R9.
  machine_.Receive(1, stream_.fd, memory_);
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_RD); });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, 0, 0}}));
  Arrive("late");
  machine_.Receive(3, stream_.fd, memory_);
  machine_.Receive(4, stream_.fd, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 4, 0}, {4, 0, 0}}));
}

TEST_F(ReceiveTest, LocalShutdownOfWritingLeavesItArmed) {  // Fact R9.
  machine_.Receive(1, stream_.fd, memory_);
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  Arrive("x");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}}));
}

TEST_F(ReceiveTest, TheNewestOfSeveralIsWokenFirst) {  // Fact R10.
  machine_.Receive(1, stream_.fd, std::span(memory_).first(4));
  machine_.Receive(2, stream_.fd, std::span(memory_).subspan(4, 4));
  machine_.Receive(3, stream_.fd, std::span(memory_).subspan(8, 4));
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("a");
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 1, 0}}));
  // The losers waited again in the order of their wake-ups: now 1 is the newest.
  Arrive("b");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}}));
}

TEST_F(ReceiveTest, ANewReceiveTakesDataBeforeAnArmedOne) {  // Facts R12, V11.
  machine_.Receive(1, stream_.fd, std::span(memory_).first(4));
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("ab");
  machine_.Receive(2, stream_.fd, std::span(memory_).subspan(4, 4));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, 0}}));
}

TEST_F(ReceiveTest, PollFirstSkipsTheFirstAttempt) {  // Fact R13.
  Arrive("ab");
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv(sqe, stream_.fd, memory_.data(), memory_.size(), 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  });
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 2, 0}}));
}

TEST_F(ReceiveTest, ReadAndReadVectorHaveNoFlags) {  // Fact R11.
  Arrive("abcdef");
  const std::array<iovec, 3> iovecs = {iovec{memory_.data(), 1}, iovec{nullptr, 0},
                                       iovec{memory_.data() + 8, 2}};
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_readv(sqe, stream_.fd, iovecs.data(), iovecs.size(), 0);
  });
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, stream_.fd, memory_.data() + 1, 2, ~uint64_t{0});
  });
  machine_.Add(
      3, [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, stream_.fd, memory_.data() + 1, 2, 5); });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, 2, 0}, {3, -ESPIPE, 0}}));
  EXPECT_EQ(std::memcmp(memory_.data(), "ade", 3), 0);
  EXPECT_EQ(std::memcmp(memory_.data() + 8, "bc", 2), 0);
}

TEST_F(ReceiveTest, WrongFilesAreRefused) {  // Fact R8.
  const int listener = machine_.Listen();
  const int event = *machine_.kernel.MakeEventFd();
  machine_.Receive(1, 999, memory_);
  machine_.Receive(2, -1, memory_);
  machine_.Receive(3, event, memory_);
  machine_.Receive(4, listener, memory_);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{1, -EBADF, 0}, {2, -EBADF, 0}, {3, -ENOTSOCK, 0}, {4, -ENOTCONN, 0}}));
}

// --- Into provided buffers, once

TEST_F(ReceiveTest, SelectTakesBuffersInRingOrder) {  // Facts B2, B3.
  Provide(4, 8, /*publish=*/false);
  for (const uint16_t id : {3, 1}) buffers_->Publish(id);
  Arrive("abcdefghijkl");
  ReceiveSelect(1);
  ReceiveSelect(2, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, Id(3) | kNotEmpty}, {2, 3, Id(1) | kNotEmpty}}));
  EXPECT_EQ(buffers_->Text(3, 8), "abcdefgh");
  EXPECT_EQ(buffers_->Text(1, 3), "ijk");
}

TEST_F(ReceiveTest, AnEmptyOrUnknownGroupIsToldAtOnce) {  // Fact B3.
  ReceiveSelect(1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENOBUFS, 0}}));
  Provide(4, 8, /*publish=*/false);
  ReceiveSelect(2);
  Multishot(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOBUFS, 0}, {3, -ENOBUFS, 0}}));
}

TEST_F(ReceiveTest, ABufferIsTakenOnlyWhenBytesCome) {  // Fact B4.
  Provide(4, 8);
  ReceiveSelect(1, 0, MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EAGAIN, 0}}));
  ReceiveSelect(2);
  machine_.Cancel(3, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {2, -ECANCELED, 0}}));
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  ReceiveSelect(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, kNotEmpty}}));
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 4U);
}

TEST_F(ReceiveTest, ABufferPublishedBeforeTaskWorkIsUsed) {  // Fact B7.
  Provide(4, 2, /*publish=*/false);
  buffers_->Publish(0);
  ReceiveSelect(1);
  ReceiveSelect(2);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abcd");
  buffers_->Publish(1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, Id(0) | kNotEmpty}, {1, 2, Id(1)}}));
}

TEST_F(ReceiveTest, AZeroLengthBufferBlocksTheGroup) {  // Fact B9.
  Provide(4, 8, /*publish=*/false);
  buffers_->PublishAs(2, buffers_->At(2), 0);
  Arrive("ab");
  ReceiveSelect(1);
  Multishot(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotEmpty}, {2, 0, kNotEmpty}}));
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 1U);
}

TEST_F(ReceiveTest, UnregisteringAGroupEndsItsUsersAtTheNextArrival) {  // Facts B11, M11.
  Provide(4, 8);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_TRUE(buffers_->Unregister(machine_.ring()).has_value());
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), std::nullopt);
  Arrive("x");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENOBUFS, 0}}));
}

TEST_F(ReceiveTest, TwoSinglesAndOneBuffer) {  // Fact B12.
  Provide(1, 2);
  ReceiveSelect(1);
  ReceiveSelect(2);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abcd");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, Id(0) | kNotEmpty}, {1, -ENOBUFS, 0}}));
}

TEST_F(ReceiveTest, RegistrationErrors) {  // Fact B1.
  TestBuffers odd(1, 3, 8);
  EXPECT_EQ(odd.Register(machine_.ring()).error(), EINVAL);
  Provide(4, 8);
  EXPECT_EQ(buffers_->Register(machine_.ring()).error(), EEXIST);
  TestBuffers other(2, 4, 8);
  EXPECT_EQ(other.Unregister(machine_.ring()).error(), ENOENT);
}

// --- Multishot

TEST_F(ReceiveTest, MultishotNeedsBuffersAndNotAll) {  // Fact M1.
  machine_.Add(
      1, [&](io_uring_sqe* sqe) { io_uring_prep_recv_multishot(sqe, stream_.fd, nullptr, 0, 0); });
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, stream_.fd, nullptr, 0, MSG_WAITALL);
    sqe->flags |= IOSQE_BUFFER_SELECT;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -EINVAL, 0}}));
}

TEST_F(ReceiveTest, MultishotDontWaitDrainsAndEnds) {  // Fact M1.
  Provide(4, 2);
  Arrive("abc");
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, stream_.fd, nullptr, 0, MSG_DONTWAIT);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kGroup;
  });
  EXPECT_EQ(machine_.Look(),
            (Cqes{{1, 2, Id(0) | kMore | kNotEmpty}, {1, 1, Id(1) | kMore}, {1, -EAGAIN, 0}}));
}

TEST_F(ReceiveTest, MultishotGivesOneCqePerBufferAndStaysArmed) {  // Facts M2, M8.
  Provide(4, 4);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abc");
  Arrive("def");
  Arrive("gh");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore | kNotEmpty}, {1, 4, Id(1) | kMore}}));
  EXPECT_EQ(buffers_->Text(1, 4), "efgh");
  Arrive("ij");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(2) | kMore}}));
}

TEST_F(ReceiveTest, MultishotHonoursTheCapOfACqe) {  // Fact M2.
  Provide(4, 8);
  Arrive("abcde");
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, stream_.fd, nullptr, 3, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kGroup;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, Id(0) | kMore | kNotEmpty}, {1, 2, Id(1) | kMore}}));
}

TEST_F(ReceiveTest, UsingTheLastBufferDoesNotEndAMultishot) {  // Facts M3, M4.
  Provide(1, 4);
  Multishot();
  Arrive("abcd");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore}}));
  buffers_->Publish(0);
  Arrive("efghi");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore | kNotEmpty}, {1, -ENOBUFS, 0}}));
  // No byte is lost, and refilling alone revives nothing.
  buffers_->Publish(0);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Multishot(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, Id(0) | kMore}}));
  EXPECT_EQ(buffers_->Text(0, 1), "i");
}

TEST_F(ReceiveTest, TheEndWithoutBuffersReadsAsNoBuffers) {  // Fact M5.
  Provide(1, 4);
  Multishot();
  Arrive("abcd");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore}}));
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENOBUFS, 0}}));
  buffers_->Publish(0);
  Multishot(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, kNotEmpty}}));
}

TEST_F(ReceiveTest, DataAndTheEndComeInOneRun) {  // Facts M6, M7.
  Provide(4, 8);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("ab");
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kMore | kNotEmpty}, {1, 0, kNotEmpty}}));
}

TEST_F(ReceiveTest, ResetOfAMultishot) {  // Fact M6.
  Provide(4, 8);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.PeerReset(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECONNRESET, 0}}));
  Multishot(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
}

TEST_F(ReceiveTest, ARunPostsAtMost33) {  // Facts M9, V9.
  Provide(128, 1);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive(std::string(100, 'x'));
  EXPECT_EQ(machine_.Look().size(), 33U);
  EXPECT_EQ(machine_.Look().size(), 33U);
  EXPECT_EQ(machine_.Look().size(), 33U);
  EXPECT_EQ(machine_.Look().size(), 1U);
  EXPECT_EQ(machine_.Look().size(), 0U);
}

TEST_F(ReceiveTest, TheRetriesOfAMultishotAddUpOverItsRuns) {  // Fact M9; observed on 6.18.
  Provide(256, 4);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive(std::string(40, 'x'));
  EXPECT_EQ(machine_.Look().size(), 10U);
  Arrive(std::string(400, 'x'));
  EXPECT_EQ(machine_.Look().size(), 24U);
  EXPECT_EQ(machine_.Look().size(), 33U);
  EXPECT_EQ(machine_.Look().size(), 33U);
  EXPECT_EQ(machine_.Look().size(), 10U);
}

TEST_F(ReceiveTest, WaitingForMoreContinuesACappedRun) {  // Fact M9.
  Provide(128, 1);
  Multishot();
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive(std::string(100, 'x'));
  EXPECT_TRUE(machine_.Enter(100).has_value());
  EXPECT_EQ(machine_.Reap().size(), 100U);
}

TEST_F(ReceiveTest, SharedGroupGoesOutInWakeOrder) {  // Fact M12.
  Provide(1, 4);
  const auto other = machine_.Connect();
  Multishot(1);
  machine_.ReceiveMultishot(2, other.fd, kGroup);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(other.peer, "b");
  Arrive("a");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, Id(0) | kMore}, {1, -ENOBUFS, 0}}));
  buffers_->Publish(0);
  machine_.PeerSend(other.peer, "c");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, Id(0) | kMore}}));
}

TEST_F(ReceiveTest, OverflowEndsAMultishotWithItsDataValid) {  // Facts O5, M11.
  TestMachine machine({.sq_entries = 2, .cq_entries = 2});
  TestBuffers buffers(kGroup, 8, 1);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto stream = machine.Connect();
  machine.ReceiveMultishot(1, stream.fd, kGroup);
  EXPECT_EQ(machine.Look(), Cqes{});
  machine.PeerSend(stream.peer, "abcdef");
  EXPECT_EQ(machine.Look(),
            (Cqes{{1, 1, Id(0) | kMore | kNotEmpty}, {1, 1, Id(1) | kMore | kNotEmpty}}));
  EXPECT_EQ(machine.Look(), (Cqes{{1, 1, Id(2) | kNotEmpty}}));
  EXPECT_EQ(buffers.Text(2, 1), "c");
  EXPECT_EQ(machine.ring().requests_in_flight(), 0U);
  machine.ReceiveMultishot(2, stream.fd, kGroup);
  EXPECT_EQ(machine.Look(),
            (Cqes{{2, 1, Id(3) | kMore | kNotEmpty}, {2, 1, Id(4) | kMore | kNotEmpty}}));
  machine.DestroyRing();
}

// --- Freedoms

TEST_F(ReceiveTest, BytesMayArriveInPieces) {
  Provide(4, 8);
  Multishot();
  machine_.choice.Script(Site::kReceiveShort, stream_.peer, 0, 2);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("abcde");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kMore}}));  // And no hint of the rest.
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, Id(1) | kMore}}));
  EXPECT_EQ(buffers_->Text(1, 3), "cde");
  EXPECT_EQ(machine_.observer.Faults(Site::kReceiveShort), 1U);
}

TEST_F(ReceiveTest, PacketsMayBeLateAndStayInOrder) {
  Provide(4, 8);
  Multishot();
  // The connection was asked once already, for its handshake; the first data is late, the rest not.
  machine_.choice.Script(Site::kWakeDelay, stream_.peer, 1, 3);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Arrive("ab");
  Arrive("cd");
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.NextEventAt(), kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore | kNotEmpty}, {1, 0, kNotEmpty}}));
}

TEST_F(ReceiveTest, TheHintMayBeMissing) {  // Facts A3, M7.
  Arrive("abcd");
  machine_.choice.Always(Site::kNotEmptyHint, 1);
  machine_.Receive(1, stream_.fd, std::span(memory_).first(2));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kNotEmptyHint), 1U);
}

// --- What a program may not do

TEST(ReceiveGuard, PublishingABufferTwiceIsReported) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 4, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.Publish(0);
  buffers.Publish(0);
  machine.Look();
  EXPECT_EQ(machine.observer.violations,
            std::vector<std::string>{"provided-buffer-published-twice"});
  machine.DestroyRing();
}

TEST(ReceiveGuard, PublishingOverlappingMemoryIsReported) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 4, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.Publish(0);
  buffers.PublishAs(1, buffers.At(0) + 4, 8);
  machine.Look();
  EXPECT_EQ(machine.observer.violations,
            std::vector<std::string>{"provided-buffer-published-twice"});
  machine.DestroyRing();
}

TEST(ReceiveGuard, PublishingMoreThanTheRingHoldsIsReported) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 2, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  io_uring_buf_ring_advance(buffers.ring(), 1);
  machine.Look();
  EXPECT_EQ(machine.observer.violations, std::vector<std::string>{"provided-buffer-ring-overrun"});
  machine.DestroyRing();
}

TEST(ReceiveGuard, ChangingAPublishedEntryIsReported) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 2, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto stream = machine.Connect();
  reinterpret_cast<io_uring_buf*>(buffers.ring())[0].bid = 1;
  machine.ReceiveMultishot(1, stream.fd, kGroup);
  machine.PeerSend(stream.peer, "x");
  machine.Look();
  EXPECT_EQ(machine.observer.violations, std::vector<std::string>{"provided-buffer-entry-changed"});
  machine.DestroyRing();
}

#ifndef ORRERY_TEST_ASAN
TEST(ReceiveGuard, WritingIntoAnOwnedBufferIsReported) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 2, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto stream = machine.Connect();
  machine.ReceiveMultishot(1, stream.fd, kGroup);
  machine.Look();  // Only now it is known that these are not to be sent.
  *buffers.At(0) = std::byte{1};
  machine.PeerSend(stream.peer, "x");
  machine.Look();
  EXPECT_EQ(machine.observer.violations, std::vector<std::string>{"provided-buffer-written"});
  machine.DestroyRing();
}
#else
TEST(ReceiveGuardDeathTest, TouchingAnOwnedBufferStopsAtTheLine) {
  TestMachine machine;
  TestBuffers buffers(kGroup, 2, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto stream = machine.Connect();
  machine.ReceiveMultishot(1, stream.fd, kGroup);
  machine.Look();
  EXPECT_DEATH({ *buffers.At(0) = std::byte{1}; }, "use-after-poison");
  machine.DestroyRing();
}

TEST(ReceiveGuardDeathTest, ABufferInTheBacklogIsStillTheKernels) {
  TestMachine machine({.sq_entries = 1, .cq_entries = 1});
  TestBuffers buffers(kGroup, 4, 8);
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto stream = machine.Connect();
  machine.ReceiveMultishot(1, stream.fd, kGroup);
  machine.PeerSend(stream.peer, "aaaaaaaab");
  EXPECT_EQ(machine.Look().size(), 1U);
  EXPECT_EQ(buffers.Text(0, 8), "aaaaaaaa");
  EXPECT_DEATH({ *buffers.At(1) = std::byte{1}; }, "use-after-poison");
  EXPECT_EQ(machine.Look().size(), 1U);
  EXPECT_EQ(buffers.Text(1, 1), "b");
  machine.DestroyRing();
}
#endif

TEST(ReceiveGuard, WritingIntoTheMemoryOfAReceiveIsReported) {
  TestMachine machine;
  const auto stream = machine.Connect();
  std::array<std::byte, 8> memory{};
  machine.Receive(1, stream.fd, memory);
  EXPECT_EQ(machine.Look(), Cqes{});
  memory[5] = std::byte{1};
  machine.PeerSend(stream.peer, "ab");
  EXPECT_EQ(machine.Look(), (Cqes{{1, 2, 0}}));
  EXPECT_EQ(machine.observer.violations, std::vector<std::string>{"receive-memory-written"});
}

}  // namespace
}  // namespace orrery::model

// Bundles, incremental buffers, and receives that keep a buffer. Each test names the facts that it
// holds the model to.
#include <gtest/gtest.h>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr uint16_t kGroup = 3;
constexpr uint16_t kBundle = 1U << 4;
constexpr uint16_t kIncremental = 2;
constexpr uint32_t kBufferMore = 1U << 4;

constexpr uint32_t Id(uint32_t id) { return kBuffer | (id << IORING_CQE_BUFFER_SHIFT); }

class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Provide(uint16_t flags = 0) {
    ASSERT_TRUE(buffers_.Register(machine_.ring(), flags).has_value());
    buffers_.PublishAll();
  }
  void Receive(uint64_t user_data, uint16_t ioprio, unsigned length = 0, int flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, stream_.fd, nullptr, length, flags);
      sqe->ioprio |= ioprio;
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
  }
  void Send(std::string_view bytes) {
    ASSERT_EQ(machine_.PeerSend(stream_.peer, bytes), bytes.size());
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  TestBuffers buffers_{kGroup, 4, 4};
};

TEST_F(BundleTest, OneCompletionForSeveralBuffers) {  // Fact D1.
  Provide();
  Send("abcdefghij");
  Receive(1, kBundle);
  // One, and then whole ones of the six bytes that it has left.
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, Id(0) | kNotEmpty}}));
  EXPECT_EQ(buffers_.Text(0, 8), "abcdefgh");
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 2U);
}

TEST_F(BundleTest, AnyNumberOfThemIsLegal) {  // Fact D2.
  Provide();
  Send("abcdefghij");
  machine_.choice.Script(Site::kBundleShort, stream_.peer, 0, 3);
  Receive(1, kBundle);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 10, Id(0)}}));
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 1U);
  EXPECT_EQ(machine_.observer.Faults(Site::kBundleShort), 1U);
}

TEST_F(BundleTest, AMultishotEndsWhenItHasEmptiedItsGroup) {  // Fact D3.
  Provide();
  Send("abcdefghijklmnopqrst");
  Receive(1, kBundle | IORING_RECV_MULTISHOT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 16, Id(0) | kNotEmpty}}));
}

TEST_F(BundleTest, OrRunsIntoTheLackOfBuffers) {  // Fact D3.
  Provide();
  machine_.choice.Script(Site::kBundleEnds, stream_.peer, 0, 1);
  Send("abcdefghijklmnopqrst");
  Receive(1, kBundle | IORING_RECV_MULTISHOT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 16, Id(0) | kNotEmpty | kMore}, {1, -ENOBUFS, 0}}));
}

TEST_F(BundleTest, AMultishotGoesOnWhileThereAreBuffers) {  // Fact D6.
  Provide();
  Receive(1, kBundle | IORING_RECV_MULTISHOT);
  Send("abcdef");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 6, Id(0) | kMore}}));
  Send("gh");
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(2) | kNotEmpty | kMore}, {1, 0, kNotEmpty}}));
}

TEST_F(BundleTest, ALengthCapsInWholeBuffers) {  // Fact D4.
  Provide();
  Send("abcdefghijklmnopqrst");
  Receive(1, kBundle, 10);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, Id(0) | kNotEmpty}}));
  Receive(2, kBundle, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 3, Id(2) | kNotEmpty}}));
}

TEST_F(BundleTest, AnIncrementalBufferIsHandedOutInPieces) {  // Facts I1, I3.
  Provide(kIncremental);
  machine_.ReceiveMultishot(1, stream_.fd, kGroup);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Send("ab");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kBufferMore | kMore}}));
  EXPECT_EQ(buffers_.Text(0, 2), "ab");
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 4U);
  Send("cd");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kMore}}));
  EXPECT_EQ(buffers_.Text(0, 4), "abcd");
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 3U);
  buffers_.Publish(0);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 4U);
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
}

TEST_F(BundleTest, TheRestOfAnIncrementalBufferIsStillTheKernels) {
  Provide(kIncremental);
  machine_.ReceiveMultishot(1, stream_.fd, kGroup);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Send("ab");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kBufferMore | kMore}}));
  buffers_.PublishAs(9, buffers_.At(0) + 3, 1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_FALSE(machine_.observer.violations.empty());
}

TEST_F(BundleTest, ABundleOfIncrementalBuffersSpeaksOfTheLast) {  // Fact I4.
  Provide(kIncremental);
  Send("abcdef");
  Receive(1, kBundle);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 6, Id(0) | kBufferMore}}));
  Send("gh");
  Receive(2, kBundle);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, Id(1)}}));
}

TEST_F(BundleTest, WaitAllKeepsItsBuffer) {  // Fact B8.
  Provide();
  Receive(1, 0, 0, MSG_WAITALL);
  Send("ab");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.ring().provided_buffers(kGroup), 3U);
  Send("cde");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kNotEmpty}}));
  EXPECT_EQ(buffers_.Text(0, 4), "abcd");
  Receive(2, 0, 0, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(3, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {2, 1, Id(1)}}));
  EXPECT_EQ(buffers_.Text(1, 1), "e");
}

TEST_F(BundleTest, WritingToTheBufferThatItKeepsIsSeen) {  // Fact B8.
  Provide();
  Receive(1, 0, 0, MSG_WAITALL);
  Send("ab");
  EXPECT_EQ(machine_.Look(), Cqes{});
  *(buffers_.At(0) + 3) = std::byte{0};
  Send("cd");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0)}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"receive-memory-written"});
}

TEST_F(BundleTest, WaitAllInAnIncrementalBufferStops) {  // Fact I5, a defect that is not modelled.
  Provide(kIncremental);
  Receive(1, 0, 0, MSG_WAITALL);
  Send("ab");
  EXPECT_DEATH((void)machine_.Enter(), "incremental buffers that are held");
}

TEST_F(BundleTest, ATotalIsReachedOrPassed) {  // Fact M10.
  Provide();
  Send("abcdefghijkl");
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv_multishot(sqe, stream_.fd, nullptr, 3, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kGroup;
    sqe->file_index = 5;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, Id(0) | kNotEmpty | kMore}, {1, 3, Id(1) | kNotEmpty}}));
}

TEST_F(BundleTest, TheKernelTellsItsPosition) {  // Fact B11.
  Provide();
  Send("ab");
  Receive(1, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0)}}));
  struct {
    uint32_t group = kGroup;
    uint32_t head = 0;
    uint32_t reserved[8] = {};
  } status;
  EXPECT_TRUE(machine_.ring().Register(26, &status, 1).has_value());
  EXPECT_EQ(status.head, 1U);
  status.group = 99;
  EXPECT_EQ(machine_.ring().Register(26, &status, 1).error(), ENOENT);
}

class ReadMultishotTest : public BundleTest {
 protected:
  void Read(uint64_t user_data, int fd) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_rw(49, sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
  }
};

TEST_F(ReadMultishotTest, GivesABufferForEachRead) {  // Fact M15.
  Provide();
  Send("abcdef");
  Read(1, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, Id(0) | kMore}, {1, 2, Id(1) | kMore}}));
  machine_.kernel.PeerShutdownWrite(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
}

TEST_F(ReadMultishotTest, GivesTheCountOfAnEventFd) {  // Facts M15, P8.
  const int fd = *machine_.kernel.MakeEventFd();
  TestBuffers wide{kGroup + 1, 2, 8};
  ASSERT_TRUE(wide.Register(machine_.ring()).has_value());
  wide.PublishAll();
  const auto read = [&](uint64_t user_data, uint16_t group) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_rw(49, sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
  };
  Provide();
  read(1, kGroup);  // Its buffers are too small.
  read(2, kGroup + 1);
  read(3, kGroup + 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {3, -ENOBUFS, 0}}));
  machine_.kernel.SignalEventFd(fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 8, Id(0) | kMore}}));
  EXPECT_EQ(*wide.At(0), std::byte{1});
  machine_.kernel.SignalEventFd(fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 8, Id(1) | kMore}}));
  machine_.kernel.SignalEventFd(fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOBUFS, 0}}));
  EXPECT_TRUE(wide.Unregister(machine_.ring()).has_value());
}

TEST(SendBuffersDeathTest, AGroupIsForOneUse) {  // Fact D8.
  const auto both = [] {
    TestMachine machine;
    TestBuffers buffers(1, 2, 8);
    ORRERY_CHECK(buffers.Register(machine.ring()).has_value());
    buffers.PublishAll();
    const auto stream = machine.Connect();
    machine.ReceiveMultishot(1, stream.fd, 1);
    machine.Look();
    machine.Add(2, [&](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, stream.fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 1;
    });
    machine.Look();
  };
  EXPECT_DEATH(both(), "does not know sending and receiving with one buffer group");
}

}  // namespace
}  // namespace orrery::model

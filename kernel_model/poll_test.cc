// POLL_ADD, POLL_REMOVE and eventfds. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class PollTest : public ::testing::Test {
 protected:
  void SetUp() override { event_ = *machine_.kernel.MakeEventFd(); }
  void Poll(uint64_t user_data, int fd, unsigned events) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd, events); });
  }
  void Remove(uint64_t user_data, uint64_t target) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_poll_remove(sqe, target); });
  }
  void Read(uint64_t user_data, void* address, unsigned bytes = 8) {
    machine_.Add(user_data,
                 [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, event_, address, bytes, 0); });
  }
  void Write(uint64_t user_data, const void* address, unsigned bytes = 8) {
    machine_.Add(user_data,
                 [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, event_, address, bytes, 0); });
  }
  void Signal() { machine_.kernel.SignalEventFd(event_); }

  TestMachine machine_;
  int event_ = -1;
};

TEST_F(PollTest, SingleEndsAtOnceWhenReady) {  // Facts P1, V6.
  Signal();
  Poll(1, event_, POLLIN);
  Poll(2, event_, POLLIN | POLLOUT);
  Poll(3, 999, POLLIN);
  machine_.Nop(4);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{1, POLLIN, 0}, {2, POLLIN | POLLOUT, 0}, {3, -EBADF, 0}, {4, 0, 0}}));
}

TEST_F(PollTest, SingleWaits) {
  Poll(1, event_, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Signal();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLIN, 0}}));
  Signal();
  EXPECT_EQ(machine_.Look(), Cqes{});
}

TEST_F(PollTest, MultishotReportsTheInitialStateByTaskWork) {  // Facts P2, V6.
  Signal();
  machine_.PollMultishot(1, event_, POLLIN);
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, POLLIN, kMore}}));
  EXPECT_EQ(machine_.Look(), Cqes{});
  Signal();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLIN, kMore}}));
}

TEST_F(PollTest, WritesCoalesce) {  // Fact P3.
  machine_.PollMultishot(1, event_, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  for (int count = 0; count < 3; ++count) Signal();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLIN, kMore}}));
}

TEST_F(PollTest, ReadinessMayBeStale) {  // Fact P4.
  machine_.PollMultishot(1, event_, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Signal();
  uint64_t value = 0;
  Read(2, &value);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 8, 0}, {1, POLLIN, kMore}}));
  EXPECT_EQ(value, 1U);
}

TEST_F(PollTest, LevelTriggeredIsRefused) {  // Fact P5.
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_poll_add(sqe, event_, POLLIN);
    sqe->len = IORING_POLL_ADD_LEVEL;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}}));
}

TEST_F(PollTest, SurvivesCloseAndCanBeRemoved) {  // Fact P6.
  machine_.PollMultishot(1, event_, POLLIN);
  machine_.Close(2, event_);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_descriptors(), 0U);
  EXPECT_EQ(machine_.kernel.open_files(), 1U);
  Remove(3, 1);
  Remove(4, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {4, -ENOENT, 0}, {1, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
}

TEST_F(PollTest, RemovingOneThatIsAboutToReport) {  // io_poll_disarm(); observed on 6.18.
  machine_.PollMultishot(1, event_, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Signal();
  Remove(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EALREADY, 0}, {1, POLLIN, kMore}}));
  Remove(3, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(PollTest, MasksOfAStream) {  // Fact P7; the newest is woken first (R10).
  const auto stream = machine_.Connect();
  machine_.PollMultishot(1, stream.fd, POLLIN);
  machine_.PollMultishot(2, stream.fd, POLLIN | POLLPRI);
  Poll(3, stream.fd, POLLOUT);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, POLLOUT, 0}}));
  machine_.PeerSend(stream.peer, "x");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, POLLIN | POLLPRI, kMore}, {1, POLLIN, kMore}}));
  machine_.kernel.PeerShutdownWrite(stream.peer);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{2, POLLIN | POLLRDHUP, kMore}, {1, POLLIN | POLLRDHUP, kMore}}));
  machine_.kernel.PeerReset(stream.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0x2019, kMore}, {1, 0x2019, kMore}}));
}

TEST_F(PollTest, MaskOfAListener) {
  const int listener = machine_.Listen();
  machine_.PollMultishot(1, listener, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  ASSERT_TRUE(machine_.kernel.PeerConnect(*machine_.kernel.LocalPort(listener)).has_value());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLIN, kMore}}));
}

TEST_F(PollTest, OverflowEndsAMultishot) {  // Fact O5.
  TestMachine machine({.sq_entries = 1, .cq_entries = 1});
  const int event = *machine.kernel.MakeEventFd();
  machine.PollMultishot(1, event, POLLIN);
  EXPECT_EQ(machine.Look(), Cqes{});
  machine.Nop(2);
  machine.kernel.SignalEventFd(event);
  EXPECT_EQ(machine.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_EQ(machine.Look(), (Cqes{{1, POLLIN, 0}}));
}

TEST_F(PollTest, EventFdReadWaits) {  // Facts P8, R3.
  uint64_t value = 0;
  Read(1, &value);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Signal();
  Signal();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
  EXPECT_EQ(value, 2U);
  Read(2, &value, 4);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EINVAL, 0}}));
}

TEST_F(PollTest, EventFdWriteAddsAndWaitsWhenFull) {
  const uint64_t one = 1;
  const uint64_t most = ~uint64_t{0} - 1;
  const uint64_t invalid = ~uint64_t{0};
  uint64_t value = 0;
  Write(1, &invalid);
  Write(2, &most);
  Write(3, &one);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 8, 0}, {1, -EINVAL, 0}}));
  Read(4, &value);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 8, 0}, {3, 8, 0}}));
  EXPECT_EQ(value, most);
}

TEST_F(PollTest, Updating) {  // Fact P6.
  Poll(1, event_, POLLIN);
  machine_.PollMultishot(2, event_, POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Add(3, [](io_uring_sqe* sqe) {
    io_uring_prep_poll_update(sqe, 1, 9, POLLOUT,
                              IORING_POLL_UPDATE_USER_DATA | IORING_POLL_UPDATE_EVENTS);
  });
  machine_.Add(4, [](io_uring_sqe* sqe) {
    io_uring_prep_poll_update(sqe, 2, 0, POLLOUT,
                              IORING_POLL_UPDATE_EVENTS | IORING_POLL_ADD_MULTI);
  });
  machine_.Add(5, [](io_uring_sqe* sqe) {
    io_uring_prep_poll_update(sqe, 1, 0, POLLOUT, IORING_POLL_UPDATE_EVENTS);
  });
  EXPECT_EQ(machine_.Look(),
            (Cqes{{3, 0, 0}, {4, 0, 0}, {5, -ENOENT, 0}, {9, POLLOUT, 0}, {2, POLLOUT, kMore}}));
}

}  // namespace
}  // namespace orrery::model

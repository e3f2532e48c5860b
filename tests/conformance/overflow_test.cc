// A completion queue that runs over. The reactor must not lose, double or reorder anything then,
// and must re-arm what the overflow ended.
#include <poll.h>

#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Overflow : public Conformance {
 protected:
  void SetUp() override { UseRing({.sq_entries = 4, .cq_entries = 4}); }

  void SubmitNops(uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; ++i) ASSERT_TRUE(queue().Nop(Id(i)));
    EXPECT_EQ(Enter(), end - begin);
  }

  bool overflowed() {
    return (IO_URING_READ_ONCE(*ring().memory().sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Overflow, AllWorlds(), WorldName);

TEST_P(Overflow, O1_AFullQueueKeepsAcceptingSubmissions) {
  SubmitNops(0, 4);
  EXPECT_FALSE(overflowed());
  SubmitNops(4, 8);
  EXPECT_TRUE(overflowed());
  SubmitNops(8, 12);
  EXPECT_EQ(*ring().memory().cq.koverflow, 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
}

TEST_P(Overflow, O2_WhileThereIsABacklogEverythingGoesBehindIt) {
  SubmitNops(0, 4);
  SubmitNops(4, 6);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
  // The ring has four free entries now, but 4 and 5 come before 6.
  SubmitNops(6, 7);
  EXPECT_THAT(Visible(), ElementsAre(Final(4, 0), Final(5, 0), Final(6, 0)));
}

TEST_P(Overflow, O3_TheBacklogMovesInEnterOnlyAndAsMuchAsFits) {
  SubmitNops(0, 4);
  SubmitNops(4, 8);
  SubmitNops(8, 10);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
  EXPECT_THAT(Visible(), IsEmpty());
  EXPECT_TRUE(overflowed());
  EXPECT_EQ(Enter(), 0U);
  EXPECT_TRUE(overflowed());
  EXPECT_THAT(Visible(), ElementsAre(Final(4, 0), Final(5, 0), Final(6, 0), Final(7, 0)));
  EXPECT_EQ(Enter(), 0U);
  EXPECT_FALSE(overflowed());
  EXPECT_THAT(Visible(), ElementsAre(Final(8, 0), Final(9, 0)));
  ExpectQuiet();
}

TEST_P(Overflow, O4_AFullQueueSatisfiesAnyWait) {
  SubmitNops(0, 4);
  EXPECT_EQ(Enter(100), 0U);
  EXPECT_THAT(Visible(), testing::SizeIs(4));
}

TEST_P(Overflow, O5_AReceiveMultishotWhoseCompletionRunsOverIsOver) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(50)));
  Submit();
  SubmitNops(0, 4);
  Deliver(connection, "over");
  EXPECT_EQ(Enter(), 0U);
  EXPECT_TRUE(overflowed());
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
  // The bytes are there, in a buffer that must be returned; only the request has ended.
  const Seen last = AwaitOne();
  EXPECT_THAT(last, Final(50, 4));
  EXPECT_EQ(buffers.BytesOf(last), "over");
  ASSERT_EQ(world().Send(connection.peer, "more"), 4U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 4));
  ExpectQuiet();
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(51)));
  const Seen again = AwaitOne();
  EXPECT_THAT(again, More(51, 4));
  EXPECT_EQ(buffers.BytesOf(again), "more");
}

TEST_P(Overflow, O5_AnAcceptMultishotWhoseCompletionRunsOverIsOver) {
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(50)));
  Submit();
  SubmitNops(0, 4);
  const World::Peer peer = world().Connect(port()).value();
  world().Pause();
  EXPECT_EQ(Enter(), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
  const Seen last = AwaitOne();
  EXPECT_EQ(last.id, 50U);
  EXPECT_FALSE(last.more());
  ASSERT_GE(last.result, 0);
  ASSERT_TRUE(queue().Send(File::Descriptor(last.result), AsBytes("hi"), 0, Id(51)));
  EXPECT_THAT(Await(1), ElementsAre(Final(51, 2)));
  EXPECT_EQ(ReadFromPeer(peer, 2).bytes, "hi");
}

TEST_P(Overflow, O5_APollMultishotWhoseCompletionRunsOverIsOver) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(50)));
  Submit();
  SubmitNops(0, 4);
  world().SignalEventFd(fd);
  EXPECT_EQ(Enter(), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0)));
  EXPECT_THAT(Await(1), ElementsAre(Final(50, POLLIN)));
  world().SignalEventFd(fd);
  ExpectQuiet();
  kernel().Close(fd);
}

}  // namespace
}  // namespace orrery::conformance

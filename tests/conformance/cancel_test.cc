// Cancelling: what the cancel and its victim answer, in which order, and what stays in the socket.
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Cancelling : public Conformance {
 protected:
  std::array<std::byte, 64> memory_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Cancelling, AllWorlds(), WorldName);

TEST_P(Cancelling, C1_FoundIsZeroAndAbsentIsEnoent) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(7), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENOENT)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(4)));
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
}

TEST_P(Cancelling, C1_OneMatchIsCancelledOfSeveral) {
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 64> other{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), other, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
}

// Legal: either order. What both kernels do is the cancel first; a deferred victim needs the wait
// part of Enter, which every Enter of ours has.
TEST_P(Cancelling, C4_TheCancelsOwnCompletionComesDuringSubmission) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  Submit();
  EXPECT_THAT(Visible(), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Cancelling, C5_ARaceWithBytesHasTwoOutcomesAndLosesNothing) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  Deliver(connection, "race");
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  const std::vector<Seen> seen = Await(2);
  const bool cancelled =
      testing::Matches(UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)))(seen);
  if (!cancelled) {
    EXPECT_THAT(seen, UnorderedElementsAre(Final(1, 4), Final(2, -ENOENT)));
  }
  // Until task work runs the request is still armed, so the cancel wins.
  EXPECT_TRUE(cancelled || !deferred());
  if (cancelled) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(3)));
    EXPECT_THAT(Await(1), ElementsAre(Final(3, 4)));
  }
  EXPECT_EQ(std::memcmp(memory_.data(), "race", 4), 0);
}

TEST_P(Cancelling, C6_AReceiveOfAllThatHasSomeIsNotCancelledButShort) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, MSG_WAITALL, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "part"), 4U);
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, 4), Final(2, 0)));
  EXPECT_EQ(std::memcmp(memory_.data(), "part", 4), 0);
}

TEST_P(Cancelling, C7_AMultishotReceiveEndsWithEcanceledAndLeavesTheBytes) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "one"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  std::vector<Seen> seen = Await(2);
  EXPECT_THAT(seen, UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  for (const Seen& one : seen) EXPECT_EQ(one.flags, 0U);

  ASSERT_EQ(world().Send(connection.peer, "two"), 3U);
  ExpectQuiet();
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(More(3, 3)));
}

TEST_P(Cancelling, C7_AMultishotAcceptEndsWithEcanceledAndLeavesTheConnection) {
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  ASSERT_TRUE(world().Connect(port()));
  ExpectQuiet();
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(3)));
  EXPECT_GE(AwaitOne().result, 0);
}

TEST_P(Cancelling, C7_AMultishotPollEndsWithEcanceled) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  world().SignalEventFd(fd);
  ExpectQuiet();
  kernel().Close(fd);
}

TEST_P(Cancelling, C11_ACancelCannotFindItself) {
  ASSERT_TRUE(queue().Cancel(Id(1), Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ENOENT)));
}

TEST_P(Cancelling, C12_WorksInTheBatchOfItsTarget) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

}  // namespace
}  // namespace orrery::conformance

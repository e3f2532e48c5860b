// Chains, completions that are not posted, and drains: what runs after what, and what is told of
// it.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr unsigned kLink = IOSQE_IO_LINK;
constexpr unsigned kHardLink = IOSQE_IO_HARDLINK;
constexpr unsigned kSkip = IOSQE_CQE_SKIP_SUCCESS;
constexpr unsigned kDrain = IOSQE_IO_DRAIN;

class Chains : public Conformance {
 protected:
  // Fails in preparation.
  void Bad(uint32_t id, unsigned flags = 0) {
    Nop(id, flags);
    LastSqe().ioprio = 1;
  }
  void Receive(const Connection& connection, uint32_t id, unsigned flags = 0, int how = 0) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, how, Id(id)));
    LastSqe().flags |= static_cast<uint8_t>(flags);
  }
  void Read(const Connection& connection, size_t bytes, uint32_t id, unsigned flags = 0) {
    ASSERT_TRUE(queue().Read(File::Descriptor(connection.fd), std::span(memory_).first(bytes),
                             SubmissionQueue::kCurrentOffset, Id(id)));
    LastSqe().flags |= static_cast<uint8_t>(flags);
  }
  void Cancel(uint32_t target, uint32_t id, unsigned flags = 0) {
    ASSERT_TRUE(queue().Cancel(Id(target), Id(id)));
    LastSqe().flags |= static_cast<uint8_t>(flags);
  }

  std::array<std::byte, 16> memory_{};
};

class Links : public Chains {};
INSTANTIATE_TEST_SUITE_P(Kernels, Links, AllWorlds(), WorldName);

TEST_P(Links, U6_AnErrorOfPreparationFailsTheWholeChainAndNothingElse) {
  Nop(1, kLink);
  Bad(2, kLink);
  Nop(3);
  Nop(4);
  EXPECT_EQ(Enter(), 4U);
  EXPECT_THAT(Await(4), ElementsAre(Final(1, -ECANCELED), Final(4, 0), Final(2, -EINVAL),
                                    Final(3, -ECANCELED)));
}

TEST_P(Links, U6_TheLastMemberMayBeTheBadOne) {
  UseRing(16, Mode(0));
  Nop(1, kLink);
  Bad(2);
  Nop(3);
  EXPECT_EQ(Enter(), 2U);
  EXPECT_EQ(queue().pending(), 1U);
  EXPECT_THAT(Await(3), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, -EINVAL), Final(3, 0)));
}

TEST_P(Links, U6_TheLastMemberMayBeTheBadOneOfARingThatSubmitsAll) {
  UseRing(16, Mode(IORING_SETUP_SUBMIT_ALL));
  Nop(1, kLink);
  Bad(2);
  Nop(3);
  EXPECT_EQ(Enter(), 3U);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, -ECANCELED), Final(3, 0), Final(2, -EINVAL)));
}

TEST_P(Links, U13_AnOpenChainIsRunByAWorker) {
  Nop(1, kLink, 5);
  Submit();
  Nop(2);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, 5), Final(2, 0)));
}

TEST_P(Links, U13_AnOpenChainRunsToItsEnd) {
  Nop(1, kLink);
  Nop(2, kLink, -EIO);
  Nop(3, kLink);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 0), Final(2, -EIO), Final(3, -ECANCELED)));
}

TEST_P(Links, V10_LaterMembersStartInTaskWork) {
  for (uint32_t id = 1; id < 6; ++id) Nop(id, kLink);
  Nop(6);
  std::vector<size_t> passes;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Enter(0), i == 0 ? 6U : 0U);
    passes.push_back(Visible().size());
  }
  if (deferred()) {
    // A call that submits runs task work twice.
    EXPECT_THAT(passes, ElementsAre(3, 1, 1, 1, 0));
  } else {
    EXPECT_THAT(passes, ElementsAre(6, 0, 0, 0, 0));
  }
}

TEST_P(Links, V10_AWaitRunsAsManyAsItNeeds) {
  for (uint32_t id = 1; id < 6; ++id) Nop(id, kLink);
  Nop(6);
  EXPECT_EQ(Enter(6), 6U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, 0), Final(3, 0), Final(4, 0),
                                     Final(5, 0), Final(6, 0)));
}

TEST_P(Links, L1_AnErrorBreaksALink) {
  Nop(1, kLink, 7);
  Nop(2, kLink, -EIO);
  Nop(3, kLink);
  Nop(4);
  EXPECT_THAT(Await(4),
              ElementsAre(Final(1, 7), Final(2, -EIO), Final(3, -ECANCELED), Final(4, -ECANCELED)));
}

TEST_P(Links, L1_ABadDescriptorBreaksALink) {
  ASSERT_TRUE(queue().Receive(File::Descriptor(987'654), memory_, 0, Id(1)));
  LastSqe().flags |= kLink;
  Nop(2);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, -EBADF), Final(2, -ECANCELED)));
}

TEST_P(Links, L1_AShortReadBreaksALinkAndAFullOneDoesNot) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "12345678"), 8U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 8));
  Read(connection, 5, 1, kLink);
  Nop(2);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 5), Final(2, 0)));
  Read(connection, 5, 3, kLink);
  Nop(4);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 3), Final(4, -ECANCELED)));
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  Read(connection, 5, 5, kLink);
  Nop(6);
  EXPECT_THAT(Await(2), ElementsAre(Final(5, 0), Final(6, -ECANCELED)));
}

TEST_P(Links, L2_AShortReceiveDoesNotBreakALink) {
  const Connection connection = Connect();
  Receive(connection, 1, kLink);
  Nop(2);
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, 0)));
  world().ShutdownWrite(connection.peer);
  Receive(connection, 3, kLink);
  Nop(4);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 0), Final(4, 0)));
}

TEST_P(Links, L2_AReceiveOfAllThatIsCutShortBreaksIt) {
  const Connection connection = Connect();
  Receive(connection, 1, kLink, MSG_WAITALL);
  Nop(2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, -ECANCELED)));
}

TEST_P(Links, L2_AReceiveOfAllIntoABufferThatEndsBreaksIt) {
  const Connection connection = Connect();
  (void)UseBuffers(1, 1, 8);
  Receive(connection, 1, kLink | IOSQE_BUFFER_SELECT, MSG_WAITALL);
  LastSqe().addr = 0;
  LastSqe().len = 0;
  LastSqe().buf_group = 1;
  Nop(2);
  Submit();
  world().ShutdownWrite(connection.peer);
  const std::vector<Seen> seen = Await(2);
  EXPECT_THAT(seen, ElementsAre(Final(1, 0), Final(2, -ECANCELED)));
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_FALSE(seen[0].buffer().has_value());
}

TEST_P(Links, L2_ASendThatWasCutShortBreaksItOnlyIfAllWasAskedFor) {
  for (const int how : {0, static_cast<int>(MSG_WAITALL)}) {
    const Connection connection = Connect();
    const std::string bytes = Pattern(0, 4 * kMiB);
    ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), how, Id(1)));
    LastSqe().flags |= kLink;
    Nop(2);
    Submit();
    if (how == MSG_WAITALL) {
      ExpectQuiet();
      world().Reset(connection.peer);
    }
    const std::vector<Seen> seen = Await(2);
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_GT(seen[0].result, 0);
    EXPECT_LT(seen[0].result, static_cast<int>(bytes.size()));
    EXPECT_THAT(seen[1], Final(2, how == MSG_WAITALL ? -ECANCELED : 0));
  }
}

TEST_P(Links, L3_AHardLinkIgnoresResults) {
  Nop(1, kHardLink, -EIO);
  Nop(2, kHardLink);
  Nop(3, kLink, -EIO);
  Nop(4);
  EXPECT_THAT(Await(4),
              ElementsAre(Final(1, -EIO), Final(2, 0), Final(3, -EIO), Final(4, -ECANCELED)));
}

TEST_P(Links, L3_AHardLinkDoesNotSurviveAnErrorOfPreparation) {
  Nop(1, kHardLink);
  Bad(2, kHardLink);
  Nop(3);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, -ECANCELED), Final(2, -EINVAL), Final(3, -ECANCELED)));
}

TEST_P(Links, L4_BehindAMultishotALinkWaitsForItsLastCompletion) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  LastSqe().flags |= kLink;
  Nop(2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, 0)));
}

TEST_P(Links, L4_AMultishotThatFailsBreaksItsLink) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 1, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  LastSqe().flags |= kLink;
  Nop(2);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  ASSERT_EQ(world().Send(connection.peer, "def"), 3U);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, -ENOBUFS), Final(2, -ECANCELED)));
}

TEST_P(Links, L5_IndependentOperationsOvertakeLaterMembers) {
  Nop(1, kLink);
  Nop(2);
  Nop(3, kLink);
  Nop(4);
  Nop(5);
  EXPECT_THAT(Await(5),
              ElementsAre(Final(1, 0), Final(3, 0), Final(5, 0), Final(2, 0), Final(4, 0)));
}

TEST_P(Links, L6_AChainDoesNotReachIntoTheNextSubmission) {
  Nop(1, kLink, -EIO);
  Submit();
  Nop(2);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -EIO), Final(2, 0)));
}

TEST_P(Links, C8_CancellingTheHeadCancelsTheRest) {
  const Connection connection = Connect();
  Receive(connection, 1, kLink);
  Nop(2, kLink);
  Nop(3);
  Submit();
  Cancel(1, 4);
  EXPECT_THAT(Await(4), UnorderedElementsAre(Final(4, 0), Final(1, -ECANCELED),
                                             Final(2, -ECANCELED), Final(3, -ECANCELED)));
}

TEST_P(Links, C8_BehindAHardLinkTheRestRuns) {
  const Connection connection = Connect();
  Receive(connection, 1, kHardLink);
  Nop(2);
  Submit();
  Cancel(1, 3);
  EXPECT_THAT(Await(3), UnorderedElementsAre(Final(3, 0), Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Links, C8_AMemberThatHasNotBegunCannotBeFound) {
  const Connection connection = Connect();
  Receive(connection, 1, kLink);
  Nop(2);
  Submit();
  Cancel(2, 3);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -ENOENT)));
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, 0)));
}

class Skipping : public Chains {};
INSTANTIATE_TEST_SUITE_P(Kernels, Skipping, AllWorlds(), WorldName);

TEST_P(Skipping, L7_SuccessPostsNothing) {
  const Connection connection = Connect();
  Nop(1, kSkip);
  Receive(connection, 2, kSkip);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);  // A short receive.
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  Receive(connection, 3, kSkip);  // The end.
  Submit();
  ExpectQuiet();
  Nop(4, kSkip, -EIO);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -EIO)));
}

TEST_P(Skipping, L7_AShortReadIsAFailure) {
  const Connection connection = Connect();
  Deliver(connection, "abc");
  Read(connection, 8, 1, kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 3)));
}

TEST_P(Skipping, L7_InAChainOnlyTheLastSpeaks) {
  Nop(1, kLink | kSkip);
  Nop(2, kLink | kSkip);
  Nop(3);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 0)));
  ExpectQuiet();
}

TEST_P(Skipping, L7_WhatASkippingMemberCancelsIsSilent) {
  Nop(1, kLink | kSkip, -EIO);
  Nop(2, kLink);
  Nop(3);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EIO)));
  ExpectQuiet();
}

TEST_P(Skipping, L7_WhatAnotherMemberCancelsIsPosted) {
  Nop(1, kLink, -EIO);
  Nop(2, kLink | kSkip);
  Nop(3, kSkip);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, -EIO), Final(2, -ECANCELED), Final(3, -ECANCELED)));
}

TEST_P(Skipping, L8_NeitherTogetherWithADrainNorBeforeOne) {
  Nop(1, kDrain);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  Nop(2, kDrain | kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -EOPNOTSUPP)));
  Nop(3, kDrain);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -EOPNOTSUPP)));
  Nop(4);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, 0)));
}

TEST_P(Skipping, C11_ACancelSaysOnlyThatItFoundNothing) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Submit();
  Cancel(1, 2, kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ECANCELED)));
  Cancel(1, 3, kSkip);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -ENOENT)));
}

TEST_P(Skipping, M13_AMultishotReceiveTellsItsBytesButNotItsEnd) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  LastSqe().flags |= kSkip;
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  world().ShutdownWrite(connection.peer);
  ExpectQuiet();
  Cancel(1, 2);  // It is over, unsaid.
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENOENT)));
}

class Drains : public Chains {};
INSTANTIATE_TEST_SUITE_P(Kernels, Drains, AllWorlds(), WorldName);

TEST_P(Drains, L9_EverythingWaitsForWhatIsBefore) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Nop(2, kDrain);
  Nop(3);
  EXPECT_EQ(Enter(), 3U);
  Nop(4);  // In a later batch, too.
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  const std::vector<Seen> seen = Await(4);
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_THAT(seen[0], Final(1, 3));
  EXPECT_THAT(seen[1], Final(2, 0));
  EXPECT_THAT(std::vector<Seen>(seen.begin() + 2, seen.end()),
              UnorderedElementsAre(Final(3, 0), Final(4, 0)));
  // It is over.
  Nop(5);
  Nop(6);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(5, 0), Final(6, 0)));
}

TEST_P(Drains, L9_AMultishotCountsUntilItEnds) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Nop(2, kDrain);
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, 0)));
}

TEST_P(Drains, L9_AChainWithADrainInItWaitsAsAWholeAndSoDoesTheNext) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Nop(2, kLink);
  Nop(3, kDrain);
  Nop(4);
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(4), ElementsAre(Final(1, 3), Final(2, 0), Final(3, 0), Final(4, 0)));
}

TEST_P(Drains, L9_ADrainOnAnIdleRingRuns) {
  Nop(1);
  Nop(2, kDrain);
  Nop(3);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 0), Final(2, 0), Final(3, 0)));
}

TEST_P(Drains, L10_ALinkAndADrainOrderWhatWorkersDo) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(1)));
  LastSqe().flags |= kLink;
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("x"), 0, Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, -EPIPE)));

  const Connection other = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(other.fd), SHUT_WR, Id(3)));
  ASSERT_TRUE(queue().Send(File::Descriptor(other.fd), AsBytes("x"), 0, Id(4)));
  LastSqe().flags |= kDrain;
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 0), Final(4, -EPIPE)));
}

TEST_P(Drains, C12_ACancelBehindADrainIsHeldBack) {
  const Connection connection = Connect();
  Receive(connection, 1);
  Nop(2, kDrain);
  Cancel(1, 3);
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 3), Final(2, 0), Final(3, -ENOENT)));
}

}  // namespace
}  // namespace orrery::conformance

// Sends: how much is taken, when one waits, and how a dead stream answers. The exact stream that a
// client reads depends on each.
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

// More than a stream of any world holds.
constexpr size_t kTooMuch = 8 * kMiB;

class Sending : public Conformance {
 protected:
  Seen Send(const Connection& connection, std::string_view bytes, int flags = 0) {
    EXPECT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), flags, Id(1)));
    return AwaitOne();
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Sending, AllWorlds(), WorldName);

TEST_P(Sending, T1_TakesWhatFitsAndReturnsAtOnce) {
  const Connection connection = Connect();
  const std::string bytes = Pattern(0, kTooMuch);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), 0, Id(1)));
  Submit();
  const std::vector<Seen> seen = Visible();
  ASSERT_EQ(seen.size(), 1U);
  ASSERT_GT(seen[0].result, 0);
  ASSERT_LT(seen[0].result, static_cast<int>(kTooMuch));
  const auto taken = static_cast<size_t>(seen[0].result);
  EXPECT_EQ(ReadFromPeer(connection.peer, taken).bytes, bytes.substr(0, taken));
}

TEST_P(Sending, T1_AVectorIsCutAnywhere) {
  const Connection connection = Connect();
  std::string bytes = Pattern(0, kTooMuch);
  std::vector<iovec> iovecs;
  for (size_t begin = 0; begin < kTooMuch; begin += kTooMuch / 64) {
    iovecs.push_back({.iov_base = bytes.data() + begin, .iov_len = kTooMuch / 64});
  }
  msghdr message{};
  message.msg_iov = iovecs.data();
  message.msg_iovlen = iovecs.size();
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(1)));
  const Seen seen = AwaitOne();
  ASSERT_GT(seen.result, 0);
  ASSERT_LT(seen.result, static_cast<int>(kTooMuch));
  const auto taken = static_cast<size_t>(seen.result);
  EXPECT_EQ(ReadFromPeer(connection.peer, taken).bytes, bytes.substr(0, taken));
}

TEST_P(Sending, T3_WaitsWhileNothingFits) {
  const Connection connection = Connect();
  const size_t filled = Fill(connection);
  EXPECT_THAT(Send(connection, "x", MSG_DONTWAIT), Final(1, -EAGAIN));
  const std::string rest = Pattern(filled, 100);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(rest), 0, Id(2)));
  Submit();
  ExpectQuiet();
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  const Seen sent = AwaitOne();
  EXPECT_EQ(sent.id, 2U);
  ASSERT_GT(sent.result, 0);
  ASSERT_LE(sent.result, 100);
  const auto taken = static_cast<size_t>(sent.result);
  EXPECT_EQ(ReadFromPeer(connection.peer, taken).bytes, rest.substr(0, taken));
}

TEST_P(Sending, T3_AVectorWaitsToo) {
  const Connection connection = Connect();
  const size_t filled = Fill(connection);
  std::string rest = Pattern(filled, 100);
  const std::array<iovec, 2> iovecs = {iovec{.iov_base = rest.data(), .iov_len = 30},
                                       iovec{.iov_base = rest.data() + 30, .iov_len = 70}};
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(connection.fd), iovecs,
                                  SubmissionQueue::kCurrentOffset, Id(1)));
  Submit();
  ExpectQuiet();
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  const Seen sent = AwaitOne();
  ASSERT_GT(sent.result, 0);
  const auto taken = static_cast<size_t>(sent.result);
  EXPECT_EQ(ReadFromPeer(connection.peer, taken).bytes, rest.substr(0, taken));
}

TEST_P(Sending, T4_TwoThatWaitAreInNoOrder) {
  const Connection connection = Connect();
  const size_t filled = Fill(connection);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("1111"), 0, Id(1)));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("2222"), 0, Id(2)));
  Submit();
  ExpectQuiet();
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  const std::string rest = ReadFromPeer(connection.peer, 8).bytes;
  EXPECT_TRUE(rest == "11112222" || rest == "22221111") << rest;
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, 4), Final(2, 4)));
}

TEST_P(Sending, T6_AResetEndsASendThatWaits) {
  const Connection connection = Connect();
  (void)Fill(connection);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("x"), 0, Id(2)));
  Submit();
  world().Reset(connection.peer);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ECONNRESET)));
}

TEST_P(Sending, T6_ShuttingWritingDownEndsASendThatWaits) {
  const Connection connection = Connect();
  (void)Fill(connection);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("x"), 0, Id(2)));
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(3)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, -EPIPE), Final(3, 0)));
}

TEST_P(Sending, T6_ACancelEndsASendThatWaits) {
  const Connection connection = Connect();
  const size_t filled = Fill(connection);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("never"), 0, Id(2)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(2), Id(3)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, -ECANCELED), Final(3, 0)));
  // None of its bytes went out.
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(4)));
  EXPECT_THAT(Await(1), ElementsAre(Final(4, 0)));
  EXPECT_EQ(ReadToEnd(connection.peer).bytes.size(), filled);
}

TEST_P(Sending, T7_TheFirstSendAfterAFinSucceedsTheNextDoesNot) {
  const Connection connection = Connect();
  world().Close(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  EXPECT_THAT(Send(connection, "x"), Final(1, 1));
  // It is answered with a reset, which may take a moment.
  Seen seen = Send(connection, "y");
  for (int i = 0; i < 1000 && seen.result > 0; ++i) {
    world().Pause();
    seen = Send(connection, "y");
  }
  EXPECT_THAT(seen, Final(1, -EPIPE));
  EXPECT_THAT(Send(connection, "z"), Final(1, -EPIPE));
}

TEST_P(Sending, T7_AResetIsReportedOnceThenEpipe) {
  const Connection connection = Connect();
  world().Reset(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  EXPECT_THAT(Send(connection, "x"), Final(1, -ECONNRESET));
  EXPECT_THAT(Send(connection, "x"), Final(1, -EPIPE));
}

TEST_P(Sending, T7_AfterShuttingWritingDownEverySendIsEpipe) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  EXPECT_THAT(Send(connection, "x"), Final(1, -EPIPE));
  EXPECT_THAT(Send(connection, ""), Final(1, -EPIPE));
}

TEST_P(Sending, T9_NothingToSendIsDoneAtOnce) {
  const Connection connection = Connect();
  EXPECT_THAT(Send(connection, ""), Final(1, 0));
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(connection.fd), {},
                                  SubmissionQueue::kCurrentOffset, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
}

TEST_P(Sending, T10_MoreIovecsThanTheLimitAreRefused) {
  const Connection connection = Connect();
  char byte = 'x';
  std::vector<iovec> iovecs(IOV_MAX + 1, iovec{.iov_base = &byte, .iov_len = 1});
  msghdr message{};
  message.msg_iov = iovecs.data();
  message.msg_iovlen = iovecs.size();
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EMSGSIZE)));
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(connection.fd), iovecs,
                                  SubmissionQueue::kCurrentOffset, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -EINVAL)));

  message.msg_iovlen = IOV_MAX;
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(Final(3, IOV_MAX)));
  EXPECT_EQ(ReadFromPeer(connection.peer, IOV_MAX).bytes, std::string(IOV_MAX, 'x'));
}

TEST_P(Sending, T10_BadMemoryIsAFaultAndNothingIsSent) {
  const Connection connection = Connect();
  std::string text = "text";
  // Nothing is ever mapped in the first page.
  void* const nowhere = reinterpret_cast<void*>(uintptr_t{8});
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_send(sqe, connection.fd, nowhere, 4, 0); });
  EXPECT_THAT(AwaitOne(), Final(1, -EFAULT));
  Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_send(sqe, connection.fd, nullptr, 4, 0); });
  EXPECT_THAT(AwaitOne(), Final(2, -EFAULT));
  const std::array<iovec, 2> parts = {iovec{.iov_base = text.data(), .iov_len = 4},
                                      iovec{.iov_base = nowhere, .iov_len = 4}};
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(connection.fd), parts,
                                  SubmissionQueue::kCurrentOffset, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, -EFAULT));
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // The ABI's form; it is only read.
  message.msg_iovlen = parts.size();
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(4)));
  EXPECT_THAT(AwaitOne(), Final(4, -EFAULT));
  Add(5, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_writev(sqe, connection.fd, nullptr, 2, ~uint64_t{0});
  });
  EXPECT_THAT(AwaitOne(), Final(5, -EFAULT));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("ok"), 0, Id(6)));
  EXPECT_THAT(AwaitOne(), Final(6, 2));
  EXPECT_EQ(ReadFromPeer(connection.peer, 2).bytes, "ok");
}

TEST_P(Sending, T12_AClosedDescriptorsPendingSendStillGoesOut) {
  const Connection connection = Connect();
  const size_t filled = Fill(connection);
  const std::string rest = Pattern(filled, 10);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(rest), 0, Id(2)));
  Submit();
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 0)));
  const PeerRead read = ReadToEnd(connection.peer);
  const Seen sent = AwaitOne();
  EXPECT_EQ(sent.id, 2U);
  ASSERT_GT(sent.result, 0);
  EXPECT_TRUE(read.end);
  EXPECT_EQ(read.bytes, Pattern(0, filled + static_cast<size_t>(sent.result)));
}

TEST_P(Sending, U8_IovecsAndMessageAreReadWhenConsumed) {
  const Connection connection = Connect();
  std::string text = "before";
  std::array<iovec, 1> iovecs = {iovec{.iov_base = text.data(), .iov_len = text.size()}};
  msghdr message{};
  message.msg_iov = iovecs.data();
  message.msg_iovlen = 1;
  const size_t filled = Fill(connection);
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(2)));
  Submit();
  // The send waits for space; its message and iovecs may be gone, its payload may not.
  std::memset(&message, 0xff, sizeof message);
  std::memset(iovecs.data(), 0xff, sizeof iovecs);
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 6)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 6).bytes, "before");
}

TEST_P(Sending, T2_WaitAllSendsEverything) {
  const Connection connection = Connect();
  const std::string bytes = Pattern(0, kTooMuch);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), MSG_WAITALL, Id(1)));
  Submit();
  EXPECT_THAT(Visible(), testing::IsEmpty());
  EXPECT_EQ(ReadFromPeer(connection.peer, kTooMuch).bytes, bytes);
  EXPECT_THAT(AwaitOne(), Final(1, kTooMuch));
}

TEST_P(Sending, T5_AResetAfterProgressGivesTheProgress) {
  const Connection connection = Connect();
  const std::string bytes = Pattern(0, kTooMuch);
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), MSG_WAITALL, Id(1)));
  Submit();
  world().AwaitSteadyOutput(connection.fd);
  world().Reset(connection.peer);
  const Seen seen = AwaitOne();
  EXPECT_GT(seen.result, 0);
  EXPECT_LT(seen.result, static_cast<int>(kTooMuch));
  EXPECT_THAT(Send(connection, "x"), Final(1, -EPIPE));
}

}  // namespace
}  // namespace orrery::conformance

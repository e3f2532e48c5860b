// SEND, SENDMSG, WRITE and WRITEV on streams. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr size_t kCapacity = 8;

class SendTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Write(uint64_t user_data, std::string_view bytes) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, stream_.fd, bytes.data(), static_cast<unsigned>(bytes.size()), 0);
    });
  }
  void WriteVector(uint64_t user_data, std::span<const iovec> iovecs) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_writev(sqe, stream_.fd, iovecs.data(), static_cast<unsigned>(iovecs.size()), 0);
    });
  }
  void SendMessage(uint64_t user_data, std::span<iovec> iovecs) {
    message_ = {};
    message_.msg_iov = iovecs.data();
    message_.msg_iovlen = iovecs.size();
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_sendmsg(sqe, stream_.fd, &message_, MSG_NOSIGNAL);
    });
  }
  void Fill() {
    machine_.Send(99, stream_.fd, "12345678");
    ASSERT_EQ(machine_.Look(), (Cqes{{99, 8, 0}}));
  }
  std::string Read(size_t bytes_max = 1 << 10) {
    return machine_.PeerReceive(stream_.peer, bytes_max);
  }

  TestMachine machine_{{.socket_buffer_bytes = kCapacity}};
  TestMachine::Stream stream_;
  msghdr message_{};
};

TEST_F(SendTest, TakesWhatFits) {  // Fact T1.
  machine_.Send(1, stream_.fd, "abcdefghijkl");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
  EXPECT_EQ(Read(), "abcdefgh");
}

TEST_F(SendTest, NoOptionChangesWhatFits) {  // As docs/kernel_divergences.md says.
  for (const int option : {SO_SNDBUF, SO_RCVBUF}) {
    ASSERT_TRUE(machine_.kernel.SetSocketOption(stream_.fd, SOL_SOCKET, option, 1 << 20));
  }
  machine_.Send(1, stream_.fd, "abcdefghijkl");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
}

TEST_F(SendTest, HoweverOftenItHasWaitedItWaitsForSpace) {  // As docs/kernel_divergences.md says.
  constexpr size_t kWaits = 150;
  const std::string bytes(kCapacity * (kWaits + 2), 'x');
  machine_.Send(1, stream_.fd, bytes, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  for (size_t wait = 0; wait < kWaits; ++wait) {
    EXPECT_EQ(Read().size(), kCapacity);
    EXPECT_EQ(machine_.Look(), Cqes{});
  }
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, kCapacity * (kWaits + 1), 0}}));
}

TEST_F(SendTest, AnyPartOfWhatFitsIsLegal) {  // Fact T1.
  machine_.choice.Script(Site::kSendPartial, stream_.peer, 0, 3);
  machine_.Send(1, stream_.fd, "abcdef");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(Read(), "abc");
  EXPECT_EQ(machine_.observer.Faults(Site::kSendPartial), 1U);
}

TEST_F(SendTest, WaitAllSendsEverything) {  // Fact T2.
  machine_.Send(1, stream_.fd, "abcdefghijklmnopqrst", MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(Read(), "abcdefgh");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(Read(), "ijklmnop");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 20, 0}}));
  EXPECT_EQ(Read(), "qrst");
}

TEST_F(SendTest, WaitAllGoesOnAfterAPartialSend) {  // Fact T2, with task work for each retry.
  machine_.choice.Script(Site::kSendPartial, stream_.peer, 0, 2);
  machine_.Send(1, stream_.fd, "abcdef", MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 6, 0}}));
  EXPECT_EQ(Read(), "abcdef");
}

TEST_F(SendTest, WaitsWhenNothingFits) {  // Fact T3.
  Fill();
  machine_.Send(1, stream_.fd, "abc");
  machine_.Send(2, stream_.fd, "abc", MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EAGAIN, 0}}));
  EXPECT_EQ(Read(), "12345678");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(Read(), "abc");
}

TEST_F(SendTest, WaitAllDontWaitIsShort) {  // Fact T3.
  machine_.Send(1, stream_.fd, "abcdefghijkl", MSG_WAITALL | MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
}

TEST_F(SendTest, ASenderIsWokenWhenAThirdIsFree) {  // sk_stream_is_writeable()
  Fill();
  machine_.Send(1, stream_.fd, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(Read(2), "12");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(Read(1), "3");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
}

TEST_F(SendTest, TwoPendingSendsAreNotOrdered) {  // Fact T4.
  Fill();
  machine_.Send(1, stream_.fd, "AAAA");
  machine_.Send(2, stream_.fd, "BBBB");
  EXPECT_EQ(machine_.Look(), Cqes{});
  Read();
  machine_.Send(3, stream_.fd, "CC");
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 2, 0}, {2, 4, 0}, {1, 2, 0}}));
  EXPECT_EQ(Read(), "CCBBBBAA");
}

TEST_F(SendTest, FailureAfterProgressReturnsTheProgress) {  // Fact T5.
  machine_.Send(1, stream_.fd, "abcdefghijkl", MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.PeerReset(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
  machine_.Send(2, stream_.fd, "x");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EPIPE, 0}}));
}

TEST_F(SendTest, FailureWithoutProgress) {  // Fact T6.
  Fill();
  machine_.Send(1, stream_.fd, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EPIPE, 0}, {2, 0, 0}}));

  const auto other = machine_.Connect();
  machine_.Send(3, other.fd, "12345678");
  machine_.Send(4, other.fd, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 8, 0}}));
  machine_.kernel.PeerReset(other.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -ECONNRESET, 0}}));
}

TEST_F(SendTest, TheFirstSendToAClosedPeerSucceeds) {  // Fact T7.
  machine_.kernel.PeerClose(stream_.peer);
  machine_.Send(1, stream_.fd, "a");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}}));
  machine_.Send(2, stream_.fd, "b");
  machine_.Send(3, stream_.fd, "b");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EPIPE, 0}, {3, -EPIPE, 0}}));
}

TEST_F(SendTest, AnUnreadResetIsToldOnce) {  // Fact T7.
  machine_.kernel.PeerReset(stream_.peer);
  machine_.Send(1, stream_.fd, "a");
  machine_.Send(2, stream_.fd, "a");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECONNRESET, 0}, {2, -EPIPE, 0}}));
}

TEST_F(SendTest, OwnShutdownBreaksEvenAnEmptySend) {  // Facts T7, T9.
  machine_.Send(1, stream_.fd, "");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
  machine_.Send(3, stream_.fd, "");
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EPIPE, 0}}));
}

TEST_F(SendTest, VectorsAreGathered) {  // Fact T9.
  std::string a = "ab";
  std::string b = "cde";
  std::array<iovec, 4> iovecs = {iovec{a.data(), 2}, iovec{nullptr, 0}, iovec{b.data(), 3},
                                 iovec{a.data(), 0}};
  SendMessage(1, iovecs);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 5, 0}}));
  EXPECT_EQ(Read(), "abcde");
  WriteVector(2, iovecs);
  WriteVector(3, {});
  WriteVector(4, std::span(iovecs).subspan(1, 1));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 5, 0}, {3, 0, 0}, {4, 0, 0}}));
  EXPECT_EQ(Read(), "abcde");
}

TEST_F(SendTest, AShortSendEndsAnywhereInAVector) {  // Fact T1.
  std::string a = "abc";
  std::string b = "defghijkl";
  std::array<iovec, 2> iovecs = {iovec{a.data(), 3}, iovec{b.data(), 9}};
  SendMessage(1, iovecs);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 8, 0}}));
  EXPECT_EQ(Read(), "abcdefgh");
}

TEST_F(SendTest, TooManyIovecs) {  // Fact T10; errors of preparation come in place.
  std::vector<iovec> iovecs(1025, iovec{nullptr, 0});
  machine_.Nop(1);
  WriteVector(2, iovecs);
  SendMessage(3, iovecs);
  machine_.Nop(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, -EINVAL, 0}, {3, -EMSGSIZE, 0}, {4, 0, 0}}));
  iovecs.resize(1024);
  WriteVector(5, iovecs);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}}));
  iovecs[3].iov_len = ~size_t{0};
  WriteVector(6, iovecs);
  EXPECT_EQ(machine_.Look(), (Cqes{{6, -EINVAL, 0}}));
}

TEST_F(SendTest, VectorsMayBeOverwrittenAfterEnter) {  // Fact U8.
  Fill();
  std::string text = "abc";
  std::array<iovec, 1> iovecs = {iovec{text.data(), 3}};
  SendMessage(1, iovecs);
  EXPECT_EQ(machine_.Look(), Cqes{});
  iovecs[0] = {nullptr, 77};
  message_ = {};
  Read();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(Read(), "abc");
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
}

TEST_F(SendTest, ClosingLeavesAPendingSend) {  // Fact T12.
  Fill();
  machine_.Send(1, stream_.fd, "abc");
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  Read();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_EQ(Read(), "abc");
}

TEST_F(SendTest, WrongFilesAreRefused) {
  const int listener = machine_.Listen();
  const int event = *machine_.kernel.MakeEventFd();
  machine_.Send(1, 999, "x");
  machine_.Send(2, event, "x");
  machine_.Send(3, listener, "x");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EBADF, 0}, {2, -ENOTSOCK, 0}, {3, -EPIPE, 0}}));
}

TEST_F(SendTest, ErrorsOfWritesComeByTaskWork) {  // kiocb_done(); observed on 6.18.
  machine_.Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, stream_.fd, "x", 1, 5); });
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ESPIPE, 0}}));
}

TEST_F(SendTest, SpaceMayBeSeenLate) {
  Fill();
  machine_.Send(1, stream_.fd, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.choice.Always(Site::kWakeDelay, 3);
  Read();
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
}

// --- What a program may not do

TEST_F(SendTest, ChangingThePayloadInFlightIsReported) {  // Fact U8.
  Fill();
  std::string text = "abc";
  machine_.Send(1, stream_.fd, text);
  EXPECT_EQ(machine_.Look(), Cqes{});
  text[1] = 'X';
  Read();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(Read(), "aXc");  // The payload is read when it is sent.
  EXPECT_EQ(machine_.observer.violations,
            std::vector<std::string>{"send-memory-changed-in-flight"});
}

TEST_F(SendTest, ChangingThePayloadOfACancelledSendIsReported) {
  Fill();
  std::string text = "abc";
  machine_.Send(1, stream_.fd, text);
  EXPECT_EQ(machine_.Look(), Cqes{});
  text[1] = 'X';
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.observer.violations,
            std::vector<std::string>{"send-memory-changed-in-flight"});
}

TEST_F(SendTest, WritingToABrokenStreamRaisesASignal) {  // Fact T8.
  machine_.kernel.PeerClose(stream_.peer);
  Write(1, "x");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
  Write(2, "x");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EPIPE, 0}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"sigpipe"});
}

TEST(SendDeathTest, WithoutAnObserverAViolationStopsTheRun) {
  EXPECT_DEATH(
      {
        BenignChoice choice;
        ModelKernel kernel({}, choice, nullptr);
        const auto ring = kernel.MakeRing({});
        io_uring_sqe* const sqe = io_uring_get_sqe(&(*ring)->memory());
        io_uring_prep_nop(sqe);
        sqe->user_data = ~uint64_t{0};
        *(*ring)->memory().sq.ktail = 1;
        (void)(*ring)->Enter({.to_submit = 1});
      },
      "reserved-user-data");
}

}  // namespace
}  // namespace orrery::model

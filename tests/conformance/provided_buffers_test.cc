// Rings of provided buffers: which buffer is taken, when, and when none is. A buffer that is
// believed taken when it is not leaks; the other way round it is overwritten.
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

class ProvidedBuffers : public Conformance {
 protected:
  void Arm(const Connection& connection, const BufferGroup& buffers, uint32_t id) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(id)));
    Submit();
  }
  // The kernel's position in a group.
  unsigned Head(uint16_t group) {
    constexpr unsigned kRegisterBufferStatus = 26;  // IORING_REGISTER_PBUF_STATUS
    struct {                                        // io_uring_buf_status
      uint32_t group;
      uint32_t head;
      uint32_t reserved[8];
    } status{};
    status.group = group;
    EXPECT_TRUE(ring().Register(kRegisterBufferStatus, &status, 1).has_value());
    return status.head;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, ProvidedBuffers, AllWorlds(), WorldName);

TEST_P(ProvidedBuffers, B1_AGroupHasAPowerOfTwoOfEntriesAndAnIdOfItsOwn) {
  constexpr unsigned kEntriesMax = 32768;
  constexpr size_t kBytes = 2 * kEntriesMax * sizeof(io_uring_buf);
  void* const memory =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto error_of = [&](unsigned entries, uint16_t group) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(memory);  // The ABI carries pointers so.
    registration.ring_entries = entries;
    registration.bgid = group;
    const auto result = ring().Register(IORING_REGISTER_PBUF_RING, &registration, 1);
    return result ? 0 : result.error().value();
  };
  EXPECT_EQ(error_of(0, 1), EINVAL);
  EXPECT_EQ(error_of(3, 1), EINVAL);
  EXPECT_EQ(error_of(2 * kEntriesMax, 1), EINVAL);
  EXPECT_EQ(error_of(kEntriesMax, 1), 0);
  EXPECT_EQ(error_of(1, 1), EEXIST);
  EXPECT_EQ(error_of(1, 2), 0);
  for (const uint16_t group : {1, 2, 3}) {
    io_uring_buf_reg registration{};
    registration.bgid = group;
    const auto result = ring().Register(IORING_UNREGISTER_PBUF_RING, &registration, 1);
    EXPECT_EQ(result ? 0 : result.error().value(), group == 3 ? ENOENT : 0);
  }
  ::munmap(memory, kBytes);
}

TEST_P(ProvidedBuffers, B12_OfTwoReceivesOneBufferServesOne) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 1, 4);
  for (uint32_t id = 1; id <= 2; ++id) {
    io_uring_sqe& sqe = Raw(IORING_OP_RECV, id);
    sqe.fd = connection.fd;
    sqe.flags = IOSQE_BUFFER_SELECT;
    sqe.buf_group = buffers.group();
  }
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  const std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, testing::SizeIs(2));
  EXPECT_EQ(seen[0].result, 4);
  EXPECT_TRUE(seen[0].buffer().has_value());
  EXPECT_EQ(seen[1].result, -ENOBUFS);
  EXPECT_FALSE(seen[1].buffer().has_value());
  // The rest is still there.
  std::array<std::byte, 16> rest{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), rest, 0, Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 1)));
}

TEST_P(ProvidedBuffers, B10_ABadAddressIsFoundAgainAndAgain) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseEmptyGroup(7, 4, 8);
  buffers.PublishNowhere(2, 8, /*null=*/false);
  buffers.Publish(1);
  Deliver(connection, "abc");
  for (const uint32_t id : {1U, 2U}) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(id)));
    const Seen seen = AwaitOne();
    EXPECT_THAT(seen, Final(id, -EFAULT));
    EXPECT_EQ(seen.buffer(), std::nullopt);
  }
  // Nothing is lost.
  std::array<std::byte, 8> memory{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory, 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, 3));
}

TEST_P(ProvidedBuffers, B10_ANullAddressIsNoBuffer) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseEmptyGroup(7, 4, 8);
  buffers.PublishNowhere(2, 8, /*null=*/true);
  buffers.Publish(1);
  for (const uint32_t id : {1U, 2U}) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(id)));
    EXPECT_THAT(AwaitOne(), Final(id, -ENOBUFS));
  }
}

TEST_P(ProvidedBuffers, B13_AReadOfASocketTakesItsBufferAtTheEndToo) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 8, 8);
  const auto read = [&](uint32_t id, unsigned length) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_read(sqe, connection.fd, nullptr, length, ~uint64_t{0});
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 7;
    });
  };
  read(1, 0);
  Submit();
  ExpectQuiet();
  Deliver(connection, "abcdefghijkl");
  Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 8));
  ASSERT_EQ(seen.buffer(), 0);
  EXPECT_EQ(buffers.BytesOf(seen), "abcdefgh");
  EXPECT_FALSE(seen.not_empty());
  read(2, 2);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, 2));
  EXPECT_EQ(seen.buffer(), 1);
  read(3, 0);
  EXPECT_THAT(AwaitOne(), Final(3, 2));
  read(4, 0);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(4), Id(5)));
  for (const Seen& one : Await(2)) {
    EXPECT_EQ(one.result, one.id == 4 ? -ECANCELED : 0);
    EXPECT_EQ(one.buffer(), std::nullopt);
  }
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  read(6, 0);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(6, 0));
  EXPECT_EQ(seen.buffer(), 3);
}

TEST_P(ProvidedBuffers, B13_AReadOfASocketTakesNoBufferWithAnError) {
  (void)UseBuffers(7, 8, 8);
  const auto read = [&](uint32_t id, int fd) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_read(sqe, fd, nullptr, 0, ~uint64_t{0});
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 7;
    });
  };
  const Connection waiting = Connect();
  read(1, waiting.fd);
  Submit();
  ExpectQuiet();
  world().Reset(waiting.peer);
  Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, -ECONNRESET));
  EXPECT_EQ(seen.buffer(), std::nullopt);
  const Connection late = Connect();
  world().Reset(late.peer);
  ASSERT_TRUE(world().AwaitHangup(late.fd));
  read(2, late.fd);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, -ECONNRESET));
  EXPECT_EQ(seen.buffer(), std::nullopt);
  read(3, late.fd);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(3, 0));
  EXPECT_EQ(seen.buffer(), 0);
}

// What a reader that waited gets of `bytes` sent to it, when the buffer that it had chosen held 4
// and has gone to somebody else, and the next ones hold 16.
TEST_P(ProvidedBuffers, B14_WhoWaitedTakesNoMoreThanTheBufferItHadChosen) {
  struct Way {
    std::string_view name;
    void (*prepare)(io_uring_sqe* sqe, int fd, msghdr* message);
    std::vector<int32_t> results;
  };
  const auto receive = [](io_uring_sqe* sqe, int fd, msghdr*) {
    ::io_uring_prep_recv(sqe, fd, nullptr, 0, 0);
  };
  const std::vector<Way> ways = {
      {"RECV", receive, {4}},
      {"RECV of at most 3",
       [](io_uring_sqe* sqe, int fd, msghdr*) { ::io_uring_prep_recv(sqe, fd, nullptr, 3, 0); },
       {3}},
      // Only the first of them.
      {"RECV, multishot",
       [](io_uring_sqe* sqe, int fd, msghdr*) {
         ::io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
       },
       {4, 6}},
      {"READ",
       [](io_uring_sqe* sqe, int fd, msghdr*) {
         ::io_uring_prep_read(sqe, fd, nullptr, 0, ~uint64_t{0});
       },
       {4}},
      // This one has its length elsewhere.
      {"RECVMSG",
       [](io_uring_sqe* sqe, int fd, msghdr* message) {
         ::io_uring_prep_recvmsg(sqe, fd, message, 0);
       },
       {10}},
  };
  uint16_t group = 7;
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    const Connection slow = Connect();
    const Connection quick = Connect();
    BufferGroup& buffers = UseEmptyGroup(++group, 4, 16);
    buffers.PublishWithLength(0, 4);
    msghdr message{};
    Add(1, [&](io_uring_sqe* sqe) {
      way.prepare(sqe, slow.fd, &message);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
    Submit();
    Deliver(quick, "xxxx");
    Add(2, [&](io_uring_sqe* sqe) {
      receive(sqe, quick.fd, nullptr);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
    EXPECT_THAT(AwaitOne(), Final(2, 4));
    buffers.Publish(1);
    buffers.Publish(2);
    Deliver(slow, "0123456789");
    std::vector<int32_t> results;
    for (const Seen& seen : Await(way.results.size())) results.push_back(seen.result);
    EXPECT_EQ(results, way.results);
  }
}

TEST_P(ProvidedBuffers, B6_OnAWorkerTheEndTakesABuffer) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 2, 8);
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, connection.fd, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_ASYNC;
    sqe->buf_group = 7;
  });
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.buffer(), 0);
}

TEST_P(ProvidedBuffers, B6_OnAWorkerTheBufferIsTakenBeforeTheWait) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 2, 8);
  const auto receive = [&](uint32_t id) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recv(sqe, connection.fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_ASYNC;
      sqe->buf_group = 7;
    });
    Submit();
  };
  receive(1);
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  const std::vector<Seen> seen = Await(2);
  for (const Seen& one : seen) {
    if (one.id != 1) continue;
    EXPECT_THAT(one, Final(1, -ECANCELED));
    EXPECT_EQ(one.buffer(), 0);
  }
  receive(3);
  ExpectQuiet();
  // The other one is taken, too.
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(4)));
  EXPECT_THAT(AwaitOne(), Final(4, -ENOBUFS));
  Deliver(connection, "abc");
  const Seen last = AwaitOne();
  EXPECT_THAT(last, Final(3, 3));
  ASSERT_EQ(last.buffer(), 1);
  EXPECT_EQ(buffers.BytesOf(last), "abc");
}

TEST_P(ProvidedBuffers, B2_AreTakenInTheOrderOfTheRing) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 4, 64);
  Arm(connection, buffers, 1);
  const auto next = [&]() -> std::optional<uint16_t> {
    EXPECT_EQ(world().Send(connection.peer, "x"), 1U);
    return AwaitOne().buffer();
  };
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(next(), 1);
  EXPECT_EQ(next(), 2);
  // Returned in another order, they are taken in that order, after the one that is still there.
  buffers.Publish(2);
  buffers.Publish(0);
  EXPECT_EQ(next(), 3);
  EXPECT_EQ(next(), 2);
  buffers.Publish(1);
  EXPECT_EQ(next(), 0);
  EXPECT_EQ(next(), 1);
}

TEST_P(ProvidedBuffers, B3_AnEmptyOrUnknownGroupIsSeenBeforeTheSocket) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 1, 64);
  Arm(connection, buffers, 1);
  ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 1)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));

  // There is nothing to read, and yet the answer comes at once.
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(3)));
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(3, -ENOBUFS)));
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 1234, Id(4)));
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(4, -ENOBUFS)));
}

TEST_P(ProvidedBuffers, B4_TheEndTakesNoBuffer) {
  const Connection ending = Connect();
  const Connection living = Connect();
  BufferGroup& buffers = UseBuffers(7, 4, 64);
  Arm(ending, buffers, 1);
  Arm(living, buffers, 2);
  world().Close(ending.peer);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.buffer(), std::nullopt);
  ASSERT_EQ(world().Send(living.peer, "x"), 1U);
  EXPECT_EQ(AwaitOne().buffer(), 0);
}

TEST_P(ProvidedBuffers, B4_AResetAndACancelTakeNoBuffer) {
  const Connection resetting = Connect();
  const Connection living = Connect();
  BufferGroup& buffers = UseBuffers(7, 4, 64);
  Arm(resetting, buffers, 1);
  Arm(living, buffers, 2);
  world().Reset(resetting.peer);
  const Seen reset = AwaitOne();
  EXPECT_THAT(reset, Final(1, -ECONNRESET));
  EXPECT_EQ(reset.buffer(), std::nullopt);
  ASSERT_TRUE(queue().Cancel(Id(2), Id(3)));
  for (const Seen& seen : Await(2)) EXPECT_EQ(seen.buffer(), std::nullopt);
  Arm(living, buffers, 4);
  ASSERT_EQ(world().Send(living.peer, "x"), 1U);
  EXPECT_EQ(AwaitOne().buffer(), 0);
}

TEST_P(ProvidedBuffers, B7_AreChosenWhenTheTransferRunsNotWhenItIsArmed) {
  if (!deferred()) GTEST_SKIP() << "of deferred task work only";
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 1, 64);
  Arm(connection, buffers, 1);
  ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 1)));
  // The group is empty when the bytes arrive, but not any more when they are received.
  ASSERT_EQ(world().Send(connection.peer, "y"), 1U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 1));
  buffers.Publish(0);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 1)));
}

TEST_P(ProvidedBuffers, B9_ABufferOfLengthZeroLooksLikeTheEndAndStays) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 2, 64);
  Arm(connection, buffers, 1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
    EXPECT_THAT(AwaitOne(), More(1, 1));
  }
  buffers.PublishWithLength(0, 0);
  buffers.Publish(1);
  ASSERT_EQ(world().Send(connection.peer, "bytes"), 5U);
  for (uint32_t id = 1; id < 4; ++id) {
    const Seen seen = AwaitOne();
    EXPECT_THAT(seen, Final(id, 0));
    EXPECT_EQ(seen.buffer(), std::nullopt);
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(id + 1)));
  }
}

TEST_P(ProvidedBuffers, M12_OnlyWhoFindsTheGroupEmptyIsEnded) {
  const Connection first = Connect();
  const Connection second = Connect();
  const Connection idle = Connect();
  BufferGroup& buffers = UseBuffers(7, 1, 64);
  Arm(first, buffers, 1);
  Arm(second, buffers, 2);
  Arm(idle, buffers, 3);
  ASSERT_EQ(world().Send(first.peer, "x"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 1)));
  ASSERT_EQ(world().Send(second.peer, "y"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENOBUFS)));
  ExpectQuiet();
  buffers.Publish(0);
  ASSERT_EQ(world().Send(idle.peer, "z"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(More(3, 1)));
}

TEST_P(ProvidedBuffers, B8_WaitAllFillsOneBuffer) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 2, 8);
  const auto receive = [&](uint32_t id) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recv(sqe, connection.fd, nullptr, 0, MSG_WAITALL);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 7;
    });
    Submit();
  };
  receive(1);
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  ExpectQuiet();
  EXPECT_EQ(Head(7), 1U);  // Taken at the first byte.
  ASSERT_EQ(world().Send(connection.peer, "defghij"), 7U);
  const Seen whole = AwaitOne();
  EXPECT_THAT(whole, Final(1, 8));
  EXPECT_EQ(whole.buffer(), 0);
  EXPECT_EQ(buffers.BytesOf(whole), "abcdefgh");
  receive(2);
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  const Seen part = AwaitOne();
  EXPECT_THAT(part, Final(2, 2));
  EXPECT_EQ(part.buffer(), 1);
  EXPECT_EQ(buffers.BytesOf(part), "ij");
}

TEST_P(ProvidedBuffers, B8_ACancelHandsThePartOver) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 1, 8);
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, connection.fd, nullptr, 0, MSG_WAITALL);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 7;
  });
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  std::vector<Seen> seen = Await(2);
  ASSERT_EQ(seen.size(), 2U);
  if (seen[0].id != 1) std::swap(seen[0], seen[1]);
  EXPECT_THAT(seen, ElementsAre(Final(1, 3), Final(2, 0)));
  EXPECT_EQ(seen[0].buffer(), 0);
  EXPECT_EQ(buffers.BytesOf(seen[0]), "abc");
}

TEST_P(ProvidedBuffers, B11_UnregisteringLeavesItsUsersWithoutBuffers) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 2, 64);
  Arm(connection, buffers, 1);
  ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
  EXPECT_THAT(AwaitOne(), More(1, 1));
  EXPECT_EQ(Head(7), 1U);
  io_uring_buf_reg registration{};
  registration.bgid = 7;
  ASSERT_TRUE(ring().Register(IORING_UNREGISTER_PBUF_RING, &registration, 1).has_value());
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
  EXPECT_THAT(AwaitOne(), Final(1, -ENOBUFS));
}

}  // namespace
}  // namespace orrery::conformance

// The table of fixed files: a sparse table, updated slot by slot while requests are in flight.
#include <array>
#include <cerrno>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class FixedFiles : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    ASSERT_TRUE(RegisterSparseFiles(ring(), 8));
  }

  // Several slots from `first` on at once: how many were done.
  template <size_t kCount>
  std::expected<unsigned, Errno> Update(unsigned first, const std::array<int, kCount>& fds) {
    io_uring_files_update update{};
    update.offset = first;
    update.fds = reinterpret_cast<uint64_t>(fds.data());  // The ABI carries a pointer so.
    return ring().Register(IORING_REGISTER_FILES_UPDATE, &update, kCount);
  }

  void ExpectSends(unsigned slot, World::Peer peer) {
    ASSERT_TRUE(queue().Send(File::Fixed(static_cast<int>(slot)), AsBytes("!"), 0, Id(900)));
    EXPECT_THAT(Await(1), ElementsAre(Final(900, 1)));
    EXPECT_EQ(ReadFromPeer(peer, 1).bytes, "!");
  }
  void ExpectEmpty(unsigned slot) {
    ASSERT_TRUE(queue().Send(File::Fixed(static_cast<int>(slot)), AsBytes("!"), 0, Id(901)));
    EXPECT_THAT(Await(1), ElementsAre(Final(901, -EBADF)));
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, FixedFiles, AllWorlds(), WorldName);

TEST_P(FixedFiles, F1_OneTableARing) {
  EXPECT_EQ(RegisterSparseFiles(ring(), 8).error(), Errno(EBUSY));
  UseRing({.sq_entries = 4, .cq_entries = 8});
  EXPECT_EQ(UpdateFixedFile(ring(), 0, -1).error(), Errno(ENXIO));
  EXPECT_EQ(RegisterSparseFiles(ring(), 0).error(), Errno(EINVAL));
}

TEST_P(FixedFiles, F1_ATableMayBeginWithFiles) {
  const Connection connection = Connect();
  UseRing({.sq_entries = 4, .cq_entries = 8});
  const std::array<int, 3> fds = {-1, connection.fd, -1};
  ASSERT_TRUE(ring().Register(IORING_REGISTER_FILES, fds.data(), fds.size()));
  ExpectEmpty(0);
  ExpectSends(1, connection.peer);
  ExpectEmpty(2);
  EXPECT_EQ(ring().Register(IORING_REGISTER_FILES, fds.data(), fds.size()).error(), Errno(EBUSY));
}

TEST_P(FixedFiles, F1_WithABadDescriptorThereIsNoTable) {
  const Connection connection = Connect();
  UseRing({.sq_entries = 4, .cq_entries = 8});
  const std::array<int, 2> bad = {connection.fd, 9999};
  EXPECT_EQ(ring().Register(IORING_REGISTER_FILES, bad.data(), bad.size()).error(), Errno(EBADF));
  EXPECT_EQ(UpdateFixedFile(ring(), 0, -1).error(), Errno(ENXIO));
  EXPECT_EQ(ring().Register(IORING_REGISTER_FILES, bad.data(), 0).error(), Errno(EINVAL));
}

TEST_P(FixedFiles, F2_AnUpdateFillsReplacesAndEmptiesSlots) {
  const Connection first = Connect();
  const Connection second = Connect();
  ExpectEmpty(3);
  ASSERT_TRUE(UpdateFixedFile(ring(), 3, first.fd));
  ExpectSends(3, first.peer);
  ASSERT_TRUE(UpdateFixedFile(ring(), 3, second.fd));
  ExpectSends(3, second.peer);
  ASSERT_TRUE(UpdateFixedFile(ring(), 3, -1));
  ExpectEmpty(3);
  EXPECT_TRUE(UpdateFixedFile(ring(), 3, -1));  // Emptying an empty one is no error.
}

TEST_P(FixedFiles, F2_AnUpdateStopsAtABadDescriptor) {
  const Connection connection = Connect();
  EXPECT_EQ(Update<3>(0, {connection.fd, 987'654, connection.fd}), 1U);
  ExpectSends(0, connection.peer);
  ExpectEmpty(1);
  ExpectEmpty(2);
  EXPECT_EQ(Update<1>(1, {987'654}).error(), Errno(EBADF));
}

TEST_P(FixedFiles, F2_MinusTwoSkipsASlot) {
  const Connection connection = Connect();
  ASSERT_EQ(Update<2>(4, {connection.fd, connection.fd}), 2U);
  EXPECT_EQ(Update<2>(4, {IORING_REGISTER_FILES_SKIP, -1}), 2U);
  ExpectSends(4, connection.peer);
  ExpectEmpty(5);
}

TEST_P(FixedFiles, F2_BeyondTheTableIsRefused) {
  const Connection connection = Connect();
  EXPECT_EQ(UpdateFixedFile(ring(), 8, connection.fd).error(), Errno(EINVAL));
  EXPECT_EQ(Update<2>(7, {connection.fd, connection.fd}).error(), Errno(EINVAL));
  ExpectEmpty(7);
}

TEST_P(FixedFiles, F3_AnEmptyOrUnknownSlotIsEbadf) {
  ExpectEmpty(0);
  ExpectEmpty(8);
  ExpectEmpty(100'000);
}

TEST_P(FixedFiles, F3_ARegisteredFileSurvivesItsDescriptor) {
  const Connection connection = Connect();
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, connection.fd));
  kernel().Close(connection.fd);
  ExpectSends(2, connection.peer);
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, -1));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(FixedFiles, F6_EmptyingASlotDoesNotDisturbWhatIsInFlight) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, connection.fd));
  kernel().Close(connection.fd);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Fixed(2), buffers.group(), Id(1)));
  Submit();
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, -1));
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 5)));
  const PeerRead nothing = world().Receive(connection.peer, 10);
  EXPECT_FALSE(nothing.end || nothing.reset);
  // The file is closed when its last request ends.
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(FixedFiles, F6_ReplacingASlotDoesNotDisturbWhatIsInFlight) {
  const Connection old = Connect();
  const Connection next = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, old.fd));
  ASSERT_TRUE(queue().Receive(File::Fixed(2), bytes, 0, Id(1)));
  Submit();
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, next.fd));
  ASSERT_EQ(world().Send(next.peer, "new"), 3U);
  ExpectQuiet();
  ASSERT_EQ(world().Send(old.peer, "old!"), 4U);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 4)));
  ExpectSends(2, next.peer);
}

TEST_P(FixedFiles, F4_AllocationTakesTheSlotBehindTheLastOrTheOneFreedLast) {
  const int fd = kernel().MakeEventFd().value();
  const auto allocate = [&] {
    std::array<int, 1> slot = {fd};
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_files_update(sqe, slot.data(), 1, static_cast<int>(IORING_FILE_INDEX_ALLOC));
    });
    const Seen seen = AwaitOne();
    return seen.result == 1 ? slot[0] : seen.result;
  };
  for (int slot = 0; slot < 8; ++slot) EXPECT_EQ(allocate(), slot);
  EXPECT_EQ(allocate(), -ENFILE);
  ASSERT_TRUE(UpdateFixedFile(ring(), 2, -1));
  ASSERT_TRUE(UpdateFixedFile(ring(), 5, -1));
  EXPECT_EQ(allocate(), 5);
  EXPECT_EQ(allocate(), 2);
  kernel().Close(fd);
}

TEST_P(FixedFiles, F4_ARangeKeepsAllocationsTogether) {
  const int fd = kernel().MakeEventFd().value();
  io_uring_file_index_range range{};
  range.off = 4;
  range.len = 2;
  ASSERT_TRUE(ring().Register(IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0).has_value());
  std::array<int, 3> slots = {fd, fd, fd};
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_files_update(sqe, slots.data(), 3, static_cast<int>(IORING_FILE_INDEX_ALLOC));
  });
  EXPECT_THAT(AwaitOne(), Final(1, 2));
  EXPECT_THAT(slots, ElementsAre(4, 5, fd));
  ASSERT_TRUE(UpdateFixedFile(ring(), 7, fd));  // Named, it may lie outside.
  kernel().Close(fd);
  range.len = 5;
  EXPECT_EQ(ring().Register(IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0).error(), Errno(EINVAL));
}

TEST_P(FixedFiles, F5_ClosingASlot) {
  const Connection connection = Connect();
  ASSERT_TRUE(UpdateFixedFile(ring(), 3, connection.fd));
  kernel().Close(connection.fd);
  const auto close = [&](uint32_t file_index, int fd, unsigned flags) {
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_close(sqe, fd);
      sqe->file_index = file_index;
      sqe->flags |= static_cast<uint8_t>(flags);
    });
    return AwaitOne().result;
  };
  EXPECT_EQ(close(4, 1, 0), -EINVAL);
  EXPECT_EQ(close(0, 3, IOSQE_FIXED_FILE), -EBADF);
  EXPECT_EQ(close(4, 0, 0), 0);
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
  EXPECT_EQ(close(4, 0, 0), -EBADF);
  EXPECT_EQ(close(9, 0, 0), -EINVAL);
}

TEST_P(FixedFiles, F5_AnUpdateByTheRingIsAnOperation) {
  const int fd = kernel().MakeEventFd().value();
  std::array<int, 2> fds = {fd, 12345};
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_files_update(sqe, fds.data(), 2, 6); });
  EXPECT_THAT(AwaitOne(), Final(1, 1));
  Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_files_update(sqe, fds.data(), 2, 7); });
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
  kernel().Close(fd);
}

}  // namespace
}  // namespace orrery::conformance

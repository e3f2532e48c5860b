// Files: what reads, writes, syncs and changes of size answer, where they run, and what a cancel
// does to them. On the real side in the directory of the test, whatever file system that is on.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/conformance/file_fixture.h"

namespace orrery::conformance {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr unsigned kRwfNowait = 8;
constexpr unsigned kRwfUnknown = 1U << 30;
constexpr size_t kBlock = 4096;

class Files : public FileConformance {
 protected:
  // The result of the operation `id` among `all`.
  static int ResultOf(const std::vector<Seen>& all, uint32_t id) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Seen& s) { return s.id == id; });
    EXPECT_NE(found, all.end()) << id;
    return found == all.end() ? 0 : found->result;
  }
  // Cancels operation 1 in its batch, or after it. What both answer is one of the legal pairs.
  // Returns whether the operation was carried out.
  bool CancelFirst(int result_if_done) {
    EXPECT_TRUE(queue().Cancel(Id(1), Id(2)));
    const std::vector<Seen> both = Await(2);
    const int result = ResultOf(both, 1);
    const int cancel = ResultOf(both, 2);
    if (result == -ECANCELED) {
      EXPECT_EQ(cancel, 0);
      return false;
    }
    EXPECT_EQ(result, result_if_done);
    EXPECT_THAT(cancel, AnyOf(-ENOENT, -EALREADY));
    return true;
  }

  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  using Block = std::unique_ptr<std::byte, FreeMemory>;
  static Block AlignedMemory(size_t bytes) {
    return Block(static_cast<std::byte*>(std::aligned_alloc(kBlock, bytes)));
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Files, AllWorlds(), WorldName);

TEST_P(Files, Y1_AReadGivesWhatIsThereAndThenNothing) {
  const int fd = CreateWith("file", "0123456789");
  EXPECT_EQ(ReadUpTo(fd, 4, 0).text, "0123");
  EXPECT_EQ(ReadUpTo(fd, 4, 3).text, "3456");
  EXPECT_EQ(ReadUpTo(fd, 100, 7).text, "789");
  EXPECT_EQ(ReadUpTo(fd, 100, 10).result, 0);
  EXPECT_EQ(ReadUpTo(fd, 100, 1000000).result, 0);
  EXPECT_EQ(ReadUpTo(fd, 0, 0).result, 0);
}

TEST_P(Files, Y1_AnOffsetOfMinusOneIsThePosition) {
  const int fd = CreateWith("file", "0123456789");
  EXPECT_EQ(ReadUpTo(fd, 4, kPosition).text, "0123");
  EXPECT_EQ(ReadUpTo(fd, 2, 8).text, "89");  // Leaves the position alone.
  EXPECT_EQ(ReadUpTo(fd, 4, kPosition).text, "4567");
  EXPECT_EQ(Write(fd, "ab", kPosition), 2);
  EXPECT_EQ(ReadUpTo(fd, 4, kPosition).result, 0);
  EXPECT_EQ(Contents(fd), "01234567ab");
}

TEST_P(Files, Y1_AnotherNegativeOffsetIsEinval) {
  const int fd = CreateWith("file", "0123456789");
  EXPECT_EQ(ReadUpTo(fd, 4, ~uint64_t{0} - 1).result, -EINVAL);
  EXPECT_EQ(Write(fd, "x", ~uint64_t{0} - 1), -EINVAL);
  EXPECT_EQ(Contents(fd), "0123456789");
}

TEST_P(Files, Y1_WhatWasNeverWrittenIsZeros) {
  const int fd = Create("file");
  EXPECT_EQ(Write(fd, "end", 10000), 3);
  const std::string all = Contents(fd);
  ASSERT_EQ(all.size(), 10003U);
  EXPECT_EQ(all.find_first_not_of('\0'), 10000U);
  EXPECT_EQ(all.substr(10000), "end");
}

TEST_P(Files, Y1_VectorsAreFilledInOrder) {
  const int fd = Create("file");
  std::string first = "one,";
  std::string second = "two,three";
  const std::array<iovec, 3> out = {iovec{.iov_base = first.data(), .iov_len = first.size()},
                                    iovec{.iov_base = nullptr, .iov_len = 0},
                                    iovec{.iov_base = second.data(), .iov_len = second.size()}};
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(fd), out, 5000, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 13)));
  std::string head(6, '.');
  std::string tail(20, '.');
  const std::array<iovec, 2> in = {iovec{.iov_base = head.data(), .iov_len = head.size()},
                                   iovec{.iov_base = tail.data(), .iov_len = tail.size()}};
  Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_readv(sqe, fd, in.data(), in.size(), 5000); });
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 13)));
  EXPECT_EQ(head, "one,tw");
  EXPECT_EQ(tail.substr(0, 7), "o,three");
}

TEST_P(Files, Y2_WithoutWaitingAReadIsWhatIsInMemoryOrEagain) {
  const int fd = CreateWith("file", "0123456789");
  std::array<std::byte, 10> bytes{};
  AddRead(1, fd, bytes, 0);
  EXPECT_EQ(Result(), 10);
  Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, fd, bytes.data(), bytes.size(), 0);
    sqe->rw_flags = kRwfNowait;
  });
  // EOPNOTSUPP: a file system that cannot try.
  EXPECT_THAT(Result(), AnyOf(10, -EAGAIN, -EOPNOTSUPP));
  Add(3, [&](io_uring_sqe* sqe) {
    io_uring_prep_write(sqe, fd, "x", 1, 0);
    sqe->rw_flags = kRwfNowait;
  });
  EXPECT_THAT(Result(), AnyOf(1, -EAGAIN, -EOPNOTSUPP));
}

TEST_P(Files, Y3_TheWrongModeOfAccessIsEbadf) {
  CreateWith("file", "text");
  const int reader = Open("file", O_RDONLY);
  const int writer = Open("file", O_WRONLY);
  EXPECT_EQ(Write(reader, "x", 0), -EBADF);
  EXPECT_EQ(ReadUpTo(writer, 4, 0).result, -EBADF);
  EXPECT_EQ(Write(writer, "T", 0), 1);
  EXPECT_EQ(Contents(reader), "Text");
}

TEST_P(Files, Y3_ADirectoryIsEisdir) {
  ASSERT_EQ(MakeDirectory("directory"), 0);
  const int fd = Open("directory", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ReadUpTo(fd, 4, 0).result, -EISDIR);
}

TEST_P(Files, Y3_BadMemoryIsEfault) {
  const int fd = CreateWith("file", "text");
  Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, fd, nullptr, 4, 0); });
  EXPECT_EQ(Result(), -EFAULT);
  Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_write(sqe, fd, nullptr, 4, 0); });
  EXPECT_EQ(Result(), -EFAULT);
  EXPECT_EQ(Contents(fd), "text");
}

TEST_P(Files, Y3_UnknownFlagsAreEopnotsupp) {
  const int fd = CreateWith("file", "text");
  std::array<std::byte, 4> bytes{};
  Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, fd, bytes.data(), bytes.size(), 0);
    sqe->rw_flags = kRwfUnknown;
  });
  EXPECT_EQ(Result(), -EOPNOTSUPP);
  Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_write(sqe, fd, "x", 1, 0);
    sqe->rw_flags = kRwfUnknown;
  });
  EXPECT_EQ(Result(), -EOPNOTSUPP);
}

TEST_P(Files, Y3_AppendingIgnoresTheOffset) {
  CreateWith("file", "begin");
  const int fd = Open("file", O_RDWR | O_APPEND);
  EXPECT_EQ(Write(fd, "+one", 0), 4);
  EXPECT_EQ(Write(fd, "+two", kPosition), 4);
  EXPECT_EQ(Contents(fd), "begin+one+two");
}

TEST_P(Files, Y4_ALimitOfSizeCutsThenRefuses) {
  const int fd = Create("file");
  world().LimitFileSize(100);
  const std::string text = Pattern(0, 80);
  EXPECT_EQ(Write(fd, text, 0), 80);
  EXPECT_EQ(Write(fd, text, 80), 20);
  EXPECT_EQ(Write(fd, text, 100), -EFBIG);
  EXPECT_EQ(Write(fd, "", 100), 0);
  EXPECT_EQ(Write(fd, text, 0), 80);
  EXPECT_EQ(Truncate(fd, 101), -EFBIG);
  EXPECT_EQ(Truncate(fd, 50), 0);
  EXPECT_EQ(Contents(fd).size(), 50U);
}

TEST_P(Files, Y5_DirectTransfersWantAlignment) {
  const int fd = Open("file", O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_GE(fd, 0);
  const Block memory = AlignedMemory(2 * kBlock);
  const auto transfer = [&](bool write, size_t bytes, uint64_t offset) {
    Add(1, [&](io_uring_sqe* sqe) {
      const auto count = static_cast<unsigned>(bytes);
      if (write) io_uring_prep_write(sqe, fd, memory.get(), count, offset);
      if (!write) io_uring_prep_read(sqe, fd, memory.get(), count, offset);
    });
    return Result();
  };
  std::memset(memory.get(), 'd', 2 * kBlock);
  const int block = static_cast<int>(kBlock);
  EXPECT_EQ(transfer(true, kBlock, 0), block);
  EXPECT_EQ(transfer(false, kBlock, 0), block);
  // Legal: any alignment that the device wants, or none.
  EXPECT_THAT(transfer(false, kBlock, 1), AnyOf(-EINVAL, block - 1));
  EXPECT_THAT(transfer(false, 100, 0), AnyOf(-EINVAL, 100));
  EXPECT_THAT(transfer(true, 100, 0), AnyOf(-EINVAL, 100));
  // The last block is short, and the end is the end.
  EXPECT_EQ(Truncate(fd, 5000), 0);
  EXPECT_EQ(transfer(false, 2 * kBlock, 0), 5000);
  EXPECT_EQ(transfer(false, kBlock, 2 * kBlock), 0);
}

TEST_P(Files, Y6_ASyncIsZero) {
  CreateWith("file", "text");
  const int fd = Open("file", O_RDONLY);
  AddFsync(1, fd);
  EXPECT_EQ(Result(), 0);
  AddFsync(2, fd, 0, IORING_FSYNC_DATASYNC);
  EXPECT_EQ(Result(), 0);
  const int directory = OpenAt(AT_FDCWD, Path("."), O_RDONLY | O_DIRECTORY);
  AddFsync(3, directory);
  EXPECT_EQ(Result(), 0);
}

TEST_P(Files, Y6_OtherFlagsAndSocketsAreEinval) {
  const int fd = CreateWith("file", "text");
  AddFsync(1, fd, 0, 2);
  EXPECT_EQ(Result(), -EINVAL);
  const Connection connection = Connect();
  AddFsync(2, connection.fd);
  EXPECT_EQ(Result(), -EINVAL);
  AddFsync(3, 9999);
  EXPECT_EQ(Result(), -EBADF);
}

TEST_P(Files, Y8_ACachedReadIsInline) {
  const int fd = CreateWith("file", "text");
  ASSERT_EQ(ReadUpTo(fd, 4, 0).result, 4);
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE(queue().Nop(Id(1)));
  AddRead(2, fd, bytes, 0);
  ASSERT_TRUE(queue().Nop(Id(3)));
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, 4), Final(3, 0)));
}

TEST_P(Files, Y8_WhatAWorkerDoesIsNeverBeforeTheRestOfItsBatch) {
  const int fd = CreateWith("file", "text");
  struct statx stat;
  AddFsync(1, fd);
  AddTruncate(2, fd, 2);
  Add(3, [&](io_uring_sqe* sqe) {
    io_uring_prep_statx(sqe, fd, "", AT_EMPTY_PATH, STATX_SIZE, &stat);
  });
  ASSERT_TRUE(queue().Nop(Id(4)));
  const std::vector<Seen> all = Await(4);
  if (deferred()) {
    EXPECT_THAT(all.front(), Final(4, 0));
  }
  EXPECT_THAT(all, UnorderedElementsAre(Final(1, 0), Final(2, 0), Final(3, 0), Final(4, 0)));
  EXPECT_THAT(stat.stx_size, AnyOf(2U, 4U));
}

TEST_P(Files, Y9_AWorkerLooksItsDescriptorUp) {
  // What goes to a worker at once: a close of the same batch may come first.
  const int fd = Create("file");
  const int synced = Open("file", O_RDWR);
  AddFsync(1, synced);
  AddClose(2, synced);
  const std::vector<Seen> both = Await(2);
  EXPECT_THAT(ResultOf(both, 1), AnyOf(0, -EBADF));
  EXPECT_EQ(ResultOf(both, 2), 0);
  // A write was tried first, and has its file.
  const int written = Open("file", O_RDWR);
  AddWrite(3, written, "text", 0);
  AddClose(4, written);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(3, 4), Final(4, 0)));
  EXPECT_EQ(Contents(fd), "text");
}

TEST_P(Files, Y10_TruncatingCutsOrAddsZeros) {
  const int fd = CreateWith("file", "0123456789");
  EXPECT_EQ(Truncate(fd, 4), 0);
  EXPECT_EQ(Contents(fd), "0123");
  EXPECT_EQ(Truncate(fd, 6), 0);
  EXPECT_EQ(Contents(fd), std::string("0123\0\0", 6));
}

TEST_P(Files, Y10_TruncatingWantsAFileOpenForWriting) {
  CreateWith("file", "text");
  EXPECT_EQ(Truncate(Open("file", O_RDONLY), 0), -EINVAL);
  EXPECT_EQ(Truncate(Open("file", O_RDWR), -1), -EINVAL);
  EXPECT_EQ(Truncate(Open(".", O_RDONLY), 0), -EINVAL);
  EXPECT_EQ(Truncate(9999, 0), -EBADF);
  EXPECT_EQ(Contents(Open("file", O_RDONLY)), "text");
}

TEST_P(Files, Y11_AllocatingGrowsAndKeepsContents) {
  const int fd = CreateWith("file", "text");
  const auto allocate = [&](int file, int mode, uint64_t offset, uint64_t bytes) {
    Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_fallocate(sqe, file, mode, offset, bytes); });
    return Result();
  };
  constexpr int kKeepSize = 1;
  EXPECT_EQ(allocate(fd, kKeepSize, 0, 100), 0);
  EXPECT_EQ(Contents(fd), "text");
  EXPECT_EQ(allocate(fd, 0, 0, 6), 0);
  EXPECT_EQ(Contents(fd), std::string("text\0\0", 6));
  EXPECT_EQ(allocate(fd, 0, 0, 2), 0);
  EXPECT_EQ(Contents(fd), std::string("text\0\0", 6));
  EXPECT_EQ(allocate(fd, 0, 0, 0), -EINVAL);
  EXPECT_EQ(allocate(Open("file", O_RDONLY), 0, 0, 6), -EBADF);
}

TEST_P(Files, L10_WritesOfOneBatchRunInAnyOrder) {
  const int fd = Create("file");
  constexpr uint32_t kWrites = 8;
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < kWrites; ++i) texts.push_back(Pattern(i * 100, 100));
  for (uint32_t i = 0; i < kWrites; ++i) AddWrite(i, fd, texts[i], i * 100);
  std::vector<Seen> all = Await(kWrites);
  std::sort(all.begin(), all.end(), [](const Seen& a, const Seen& b) { return a.id < b.id; });
  ASSERT_EQ(all.size(), kWrites);
  for (uint32_t i = 0; i < kWrites; ++i) EXPECT_THAT(all[i], Final(i, 100));
  EXPECT_EQ(Contents(fd), Pattern(0, kWrites * 100));
}

TEST_P(Files, L10_WritesAtThePositionFollowEachOther) {
  // Each begins where the one before it ended, but which one comes first is open.
  const int fd = Create("file");
  AddWrite(1, fd, "AAAA", kPosition);
  AddWrite(2, fd, "BB", kPosition);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, 4), Final(2, 2)));
  EXPECT_THAT(Contents(fd), AnyOf("AAAABB", "BBAAAA"));
}

TEST_P(Files, L10_IosqeAsyncSendsAnOperationToAWorker) {
  const int fd = CreateWith("file", "text");
  std::array<std::byte, 4> bytes{};
  AddRead(1, fd, bytes, 0, IOSQE_ASYNC);
  ASSERT_TRUE(queue().Nop(Id(2)));
  const std::vector<Seen> both = Await(2);
  if (deferred()) {
    EXPECT_THAT(both.front(), Final(2, 0));
  }
  EXPECT_THAT(both, UnorderedElementsAre(Final(1, 4), Final(2, 0)));
  EXPECT_EQ(std::memcmp(bytes.data(), "text", 4), 0);
  Add(3, [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); }, IOSQE_ASYNC);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 0)));
  AddWrite(4, 9999, "x", 0, IOSQE_ASYNC);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -EBADF)));
}

TEST_P(Files, L10_ALinkMakesASyncAndARenameWaitForTheirWrite) {
  // How a file is replaced: what is under the name is the old one or the whole new one.
  CreateWith("name", "old");
  const int fd = Create("new");
  AddWrite(1, fd, "whole", 0, IOSQE_IO_LINK);
  Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, 0); }, IOSQE_IO_LINK);
  const char* const from = Path("new");
  const char* const to = Path("name");
  Add(3, [&](io_uring_sqe* sqe) { io_uring_prep_renameat(sqe, AT_FDCWD, from, AT_FDCWD, to, 0); });
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 5), Final(2, 0), Final(3, 0)));
  EXPECT_EQ(Contents(Open("name", O_RDONLY)), "whole");
}

TEST_P(Files, L1_AShortReadOfAFileBreaksALink) {
  const int fd = CreateWith("file", "text");
  std::array<std::byte, 8> bytes{};
  AddRead(1, fd, std::span(bytes).first(4), 0, IOSQE_IO_LINK);
  AddRead(2, fd, bytes, 0, IOSQE_IO_LINK);
  AddFsync(3, fd);
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 4), Final(2, 4), Final(3, -ECANCELED)));
}

TEST_P(Files, L1_AnErrorOfATransferOrAnOpenBreaksALink) {
  const int fd = Open("file", O_RDONLY | O_CREAT);
  AddWrite(1, fd, "text", 0, IOSQE_IO_LINK);
  AddFsync(2, fd);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, -EBADF), Final(2, -ECANCELED)));
  const char* const none = Path("none");
  Add(
      3, [&](io_uring_sqe* sqe) { io_uring_prep_openat(sqe, AT_FDCWD, none, O_RDONLY, 0); },
      IOSQE_IO_LINK);
  AddFsync(4, fd);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, -ENOENT), Final(4, -ECANCELED)));
  AddFsync(5, 9999, IOSQE_IO_LINK);
  ASSERT_TRUE(queue().Nop(Id(6)));
  EXPECT_THAT(Await(2), ElementsAre(Final(5, -EBADF), Final(6, -ECANCELED)));
}

TEST_P(Files, L11_AnErrorOfASyncOrOfANameBreaksNoLink) {
  const int fd = Open("file", O_RDONLY | O_CREAT);
  const Connection connection = Connect();
  const char* const none = Path("none");
  const char* const other = Path("other");
  struct statx stat;
  AddFsync(1, connection.fd, IOSQE_IO_LINK);
  AddTruncate(2, fd, 0, IOSQE_IO_LINK);
  Add(3, [&](io_uring_sqe* sqe) { io_uring_prep_fallocate(sqe, fd, 0, 0, 1); }, IOSQE_IO_LINK);
  Add(
      4, [&](io_uring_sqe* sqe) { io_uring_prep_statx(sqe, AT_FDCWD, none, 0, 0, &stat); },
      IOSQE_IO_LINK);
  Add(5, [&](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, AT_FDCWD, none, 0); }, IOSQE_IO_LINK);
  Add(
      6,
      [&](io_uring_sqe* sqe) { io_uring_prep_renameat(sqe, AT_FDCWD, none, AT_FDCWD, other, 0); },
      IOSQE_IO_LINK);
  ASSERT_TRUE(queue().Nop(Id(7)));
  EXPECT_THAT(Await(7),
              ElementsAre(Final(1, -EINVAL), Final(2, -EINVAL), Final(3, -EBADF), Final(4, -ENOENT),
                          Final(5, -ENOENT), Final(6, -ENOENT), Final(7, 0)));
}

TEST_P(Files, L11_SkippingSuccessHidesTheirErrors) {
  const Connection connection = Connect();
  const char* const none = Path("none");
  AddFsync(1, connection.fd, IOSQE_CQE_SKIP_SUCCESS);
  Add(
      2, [&](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, AT_FDCWD, none, 0); },
      IOSQE_CQE_SKIP_SUCCESS);
  Submit();
  ExpectQuiet();
}

TEST_P(Files, C10_ACancelledWriteHasWrittenNothing) {
  const int fd = CreateWith("file", "before");
  AddWrite(1, fd, "AFTER!", 0);
  const bool done = CancelFirst(6);
  EXPECT_EQ(Contents(fd), done ? "AFTER!" : "before");
}

TEST_P(Files, C10_ASyncIsCancelledOrDone) {
  const int fd = CreateWith("file", "text");
  AddFsync(1, fd);
  (void)CancelFirst(0);  // Both are legal.
  // Later it may have begun.
  AddFsync(1, fd);
  Submit();
  std::vector<Seen> all = Visible();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  for (const Seen& seen : Await(2 - all.size())) all.push_back(seen);
  const int result = ResultOf(all, 1);
  const int cancel = ResultOf(all, 2);
  if (result == -ECANCELED) {
    EXPECT_EQ(cancel, 0);
  } else {
    EXPECT_EQ(result, 0);
    EXPECT_THAT(cancel, AnyOf(-ENOENT, -EALREADY));
  }
}

TEST_P(Files, C14_WhatAWorkerIsAtIsNotCounted) {
  const int fd = CreateWith("file", "text");
  AddFsync(1, fd);
  Submit();
  std::vector<Seen> all = Visible();
  io_uring_sqe& cancel = Raw(IORING_OP_ASYNC_CANCEL, 2);
  cancel.addr = Id(1).Pack();
  cancel.cancel_flags = IORING_ASYNC_CANCEL_ALL;
  for (const Seen& seen : Await(2 - all.size())) all.push_back(seen);
  EXPECT_EQ(ResultOf(all, 2), ResultOf(all, 1) == -ECANCELED ? 1 : 0);
}

TEST_P(Files, C14_WhatWaitsForAWorkerIsCancelledInItsOrder) {
  const int fd = CreateWith("file", "text");
  for (uint32_t id = 1; id <= 4; ++id) AddWrite(id, fd, "more", 4);
  Raw(IORING_OP_ASYNC_CANCEL, 5).cancel_flags = IORING_ASYNC_CANCEL_ANY;
  uint32_t last = 0;
  for (const Seen& seen : Await(5)) {
    if (seen.result != -ECANCELED) continue;  // Legal: workers have done it, or are at it.
    EXPECT_GT(seen.id, last);
    last = seen.id;
  }
}

TEST_P(Files, C10_AReadIsCancelledOrDone) {
  const int fd = CreateWith("file", "text");
  std::array<std::byte, 4> bytes{};
  AddRead(1, fd, bytes, 0);
  EXPECT_TRUE(CancelFirst(4));  // It was inline.
  AddRead(1, fd, bytes, 0, IOSQE_ASYNC);
  (void)CancelFirst(4);  // Both are legal.
  const int direct = Open("direct", O_RDWR | O_CREAT | O_DIRECT);
  const Block memory = AlignedMemory(kBlock);
  std::memset(memory.get(), 'd', kBlock);
  AddWrite(3, direct, {reinterpret_cast<const char*>(memory.get()), kBlock}, 0);
  ASSERT_THAT(Await(1), ElementsAre(Final(3, kBlock)));
  AddRead(1, direct, {memory.get(), kBlock}, 0);
  (void)CancelFirst(kBlock);  // What is the disk's is not found.
}

TEST_P(Files, Q5_ALinkedTimeoutMayBeTooLateForAWorker) {
  const int fd = CreateWith("file", "text");
  const __kernel_timespec soon{.tv_sec = 0, .tv_nsec = 1000};
  const auto limit = [&] {
    io_uring_sqe& timeout = Raw(IORING_OP_LINK_TIMEOUT, 2);
    timeout.addr = reinterpret_cast<uint64_t>(&soon);  // The ABI carries pointers so.
    timeout.len = 1;
  };
  const auto expect_legal = [&](int result_if_done) {
    const std::vector<Seen> both = Await(2);
    if (ResultOf(both, 1) == -ECANCELED) {
      EXPECT_EQ(ResultOf(both, 2), -ETIME);
      return;
    }
    EXPECT_EQ(ResultOf(both, 1), result_if_done);
    EXPECT_THAT(ResultOf(both, 2), AnyOf(-ECANCELED, -ENOENT, -EALREADY, -ETIME));
  };
  AddFsync(1, fd, IOSQE_IO_LINK);
  limit();
  expect_legal(0);
  Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_fallocate(sqe, fd, 0, 0, kBlock); }, IOSQE_IO_LINK);
  limit();
  expect_legal(0);
  AddWrite(1, fd, "more", 4, IOSQE_IO_LINK);
  limit();
  expect_legal(4);
}

TEST_P(Files, B5_AReadOfAFileTakesABufferEvenForTheEnd) {
  const int fd = CreateWith("file", "0123456789");
  const BufferGroup& buffers = UseBuffers(1, 8, 8);
  const auto read = [&](int file, unsigned bytes, uint64_t offset) {
    Add(
        1,
        [&](io_uring_sqe* sqe) {
          io_uring_prep_read(sqe, file, nullptr, bytes, offset);
          sqe->buf_group = buffers.group();
        },
        IOSQE_BUFFER_SELECT);
    return AwaitOne();
  };
  const Seen whole = read(fd, 0, 0);
  EXPECT_EQ(buffers.BytesOf(whole), "01234567");
  const Seen capped = read(fd, 3, 5);
  EXPECT_EQ(buffers.BytesOf(capped), "567");
  EXPECT_EQ(capped.buffer(), 1);
  const Seen end = read(fd, 4, 100);
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.buffer(), 2);
  // Errors take one, too.
  const Seen negative = read(fd, 4, ~uint64_t{0} - 1);
  EXPECT_THAT(negative, Final(1, -EINVAL));
  EXPECT_EQ(negative.buffer(), 3);
  const Seen refused = read(Open("file", O_WRONLY), 4, 0);
  EXPECT_THAT(refused, Final(1, -EBADF));
  EXPECT_EQ(refused.buffer(), 4);
}

TEST_P(Files, B5_WithoutABufferAReadOfAFileIsEnobufs) {
  const int fd = CreateWith("file", "0123456789");
  const BufferGroup& buffers = UseBuffers(1, 1, 8);
  for (const int expected : {4, -ENOBUFS}) {
    Add(
        1,
        [&](io_uring_sqe* sqe) {
          io_uring_prep_read(sqe, fd, nullptr, 4, 0);
          sqe->buf_group = buffers.group();
        },
        IOSQE_BUFFER_SELECT);
    const Seen seen = AwaitOne();
    EXPECT_THAT(seen, Final(1, expected));
    EXPECT_EQ(seen.buffer().has_value(), expected > 0);
  }
}

}  // namespace
}  // namespace orrery::conformance

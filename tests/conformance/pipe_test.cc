// Pipes: what their reads, writes and polls wait for, and what the end of either side does to the
// other.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr uint8_t kOpPipe = 62;           // IORING_OP_PIPE
constexpr uint8_t kOpReadMultishot = 49;  // IORING_OP_READ_MULTISHOT
constexpr uint32_t kRwfNowait = 8;
constexpr size_t kPipeBytes = 65536;
constexpr size_t kPageBytes = 4096;
constexpr uint16_t kGroup = 7;

struct Ends {
  int read = -1;
  int write = -1;
};

class Pipes : public Conformance {
 protected:
  void MakePipe(uint32_t id, std::array<int, 2>& ends, uint32_t flags = O_CLOEXEC,
                uint32_t file_index = 0) {
    Add(id, [&](io_uring_sqe* sqe) {
      sqe->opcode = kOpPipe;
      sqe->addr = reinterpret_cast<uint64_t>(ends.data());  // The ABI carries a pointer so.
      sqe->rw_flags = static_cast<__kernel_rwf_t>(flags);
      sqe->file_index = file_index;
    });
  }
  Ends Pipe(uint32_t flags = O_CLOEXEC) {
    std::array<int, 2> ends{-1, -1};
    MakePipe(800, ends, flags);
    EXPECT_THAT(AwaitOne(), Final(800, 0));
    return {.read = ends[0], .write = ends[1]};
  }
  void Read(uint32_t id, int fd, std::span<std::byte> bytes, uint32_t flags = 0) {
    ASSERT_TRUE(queue().Read(File::Descriptor(fd), bytes, SubmissionQueue::kCurrentOffset, Id(id)));
    LastSqe().rw_flags = static_cast<__kernel_rwf_t>(flags);
  }
  void Write(uint32_t id, int fd, std::string_view bytes, uint32_t flags = 0) {
    ASSERT_TRUE(queue().Write(File::Descriptor(fd), AsBytes(bytes), SubmissionQueue::kCurrentOffset,
                              Id(id)));
    LastSqe().rw_flags = static_cast<__kernel_rwf_t>(flags);
  }
  void ReadMultishot(uint32_t id, int fd) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_rw(kOpReadMultishot, sqe, fd, nullptr, 0, ~uint64_t{0});
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
    Submit();
  }
  void ReadIntoGroup(uint32_t id, int fd, unsigned length) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_read(sqe, fd, nullptr, length, ~uint64_t{0});
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
  }
  void Poll(uint32_t id, int fd, uint32_t events) {
    Add(id, [&](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd, events); });
  }
  void FillUp(const Ends& pipe) {
    const std::string bytes = Pattern(0, kPipeBytes);
    Write(801, pipe.write, bytes);
    EXPECT_THAT(AwaitOne(), Final(801, kPipeBytes));
  }
  void CloseBoth(const Ends& pipe) {
    kernel().Close(pipe.read);
    kernel().Close(pipe.write);
  }
  std::array<std::byte, 16> memory_{};
  std::string Text(size_t bytes) const {
    // Bytes that were read are text to these tests.
    return {reinterpret_cast<const char*>(memory_.data()), bytes};
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Pipes, AllWorlds(), WorldName);

TEST_P(Pipes, J1_TheRingMakesThemInline) {
  std::array<int, 2> ends{-1, -1};
  MakePipe(1, ends);
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
  EXPECT_GE(ends[0], 0);
  EXPECT_GT(ends[1], ends[0]);
  Write(2, ends[1], "abc");
  Read(3, ends[0], memory_);
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(2, 3), Final(3, 3)));
  EXPECT_EQ(Text(3), "abc");
  CloseBoth({.read = ends[0], .write = ends[1]});
}

TEST_P(Pipes, J1_UnknownFlagsAndMemory) {
  std::array<int, 2> ends{-1, -1};
  MakePipe(1, ends, 1U << 30);
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  MakePipe(2, ends);
  LastSqe().addr = 0;
  EXPECT_THAT(AwaitOne(), Final(2, -EFAULT));
}

TEST_P(Pipes, J1_IntoFixedSlots) {
  ASSERT_TRUE(RegisterSparseFiles(ring(), 8));
  std::array<int, 2> ends{-1, -1};
  MakePipe(1, ends, 0, 4);
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  EXPECT_THAT(ends, ElementsAre(3, 4));
  MakePipe(2, ends, 0, IORING_FILE_INDEX_ALLOC);
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  EXPECT_NE(ends[0], ends[1]);
  ASSERT_TRUE(
      queue().Write(File::Fixed(ends[1]), AsBytes("abc"), SubmissionQueue::kCurrentOffset, Id(3)));
  ASSERT_TRUE(queue().Read(File::Fixed(ends[0]), memory_, SubmissionQueue::kCurrentOffset, Id(4)));
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 3), Final(4, 3)));
}

TEST_P(Pipes, J2_AReadGivesWhatIsThere) {
  const Ends pipe = Pipe();
  Write(1, pipe.write, "abcdefghijklmnopqrstuvwxyz");
  EXPECT_THAT(AwaitOne(), Final(1, 26));
  Read(2, pipe.read, memory_);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, 16));
  EXPECT_FALSE(seen.not_empty());
  Read(3, pipe.read, memory_);
  EXPECT_THAT(AwaitOne(), Final(3, 10));
  EXPECT_EQ(Text(10), "qrstuvwxyz");
  Read(4, pipe.read, {});
  EXPECT_THAT(AwaitOne(), Final(4, 0));
  // Behind the last writer is the end, again and again.
  Write(5, pipe.write, "last");
  EXPECT_THAT(AwaitOne(), Final(5, 4));
  kernel().Close(pipe.write);
  for (const int result : {4, 0, 0}) {
    Read(6, pipe.read, memory_);
    EXPECT_THAT(AwaitOne(), Final(6, result));
  }
  kernel().Close(pipe.read);
}

TEST_P(Pipes, J2_AnyOffsetWillDo) {
  const Ends pipe = Pipe();
  ASSERT_TRUE(queue().Write(File::Descriptor(pipe.write), AsBytes("abc"), 5, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  ASSERT_TRUE(queue().Read(File::Descriptor(pipe.read), memory_, 7, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, 3));
  CloseBoth(pipe);
}

TEST_P(Pipes, R3_AReadOfAnEmptyPipeWaits) {
  for (const uint32_t flags : {0U, static_cast<uint32_t>(O_NONBLOCK)}) {
    const Ends pipe = Pipe(flags);
    Read(1, pipe.read, memory_);
    Submit();
    ExpectQuiet();
    Write(2, pipe.write, "abc");
    EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, 3), Final(1, 3)));
    Read(3, pipe.read, memory_, kRwfNowait);
    EXPECT_THAT(AwaitOne(), Final(3, -EAGAIN));
    CloseBoth(pipe);
  }
}

TEST_P(Pipes, T13_AWriteTakesWhatFits) {
  const Ends pipe = Pipe();
  const std::string bytes = Pattern(0, 1 << 20);
  Write(1, pipe.write, bytes);
  EXPECT_THAT(AwaitOne(), Final(1, kPipeBytes));
  Write(2, pipe.write, bytes, kRwfNowait);
  EXPECT_THAT(AwaitOne(), Final(2, -EAGAIN));
  Write(3, pipe.write, bytes);
  Submit();
  ExpectQuiet();
  // Room is counted in pages.
  std::string page(kPageBytes, '-');
  Read(4, pipe.read, std::as_writable_bytes(std::span(page.data(), kPageBytes - 1)));
  EXPECT_THAT(AwaitOne(), Final(4, kPageBytes - 1));
  ExpectQuiet();
  Read(5, pipe.read, std::as_writable_bytes(std::span(page.data(), 1)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(5, 1), Final(3, kPageBytes)));
  CloseBoth(pipe);
}

TEST_P(Pipes, T13_AFullPipeMakesWritesWaitWithoutBlockingToo) {
  const Ends pipe = Pipe(O_NONBLOCK);
  FillUp(pipe);
  Write(1, pipe.write, "abc");
  Submit();
  ExpectQuiet();
  std::string page(kPageBytes, '-');
  Read(2, pipe.read, std::as_writable_bytes(std::span(page)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, kPageBytes), Final(1, 3)));
  EXPECT_EQ(page, Pattern(0, kPageBytes));
  CloseBoth(pipe);
}

TEST_P(Pipes, T13_SmallWritesShareAPage) {
  const Ends pipe = Pipe();
  // Sixteen pages of two writes each.
  const std::string half = Pattern(0, kPageBytes / 2);
  for (int count = 0; count < 32; ++count) {
    Write(1, pipe.write, half, kRwfNowait);
    ASSERT_THAT(AwaitOne(), Final(1, kPageBytes / 2));
  }
  Write(2, pipe.write, "x", kRwfNowait);
  EXPECT_THAT(AwaitOne(), Final(2, -EAGAIN));
  CloseBoth(pipe);
}

TEST_P(Pipes, T13_AWriteThatDoesNotFitIntoThePageTakesAnother) {
  const Ends pipe = Pipe();
  const std::string most = Pattern(0, 2500);
  for (int count = 0; count < 16; ++count) {
    Write(1, pipe.write, most, kRwfNowait);
    ASSERT_THAT(AwaitOne(), Final(1, 2500));
  }
  Write(2, pipe.write, most, kRwfNowait);
  EXPECT_THAT(AwaitOne(), Final(2, -EAGAIN));
  Write(3, pipe.write, "abc", kRwfNowait);
  EXPECT_THAT(AwaitOne(), Final(3, 3));
  CloseBoth(pipe);
}

TEST_P(Pipes, T8_AWriteWithoutAReaderRaisesSigpipe) {
  const Ends pipe = Pipe();
  EXPECT_EQ(world().BrokenPipeSignals(), 0U);
  kernel().Close(pipe.read);
  Write(1, pipe.write, "abc");
  EXPECT_THAT(AwaitOne(), Final(1, -EPIPE));
  EXPECT_EQ(world().BrokenPipeSignals(), 1U);
  kernel().Close(pipe.write);
}

TEST_P(Pipes, T8_AWriteThatWaitsForARoomThatNeverComes) {
  const Ends pipe = Pipe();
  EXPECT_EQ(world().BrokenPipeSignals(), 0U);
  FillUp(pipe);
  Write(1, pipe.write, "abc");
  Submit();
  ExpectQuiet();
  kernel().Close(pipe.read);
  EXPECT_THAT(AwaitOne(), Final(1, -EPIPE));
  EXPECT_EQ(world().BrokenPipeSignals(), 1U);
  kernel().Close(pipe.write);
}

TEST_P(Pipes, T8_SendsDoNotWritesDo) {
  const Connection connection = Connect();
  EXPECT_EQ(world().BrokenPipeSignals(), 0U);
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("abc"), 0, Id(2)));
  LastSqe().msg_flags = 0;
  EXPECT_THAT(AwaitOne(), Final(2, -EPIPE));
  EXPECT_EQ(world().BrokenPipeSignals(), 0U);
  Write(3, connection.fd, "abc");
  EXPECT_THAT(AwaitOne(), Final(3, -EPIPE));
  EXPECT_EQ(world().BrokenPipeSignals(), 1U);
}

TEST_P(Pipes, J3_ClosingAnEndEndsWhatWaitsAtTheOther) {
  const Ends pipe = Pipe();
  Read(1, pipe.read, memory_);
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(queue().Close(File::Descriptor(pipe.write), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, 0), Final(1, 0)));
  kernel().Close(pipe.read);
}

TEST_P(Pipes, X8_AnEndIsClosedBehindTheTaskWork) {
  const Ends pipe = Pipe();
  Read(1, pipe.read, memory_);
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(queue().Close(File::Descriptor(pipe.write), Id(2)));
  EXPECT_EQ(Enter(), 1U);
  const std::vector<Seen> seen = Visible();
  if (deferred()) {
    EXPECT_THAT(seen, ElementsAre(Final(2, 0)));
    EXPECT_THAT(AwaitOne(), Final(1, 0));
  } else {
    EXPECT_THAT(seen, ElementsAre(Final(2, 0), Final(1, 0)));
  }
  kernel().Close(pipe.read);
}

TEST_P(Pipes, J3_ARequestKeepsItsEndOpen) {
  const Ends pipe = Pipe();
  FillUp(pipe);
  Write(1, pipe.write, "tail");
  Submit();
  kernel().Close(pipe.write);
  std::string bytes(kPipeBytes, '-');
  Read(2, pipe.read, std::as_writable_bytes(std::span(bytes)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, kPipeBytes), Final(1, 4)));
  for (const int result : {4, 0}) {
    Read(3, pipe.read, memory_);
    EXPECT_THAT(AwaitOne(), Final(3, result));
  }
  kernel().Close(pipe.read);
}

TEST_P(Pipes, J4_EachEndDoesOneThing) {
  const Ends pipe = Pipe();
  Read(1, pipe.write, memory_);
  EXPECT_THAT(AwaitOne(), Final(1, -EBADF));
  Write(2, pipe.read, "abc");
  EXPECT_THAT(AwaitOne(), Final(2, -EBADF));
  ASSERT_TRUE(queue().Receive(File::Descriptor(pipe.read), memory_, 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, -ENOTSOCK));
  ASSERT_TRUE(queue().Send(File::Descriptor(pipe.write), AsBytes("abc"), 0, Id(4)));
  EXPECT_THAT(AwaitOne(), Final(4, -ENOTSOCK));
  CloseBoth(pipe);
}

TEST_P(Pipes, M15_TheLastBufferDoesNotEndAMultishot) {
  const Ends pipe = Pipe();
  (void)UseBuffers(kGroup, 1, 8);
  ReadMultishot(1, pipe.read);
  Write(2, pipe.write, "abc");
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, 3), More(1, 3)));
  ExpectQuiet();
  Write(3, pipe.write, "d");
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(3, 1), Final(1, -ENOBUFS)));
  CloseBoth(pipe);
}

TEST_P(Pipes, J4_TheWrongEndIsRefusedAtOnce) {
  const Ends pipe = Pipe();
  Write(1, pipe.read, "abc");
  Nop(2);
  EXPECT_THAT(Await(2), testing::ElementsAre(Final(1, -EBADF), Final(2, 0)));
  CloseBoth(pipe);
}

TEST_P(Pipes, J4_ABufferIsLookedForBeforeTheEndIs) {
  const Ends pipe = Pipe();
  (void)UseEmptyGroup(kGroup, 2, 8);
  ReadIntoGroup(1, pipe.write, 0);
  EXPECT_THAT(AwaitOne(), Final(1, -ENOBUFS));
  ReadMultishot(2, pipe.write);
  EXPECT_THAT(AwaitOne(), Final(2, -ENOBUFS));
  CloseBoth(pipe);
}

TEST_P(Pipes, J5_APollSeesBytesAndTheEnd) {
  const Ends pipe = Pipe();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(pipe.read), POLLIN, Id(1)));
  Submit();
  ExpectQuiet();
  for (const uint32_t id : {2U, 3U}) {  // Again, although nobody reads.
    Write(id, pipe.write, "a");
    EXPECT_THAT(Await(2), UnorderedElementsAre(Final(id, 1), More(1, POLLIN)));
  }
  kernel().Close(pipe.write);
  EXPECT_THAT(AwaitOne(), More(1, POLLIN | POLLHUP));
  Read(4, pipe.read, memory_);
  EXPECT_THAT(AwaitOne(), Final(4, 2));
  Poll(5, pipe.read, POLLIN);
  EXPECT_THAT(AwaitOne(), Final(5, POLLHUP));
  kernel().Close(pipe.read);
}

TEST_P(Pipes, J5_APollSeesRoomAndThatNobodyReads) {
  const Ends pipe = Pipe();
  Poll(1, pipe.write, POLLOUT);
  EXPECT_THAT(AwaitOne(), Final(1, POLLOUT));
  FillUp(pipe);
  Poll(2, pipe.write, POLLOUT);
  Submit();
  ExpectQuiet();
  std::string page(kPageBytes, '-');
  Read(3, pipe.read, std::as_writable_bytes(std::span(page)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(3, kPageBytes), Final(2, POLLOUT)));
  Poll(4, pipe.write, 0);
  Submit();
  ExpectQuiet();
  kernel().Close(pipe.read);
  EXPECT_THAT(AwaitOne(), Final(4, POLLERR));
  kernel().Close(pipe.write);
}

TEST_P(Pipes, M15_AMultishotReadTakesABufferForEachChunk) {
  const Ends pipe = Pipe();
  const BufferGroup& buffers = UseBuffers(kGroup, 8, 4);
  ReadMultishot(1, pipe.read);
  for (const std::string_view text : {"ab", "cde"}) {
    Write(2, pipe.write, text);
    std::vector<Seen> seen = Await(2);
    ASSERT_THAT(seen, UnorderedElementsAre(Final(2, text.size()), More(1, text.size())));
    const Seen& read = seen[0].id == 1 ? seen[0] : seen[1];
    EXPECT_EQ(buffers.BytesOf(read), text);
    EXPECT_FALSE(read.not_empty());
  }
  kernel().Close(pipe.write);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.flags, 0U);
  kernel().Close(pipe.read);
}

TEST_P(Pipes, M15_AMultishotReadTakesAllThatIsThere) {
  const Ends pipe = Pipe();
  (void)UseBuffers(kGroup, 8, 4);
  ReadMultishot(1, pipe.read);
  Write(2, pipe.write, "0123456789");
  const std::vector<Seen> seen = Await(4);
  EXPECT_THAT(seen, UnorderedElementsAre(Final(2, 10), More(1, 4), More(1, 4), More(1, 2)));
  Write(3, pipe.write, Pattern(0, 100));
  std::vector<Seen> all;
  while (all.empty() || all.back().id == 3 || all.back().more()) {
    const std::vector<Seen> some = Await(1);
    ASSERT_FALSE(some.empty());
    all.insert(all.end(), some.begin(), some.end());
  }
  EXPECT_THAT(all.back(), Final(1, -ENOBUFS));
  CloseBoth(pipe);
}

TEST_P(Pipes, B5_TheEndTakesABuffer) {
  const Ends pipe = Pipe();
  const BufferGroup& buffers = UseBuffers(kGroup, 4, 8);
  ReadIntoGroup(1, pipe.read, 0);
  Submit();
  ExpectQuiet();
  Write(2, pipe.write, "abc");
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, 3), Final(1, 3)));
  Write(3, pipe.write, "defgh");
  EXPECT_THAT(AwaitOne(), Final(3, 5));
  ReadIntoGroup(4, pipe.read, 2);
  const Seen part = AwaitOne();
  EXPECT_THAT(part, Final(4, 2));
  ASSERT_EQ(part.buffer(), 1);
  EXPECT_EQ(buffers.BytesOf(part), "de");
  kernel().Close(pipe.write);
  ReadIntoGroup(5, pipe.read, 0);
  EXPECT_THAT(AwaitOne(), Final(5, 3));
  ReadIntoGroup(6, pipe.read, 0);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(6, 0));
  EXPECT_EQ(end.buffer(), 3);
  ReadIntoGroup(7, pipe.read, 0);
  EXPECT_THAT(AwaitOne(), Final(7, -ENOBUFS));
  kernel().Close(pipe.read);
}

TEST_P(Pipes, B4_ACancelledReadTakesNoBuffer) {
  const Ends pipe = Pipe();
  (void)UseBuffers(kGroup, 1, 8);
  ReadIntoGroup(1, pipe.read, 0);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  for (const Seen& seen : Await(2)) {
    EXPECT_EQ(seen.result, seen.id == 1 ? -ECANCELED : 0);
    EXPECT_EQ(seen.buffer(), std::nullopt);
  }
  Write(3, pipe.write, "abc");
  EXPECT_THAT(AwaitOne(), Final(3, 3));
  ReadIntoGroup(4, pipe.read, 0);
  EXPECT_THAT(AwaitOne(), Final(4, 3));
  CloseBoth(pipe);
}

TEST_P(Pipes, L1_AShortReadBreaksALink) {
  const Ends pipe = Pipe();
  Write(1, pipe.write, "abc");
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  Read(2, pipe.read, memory_);
  LastSqe().flags |= IOSQE_IO_LINK;
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 3), Final(3, -ECANCELED)));
  CloseBoth(pipe);
}

TEST_P(Pipes, T9_VectorsAreGatheredAndScattered) {
  const Ends pipe = Pipe();
  std::string one = "one,";
  std::string two = "two";
  const std::array<iovec, 3> out = {iovec{.iov_base = one.data(), .iov_len = one.size()},
                                    iovec{.iov_base = nullptr, .iov_len = 0},
                                    iovec{.iov_base = two.data(), .iov_len = two.size()}};
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(pipe.write), out,
                                  SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 7));
  const std::array<iovec, 2> in = {iovec{.iov_base = memory_.data(), .iov_len = 3},
                                   iovec{.iov_base = memory_.data() + 8, .iov_len = 8}};
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_readv(sqe, pipe.read, in.data(), in.size(), ~uint64_t{0});
  });
  EXPECT_THAT(AwaitOne(), Final(2, 7));
  EXPECT_EQ(Text(3), "one");
  EXPECT_EQ(std::memcmp(memory_.data() + 8, ",two", 4), 0);
  Write(3, pipe.write, "");
  EXPECT_THAT(AwaitOne(), Final(3, 0));
  CloseBoth(pipe);
}

}  // namespace
}  // namespace orrery::conformance

// Operations on files: each choice of the model. What they answer without one is checked against
// Linux by the conformance tests.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr size_t kBlock = 512;

class FileTest : public ::testing::Test {
 protected:
  void Open(uint64_t user_data, const char* path, int flags) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_openat(sqe, AT_FDCWD, path, flags, 0644);
    });
  }
  int Opened(const char* path, int flags = O_RDWR | O_CREAT) {
    Open(kHelper, path, flags);
    return One();
  }
  void Write(uint64_t user_data, int fd, std::string_view text, uint64_t offset = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, fd, text.data(), static_cast<unsigned>(text.size()), offset);
    });
  }
  void Read(uint64_t user_data, int fd, uint8_t flags = 0, int rw_flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, fd, memory_.data(), memory_.size(), 0);
      sqe->flags |= flags;
      sqe->rw_flags = rw_flags;
    });
  }
  void Fsync(uint64_t user_data, int fd) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, 0); });
  }
  int One() {
    const Cqes cqes = machine_.Look();
    EXPECT_EQ(cqes.size(), 1U);
    return cqes.empty() ? -1 : cqes[0].res;
  }
  std::string Text(size_t bytes) {
    return {reinterpret_cast<const char*>(memory_.data()), bytes};  // Bytes are text here.
  }
  std::string Contents(int fd) {
    Read(kHelper, fd);
    const int bytes = One();
    return Text(bytes > 0 ? static_cast<size_t>(bytes) : 0);
  }

  static constexpr uint64_t kHelper = 99;
  TestMachine machine_;
  alignas(kBlock) std::array<std::byte, kBlock> memory_{};
};

TEST_F(FileTest, AHealthyMachineDoesWhatAWorkerDoesAfterItsBatch) {  // Fact Y8.
  Open(1, "file", O_RDWR | O_CREAT);
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 4, 0}}));
  Open(3, "file", O_RDONLY);
  machine_.Nop(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 5, 0}, {4, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_descriptors(), 2U);
  machine_.Close(5, 4);
  machine_.Close(6, 5);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}, {6, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
}

TEST_F(FileTest, ANameThatIsNotInMemoryIsAWorkers) {  // Fact Y8.
  Opened("file");
  machine_.choice.Always(Site::kNameCold, 1);
  Open(1, "file", O_RDONLY);
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 5, 0}}));
}

TEST_F(FileTest, WorkersTakeABatchInAnyOrder) {  // Fact L10.
  const int fd = Opened("file");
  machine_.choice.Always(Site::kWorkerOrder, 1);
  Write(1, fd, "1111");
  Write(2, fd, "22");
  Write(3, fd, "3");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 2, 0}, {3, 1, 0}, {1, 4, 0}}));
  EXPECT_EQ(Contents(fd), "1111");
}

TEST_F(FileTest, AWorkerMayBeLateOrEarly) {  // Fact L10.
  const int fd = Opened("file");
  machine_.choice.Script(Site::kWorkerDelay, machine_.ring().number(), 1, 4);
  machine_.choice.Script(Site::kWorkerDelay, machine_.ring().number(), 2, 1);
  Write(1, fd, "late");
  Write(2, fd, "early");
  Read(3, fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 5, 0}, {2, 5, 0}}));
  EXPECT_EQ(Text(5), "early");
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, 0}}));
  EXPECT_EQ(Contents(fd), "latey");
}

TEST_F(FileTest, ACancelHasThreeOutcomes) {  // Fact C10.
  const int fd = Opened("file");
  Write(1, fd, "one");
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  EXPECT_EQ(Contents(fd), "");
  machine_.choice.Always(Site::kWorkerStarted, 1);
  Write(3, fd, "three");
  machine_.Cancel(4, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -EALREADY, 0}, {3, 5, 0}}));
  EXPECT_EQ(Contents(fd), "three");
  machine_.choice.Always(Site::kWorkerDelay, 1);
  Write(5, fd, "fives");
  machine_.Cancel(6, 5);
  EXPECT_EQ(machine_.Look(), (Cqes{{6, -ENOENT, 0}, {5, 5, 0}}));
  EXPECT_EQ(Contents(fd), "fives");
}

TEST_F(FileTest, AReadThatWaitsForTheDiskIsNotFoundByACancel) {  // Facts Y2, C10.
  const int fd = Opened("file");
  Write(1, fd, "text");
  ASSERT_EQ(One(), 4);
  machine_.choice.Always(Site::kReadCold, 4);
  Read(2, fd);
  machine_.Cancel(3, 2);
  machine_.Add(4,
               [](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY); });
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -ENOENT, 0}, {4, 0, 0}}));
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 4, 0}}));
  EXPECT_EQ(Text(4), "text");
  constexpr int kNowait = 8;
  Read(5, fd, 0, kNowait);
  EXPECT_EQ(One(), -EAGAIN);
}

TEST_F(FileTest, ARingMayGoWhileItsOperationsAreElsewhere) {
  const int fd = Opened("file");
  machine_.choice.Always(Site::kReadCold, 4);
  machine_.choice.Always(Site::kWorkerDelay, 4);
  Read(1, fd);
  Fsync(2, fd);
  Read(3, fd, IOSQE_ASYNC);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 3U);
  machine_.DestroyRing();
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
  machine_.kernel.AdvanceTo(kSecond);
}

TEST_F(FileTest, MemoryOfAReadIsTheKernelsUntilItEnds) {
  const int fd = Opened("file");
  Write(1, fd, "text");
  ASSERT_EQ(One(), 4);
  machine_.choice.Always(Site::kReadCold, 4);
  Read(2, fd);
  EXPECT_EQ(machine_.Look(), Cqes{});
  memory_[1] = std::byte{'x'};
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 4, 0}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"receive-memory-written"});
}

TEST_F(FileTest, PayloadOfAWriteMayNotChange) {
  const int fd = Opened("file");
  machine_.choice.Always(Site::kWorkerDelay, 4);
  std::string text = "text";
  Write(1, fd, text);
  EXPECT_EQ(machine_.Look(), Cqes{});
  text[0] = 'n';
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, 0}}));
  EXPECT_EQ(machine_.observer.violations,
            std::vector<std::string>{"send-memory-changed-in-flight"});
}

TEST_F(FileTest, TransfersMayBeShort) {
  const int fd = Opened("file");
  machine_.choice.Always(Site::kWriteFileShort, 3);
  Write(1, fd, "0123456789");
  EXPECT_EQ(One(), 3);
  machine_.choice.Never(Site::kWriteFileShort);
  EXPECT_EQ(Contents(fd), "012");
  machine_.choice.Always(Site::kReadFileShort, 2);
  EXPECT_EQ(Contents(fd), "01");
}

TEST_F(FileTest, TheDiskMayBeFull) {
  const int fd = Opened("file");
  machine_.choice.Always(Site::kNoSpace, 1);
  Write(1, fd, "text");
  EXPECT_EQ(One(), -ENOSPC);
  EXPECT_EQ(Contents(fd), "");
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_fallocate(sqe, fd, 0, 0, 100); });
  EXPECT_EQ(One(), -ENOSPC);
  EXPECT_EQ(Opened("another"), -ENOSPC);
  EXPECT_GE(Opened("file"), 0);
  machine_.Add(3,
               [](io_uring_sqe* sqe) { io_uring_prep_mkdirat(sqe, AT_FDCWD, "directory", 0755); });
  EXPECT_EQ(One(), -ENOSPC);
  machine_.choice.Never(Site::kNoSpace);
  EXPECT_EQ(Opened("another", O_RDONLY), -ENOENT);
  EXPECT_EQ(Opened("directory", O_RDONLY), -ENOENT);
}

TEST_F(FileTest, TheDiskMayFail) {
  const int fd = Opened("file");
  Write(1, fd, "text");
  ASSERT_EQ(One(), 4);
  machine_.choice.Always(Site::kDiskError, 1);
  Write(2, fd, "xx");
  EXPECT_EQ(One(), -EIO);
  Read(3, fd);
  EXPECT_EQ(One(), -EIO);
  machine_.choice.Never(Site::kDiskError);
  EXPECT_EQ(Contents(fd), "text");
}

TEST_F(FileTest, ASyncMayFailOnce) {
  const int fd = Opened("file");
  Write(1, fd, "text");
  ASSERT_EQ(One(), 4);
  machine_.choice.Script(Site::kSyncFails, 2, 0, 1);
  Fsync(2, fd);
  EXPECT_EQ(One(), -EIO);
  Fsync(3, fd);  // The error has been told: nothing is left to be synced.
  EXPECT_EQ(One(), 0);
  EXPECT_EQ(machine_.observer.Faults(Site::kSyncFails), 1U);
}

TEST_F(FileTest, AWriteThatIsToBeDurableFailsWithItsSync) {
  const int fd = Opened("file", O_RDWR | O_CREAT | O_DSYNC);
  machine_.choice.Always(Site::kSyncFails, 1);
  Write(1, fd, "text");
  EXPECT_EQ(One(), -EIO);
  machine_.choice.Never(Site::kSyncFails);
  Write(2, fd, "text");
  EXPECT_EQ(One(), 4);
}

TEST_F(FileTest, TheWorkingDirectoryIsTheRoot) {  // As docs/kernel_divergences.md says.
  EXPECT_EQ(Opened("missing", O_RDWR), -ENOENT);
  const int fd = Opened("file");
  Write(1, fd, "abc");
  EXPECT_EQ(One(), 3);
  EXPECT_EQ(Contents(Opened("/file", O_RDWR)), "abc");
}

TEST_F(FileTest, DirectTransfersWantAlignment) {  // Fact Y5.
  const int fd = Opened("file", O_RDWR | O_CREAT | O_DIRECT);
  const std::string block(kBlock, 'b');
  Write(1, fd, block);
  EXPECT_EQ(One(), static_cast<int>(kBlock));
  Write(2, fd, block, 1);
  EXPECT_EQ(One(), -EINVAL);
  Write(3, fd, "short");
  EXPECT_EQ(One(), -EINVAL);
  Read(4, fd);
  machine_.Nop(5);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}, {4, static_cast<int>(kBlock), 0}}));
  EXPECT_EQ(Text(kBlock), block);
}

TEST_F(FileTest, DescriptorsMayRunOut) {
  ModelOptions few;
  few.descriptors_max = 5;  // The standard streams, a ring, and one.
  TestMachine machine(few);
  const auto open = [](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, "file", O_RDWR | O_CREAT, 0);
  };
  machine.Add(1, open);
  machine.Add(2, open);
  EXPECT_EQ(machine.Look(), (Cqes{{1, 4, 0}, {2, -EMFILE, 0}}));
}

TEST_F(FileTest, AFileIsAlwaysReady) {  // Fact P1.
  const int fd = Opened("file");
  const auto poll = [&](uint64_t user_data, unsigned events) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, fd, events); });
  };
  poll(1, POLLIN);
  poll(2, POLLPRI);
  machine_.Receive(3, fd, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLIN, 0}, {2, -EINVAL, 0}, {3, -ENOTSOCK, 0}}));
}

TEST_F(FileTest, AWorkersFileMayBeAFixedOne) {
  io_uring_rsrc_register table{};
  table.nr = 2;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_FILES2, &table, sizeof table).has_value());
  int fd = Opened("file");
  io_uring_files_update update{};
  update.offset = 1;
  update.fds = reinterpret_cast<uint64_t>(&fd);
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_FILES_UPDATE, &update, 1).has_value());
  machine_.kernel.Close(fd);
  machine_.Add(1, [](io_uring_sqe* sqe) {
    io_uring_prep_fsync(sqe, 1, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
  });
  machine_.Add(2, [](io_uring_sqe* sqe) {
    io_uring_prep_write(sqe, 1, "text", 4, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_ASYNC;
  });
  Fsync(3, fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, 4, 0}, {3, -EBADF, 0}}));
}

TEST_F(FileTest, AShortWriteBreaksAChainAndAFailedSyncDoesNot) {  // Facts L1, L11.
  const int fd = Opened("file");
  const auto chain = [&](uint64_t first) {
    machine_.Add(first, [&](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, fd, "text", 4, 0);
      sqe->flags |= IOSQE_IO_LINK;
    });
    machine_.Add(first + 1, [&](io_uring_sqe* sqe) {
      io_uring_prep_fsync(sqe, fd, 0);
      sqe->flags |= IOSQE_IO_LINK;
    });
    machine_.Nop(first + 2);
    Cqes all;
    for (int look = 0; look < 4; ++look) {
      for (const Cqe& cqe : machine_.Look()) all.push_back(cqe);
    }
    return all;
  };
  EXPECT_EQ(chain(1), (Cqes{{1, 4, 0}, {2, 0, 0}, {3, 0, 0}}));
  machine_.choice.Always(Site::kSyncFails, 1);
  EXPECT_EQ(chain(4), (Cqes{{4, 4, 0}, {5, -EIO, 0}, {6, 0, 0}}));
  machine_.choice.Always(Site::kWriteFileShort, 2);
  EXPECT_EQ(chain(7), (Cqes{{7, 2, 0}, {8, -ECANCELED, 0}, {9, -ECANCELED, 0}}));
}

TEST_F(FileTest, SkippingSuccessShowsShortTransfers) {  // Fact L7.
  const int fd = Opened("file");
  const auto write = [&] {
    machine_.Add(1, [&](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, fd, "text", 4, 0);
      sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    });
  };
  write();
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.choice.Always(Site::kWriteFileShort, 2);
  write();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, 0}}));
}

}  // namespace
}  // namespace orrery::model

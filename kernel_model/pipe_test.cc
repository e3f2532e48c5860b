// Pipes where a program seldom gets: without a descriptor or a slot left, and with a writer that
// has no reader. Each test names the facts that it holds the model to.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class PipeTest : public ::testing::Test {
 protected:
  void MakePipe(uint64_t user_data, uint32_t file_index = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      sqe->opcode = 62;                                      // IORING_OP_PIPE
      sqe->addr = reinterpret_cast<uint64_t>(ends_.data());  // The ABI carries a pointer so.
      sqe->file_index = file_index;
    });
  }
  void Write(uint64_t user_data, size_t bytes) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_write(sqe, ends_[1], memory_.data(), static_cast<unsigned>(bytes), 0);
    });
  }

  TestMachine machine_{{.descriptors_max = 6}};
  std::array<int, 2> ends_{-1, -1};
  std::array<std::byte, 64> memory_{};
};

TEST_F(PipeTest, OneDescriptorIsNotEnough) {
  // The ring has one, and so has this.
  const int event_fd = *machine_.kernel.MakeEventFd();
  MakePipe(1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EMFILE, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 1U);
  EXPECT_EQ(ends_[0], -1);
  machine_.kernel.Close(event_fd);
  MakePipe(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 2U);
}

TEST_F(PipeTest, WithoutASlotForBothThereIsNone) {
  MakePipe(1, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENXIO, 0}}));
  io_uring_rsrc_register table{};
  table.nr = 2;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_FILES2, &table, sizeof table));
  MakePipe(2, 2);  // The slots 1 and 2, of which there is one.
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EINVAL, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
  MakePipe(3, IORING_FILE_INDEX_ALLOC);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 2U);
}

TEST_F(PipeTest, AWriteToNobodyIsReportedUnlessHandled) {  // Fact T8.
  MakePipe(1);
  machine_.Look();
  machine_.kernel.Close(ends_[0]);
  Write(2, 4);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EPIPE, 0}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"sigpipe"});
  EXPECT_EQ(machine_.kernel.HandleBrokenPipes(), 1U);
  Write(3, 4);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EPIPE, 0}}));
  EXPECT_EQ(machine_.observer.violations.size(), 1U);
  EXPECT_EQ(machine_.kernel.HandleBrokenPipes(), 2U);
}

TEST_F(PipeTest, ARequestThatWaitsDiesWithItsRing) {  // Fact X6.
  MakePipe(1);
  machine_.Look();
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_read(sqe, ends_[0], memory_.data(), memory_.size(), 0);
  });
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.DestroyRing();
  EXPECT_EQ(machine_.kernel.open_files(), 2U);
}

}  // namespace
}  // namespace orrery::model

// Registered buffers. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class FixedBuffersTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  std::expected<unsigned, Errno> Register(std::span<const iovec> iovecs) {
    return machine_.ring().Register(IORING_REGISTER_BUFFERS, iovecs.data(),
                                    static_cast<unsigned>(iovecs.size()));
  }
  std::expected<unsigned, Errno> Update(unsigned offset, std::span<const iovec> iovecs) {
    io_uring_rsrc_update2 update{};
    update.offset = offset;
    update.data = reinterpret_cast<uint64_t>(iovecs.data());
    update.nr = static_cast<uint32_t>(iovecs.size());
    return machine_.ring().Register(IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update);
  }
  void Write(uint64_t user_data, size_t begin, unsigned bytes, int index) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_write_fixed(sqe, stream_.fd, text_.data() + begin, bytes, 0, index);
    });
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  std::string text_ = "abcdefgh";
  iovec middle_ = {.iov_base = text_.data() + 2, .iov_len = 4};
};

TEST_F(FixedBuffersTest, ARangeOutsideIsAFault) {  // Fact H1.
  Write(1, 2, 2, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EFAULT, 0}}));
  ASSERT_TRUE(Register(std::array{middle_, iovec{}}).has_value());
  Write(2, 2, 4, 0);
  Write(3, 1, 4, 0);
  Write(4, 3, 4, 0);
  Write(5, 2, 4, 1);
  Write(6, 2, 4, 2);
  Write(7, 3, 0, 0);
  Cqes seen = machine_.Look();
  std::ranges::sort(seen, {}, &Cqe::user_data);  // The errors of writes come by task work.
  EXPECT_EQ(seen, (Cqes{{2, 4, 0},
                        {3, -EFAULT, 0},
                        {4, -EFAULT, 0},
                        {5, -EFAULT, 0},
                        {6, -EFAULT, 0},
                        {7, 0, 0}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "cdef");
}

TEST_F(FixedBuffersTest, ReadsIntoARegisteredBuffer) {
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_read_fixed(sqe, stream_.fd, text_.data() + 3, 3, 0, 0);
  });
  EXPECT_EQ(machine_.Look(), Cqes{});
  ASSERT_TRUE(machine_.ring().Register(IORING_UNREGISTER_BUFFERS, nullptr, 0).has_value());
  machine_.PeerSend(stream_.peer, "xyz");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(text_.substr(3, 3), "xyz");
}

TEST_F(FixedBuffersTest, TheTable) {  // Fact H2.
  EXPECT_EQ(machine_.ring().Register(IORING_UNREGISTER_BUFFERS, nullptr, 0).error(), ENXIO);
  EXPECT_EQ(Update(0, std::array{middle_}).error(), ENXIO);
  EXPECT_EQ(Register(std::array{iovec{.iov_base = text_.data(), .iov_len = 0}}).error(), EFAULT);
  EXPECT_EQ(Register({}).error(), EFAULT);
  ASSERT_TRUE(Register(std::array{iovec{}, iovec{}, iovec{}}).has_value());
  EXPECT_EQ(Register(std::array{middle_}).error(), EBUSY);
  const iovec bad = {.iov_base = text_.data(), .iov_len = size_t{1} << 31};
  EXPECT_EQ(Update(1, std::array{middle_, bad}), 1U);
  EXPECT_EQ(Update(1, std::array{bad}).error(), EFAULT);
  EXPECT_EQ(Update(2, std::array{middle_, middle_}).error(), EINVAL);
  Write(1, 2, 4, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 4, 0}}));
  EXPECT_TRUE(machine_.ring().Register(IORING_UNREGISTER_BUFFERS, nullptr, 0).has_value());
}

TEST_F(FixedBuffersTest, ASparseTableIsEmpty) {  // Fact H2.
  io_uring_rsrc_register request{};
  request.nr = 2;
  request.flags = IORING_RSRC_REGISTER_SPARSE;
  ASSERT_TRUE(
      machine_.ring().Register(IORING_REGISTER_BUFFERS2, &request, sizeof request).has_value());
  Write(1, 2, 4, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EFAULT, 0}}));
  EXPECT_EQ(Update(1, std::array{middle_}), 1U);
  Write(2, 2, 4, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 4, 0}}));
}

TEST_F(FixedBuffersTest, OnlyZeroCopySendsTakeThem) {  // Facts T11, Z7.
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  const auto send = [&](uint64_t user_data, bool zero_copy, int index, size_t begin) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_send_zc_fixed(sqe, stream_.fd, text_.data() + begin, 4, 0, 0,
                                  static_cast<unsigned>(index));
      if (!zero_copy) sqe->opcode = IORING_OP_SEND;
    });
  };
  send(1, false, 0, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}}));
  send(2, true, 0, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 4, kMore}, {2, 0, IORING_CQE_F_NOTIF}}));
  send(3, true, 1, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EFAULT, kMore}, {3, 0, IORING_CQE_F_NOTIF}}));
  send(4, true, 0, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -EFAULT, kMore}, {4, 0, IORING_CQE_F_NOTIF}}));
}

TEST_F(FixedBuffersTest, ASendTakesAVector) {  // Fact T11.
  const std::array iovecs = {middle_, iovec{.iov_base = text_.data(), .iov_len = 1}};
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_send(sqe, stream_.fd, iovecs.data(), iovecs.size(), 0);
    sqe->ioprio |= 1U << 5;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 5, 0}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "cdefa");
}

}  // namespace
}  // namespace orrery::model

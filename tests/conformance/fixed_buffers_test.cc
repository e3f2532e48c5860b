// Registered buffers: which ranges may be used, and what the table answers.
#include <array>
#include <cerrno>
#include <string>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

constexpr size_t kBytes = 4096;
constexpr uint8_t kOpReadvFixed = 60;      // IORING_OP_READV_FIXED
constexpr uint8_t kOpWritevFixed = 61;     // IORING_OP_WRITEV_FIXED
constexpr uint16_t kVectorized = 1U << 5;  // IORING_SEND_VECTORIZED

class FixedBuffers : public Conformance {
 protected:
  std::expected<unsigned, Errno> Register(std::span<const iovec> iovecs) {
    return ring().Register(IORING_REGISTER_BUFFERS, iovecs.data(),
                           static_cast<unsigned>(iovecs.size()));
  }
  std::expected<unsigned, Errno> Update(unsigned offset, std::span<const iovec> iovecs) {
    io_uring_rsrc_update2 update{};
    update.offset = offset;
    update.data = reinterpret_cast<uint64_t>(iovecs.data());  // The ABI carries a pointer so.
    update.nr = static_cast<uint32_t>(iovecs.size());
    return ring().Register(IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update);
  }
  std::expected<unsigned, Errno> Unregister() {
    return ring().Register(IORING_UNREGISTER_BUFFERS, nullptr, 0);
  }
  Seen Write(const Connection& connection, size_t begin, size_t bytes, int index) {
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_write_fixed(sqe, connection.fd, text_.data() + begin,
                                  static_cast<unsigned>(bytes), 0, index);
    });
    return AwaitOne();
  }

  std::string text_ = Pattern(0, 3 * kBytes);
  iovec middle_ = {.iov_base = text_.data() + kBytes, .iov_len = kBytes};
};
INSTANTIATE_TEST_SUITE_P(Kernels, FixedBuffers, AllWorlds(), WorldName);

TEST_P(FixedBuffers, H1_ARangeThatLeavesItsBufferIsAFault) {
  const Connection connection = Connect();
  EXPECT_THAT(Write(connection, kBytes, 1, 0), Final(1, -EFAULT));
  ASSERT_TRUE(Register(std::array{middle_, iovec{}}).has_value());
  EXPECT_THAT(Write(connection, kBytes + 1, 10, 0), Final(1, 10));
  EXPECT_EQ(ReadFromPeer(connection.peer, 10).bytes, Pattern(kBytes + 1, 10));
  EXPECT_THAT(Write(connection, kBytes - 1, 10, 0), Final(1, -EFAULT));
  EXPECT_THAT(Write(connection, kBytes + 1, kBytes, 0), Final(1, -EFAULT));
  EXPECT_THAT(Write(connection, kBytes, 10, 1), Final(1, -EFAULT));
  EXPECT_THAT(Write(connection, kBytes, 10, 2), Final(1, -EFAULT));
  EXPECT_THAT(Write(connection, kBytes + 1, 0, 0), Final(1, 0));
}

TEST_P(FixedBuffers, H1_ReadsToo) {
  const Connection connection = Connect();
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_read_fixed(sqe, connection.fd, text_.data() + kBytes + 5, 100, 0, 0);
  });
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "bytes"), 5U);
  EXPECT_THAT(AwaitOne(), Final(1, 5));
  EXPECT_EQ(text_.substr(kBytes + 5, 5), "bytes");
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_read_fixed(sqe, connection.fd, text_.data() + 2 * kBytes - 1, 2, 0, 0);
  });
  EXPECT_THAT(AwaitOne(), Final(2, -EFAULT));
}

TEST_P(FixedBuffers, H2_OneTableARing) {
  EXPECT_EQ(Unregister().error(), Errno(ENXIO));
  EXPECT_EQ(Update(0, std::array{middle_}).error(), Errno(ENXIO));
  EXPECT_EQ(Register(std::array{iovec{.iov_base = text_.data(), .iov_len = 0}}).error(),
            Errno(EFAULT));
  const iovec huge = {.iov_base = text_.data(), .iov_len = size_t{2} << 30};
  EXPECT_EQ(Register(std::array{huge}).error(), Errno(EFAULT));
  ASSERT_TRUE(Register(std::array{iovec{}, iovec{}, iovec{}}).has_value());
  EXPECT_EQ(Register(std::array{middle_}).error(), Errno(EBUSY));
  EXPECT_EQ(Update(1, std::array{middle_, huge}), 1U);
  EXPECT_EQ(Update(2, std::array{middle_, middle_}).error(), Errno(EINVAL));
  const Connection connection = Connect();
  EXPECT_THAT(Write(connection, kBytes, 4, 1), Final(1, 4));
  EXPECT_TRUE(Unregister().has_value());
  EXPECT_EQ(Unregister().error(), Errno(ENXIO));
}

TEST_P(FixedBuffers, T11_ASendTakesAVectorAndNoRegisteredBuffer) {
  const Connection connection = Connect();
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_send(sqe, connection.fd, text_.data() + kBytes, 4, 0);
    sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
    sqe->buf_index = 0;
  });
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  const std::array iovecs = {iovec{.iov_base = text_.data(), .iov_len = 3},
                             iovec{.iov_base = text_.data() + 3, .iov_len = 4}};
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_send(sqe, connection.fd, iovecs.data(), iovecs.size(), 0);
    sqe->ioprio |= kVectorized;
  });
  EXPECT_THAT(AwaitOne(), Final(2, 7));
  EXPECT_EQ(ReadFromPeer(connection.peer, 7).bytes, Pattern(0, 7));
}

TEST_P(FixedBuffers, Z7_AZeroCopySendTakesOne) {
  const Connection connection = Connect();
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  const auto send = [&](uint32_t id, size_t begin, unsigned index) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_send_zc_fixed(sqe, connection.fd, text_.data() + begin, 4, 0, 0, index);
    });
    return Await(2);
  };
  EXPECT_THAT(send(1, kBytes, 0), ElementsAre(More(1, 4), Final(1, 0)));
  EXPECT_THAT(send(2, kBytes - 1, 0), ElementsAre(More(2, -EFAULT), Final(2, 0)));
  EXPECT_THAT(send(3, kBytes, 1), ElementsAre(More(3, -EFAULT), Final(3, 0)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 4).bytes, Pattern(kBytes, 4));
}

TEST_P(FixedBuffers, H3_AVectorLiesInOneBuffer) {
  const Connection connection = Connect();
  ASSERT_TRUE(Register(std::array{middle_}).has_value());
  const auto transfer = [&](uint8_t opcode, std::span<const iovec> parts, int index) {
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_rw(opcode, sqe, connection.fd, parts.data(),
                         static_cast<unsigned>(parts.size()), 0);
      sqe->buf_index = static_cast<uint16_t>(index);
    });
    return AwaitOne();
  };
  const auto part = [&](size_t begin, size_t bytes) {
    return iovec{.iov_base = text_.data() + begin, .iov_len = bytes};
  };
  const std::array inside = {part(kBytes + 10, 3), part(kBytes + 1, 4)};
  EXPECT_THAT(transfer(kOpWritevFixed, inside, 0), Final(1, 7));
  EXPECT_EQ(ReadFromPeer(connection.peer, 7).bytes,
            Pattern(kBytes + 10, 3) + Pattern(kBytes + 1, 4));
  EXPECT_THAT(transfer(kOpWritevFixed, inside, 1), Final(1, -EFAULT));
  const std::array outside = {part(kBytes + 10, 3), part(kBytes - 1, 4)};
  EXPECT_THAT(transfer(kOpWritevFixed, outside, 0), Final(1, -EFAULT));
  Deliver(connection, "abcdefgh");
  EXPECT_THAT(transfer(kOpReadvFixed, inside, 0), Final(1, 7));
  EXPECT_EQ(text_.substr(kBytes + 10, 3), "abc");
  EXPECT_EQ(text_.substr(kBytes + 1, 4), "defg");
  EXPECT_THAT(transfer(kOpReadvFixed, outside, 0), Final(1, -EFAULT));
}

}  // namespace
}  // namespace orrery::conformance

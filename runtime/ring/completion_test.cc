// A completion read wrongly takes an error for a byte count, or loses a provided buffer.
#include "runtime/ring/completion.h"

#include <cerrno>

#include "gtest/gtest.h"

namespace orrery {
namespace {

io_uring_cqe Cqe(int32_t result, uint32_t flags) {
  io_uring_cqe cqe{};
  cqe.user_data = UserData{.operation = Operation::kReceive, .slot = {3, 4}}.Pack();
  cqe.res = result;
  cqe.flags = flags;
  return cqe;
}

TEST(Completion, Success) {
  const Completion completion(Cqe(17, 0));
  EXPECT_TRUE(completion.ok());
  EXPECT_EQ(completion.value(), 17U);
  EXPECT_FALSE(completion.failed_with(17));
  EXPECT_EQ(completion.user_data(), (UserData{.operation = Operation::kReceive, .slot = {3, 4}}));
}

TEST(Completion, ZeroIsSuccess) {
  EXPECT_TRUE(Completion(Cqe(0, 0)).ok());
  EXPECT_EQ(Completion(Cqe(0, 0)).value(), 0U);
}

TEST(Completion, Failure) {
  const Completion completion(Cqe(-ENOBUFS, 0));
  EXPECT_FALSE(completion.ok());
  EXPECT_EQ(completion.error(), Errno(ENOBUFS));
  EXPECT_TRUE(completion.failed_with(ENOBUFS));
  EXPECT_FALSE(completion.failed_with(ECANCELED));
}

TEST(Completion, Flags) {
  const Completion plain(Cqe(1, 0));
  EXPECT_FALSE(plain.more());
  EXPECT_FALSE(plain.socket_not_empty());
  EXPECT_TRUE(Completion(Cqe(1, IORING_CQE_F_MORE)).more());
  EXPECT_TRUE(Completion(Cqe(1, IORING_CQE_F_SOCK_NONEMPTY)).socket_not_empty());
}

TEST(Completion, BufferIsHandedOverWhateverTheResult) {
  EXPECT_EQ(Completion(Cqe(1, 0)).buffer(), std::nullopt);
  EXPECT_EQ(Completion(Cqe(1, IORING_CQE_F_BUFFER)).buffer(), uint16_t{0});
  const uint32_t last = uint32_t{0xffff} << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER;
  EXPECT_EQ(Completion(Cqe(-ECANCELED, last)).buffer(), uint16_t{0xffff});
}

TEST(CompletionDeathTest, AValueIsNotAnError) {
  EXPECT_DEATH((void)Completion(Cqe(-EIO, 0)).value(), "ok");
  EXPECT_DEATH((void)Completion(Cqe(0, 0)).error(), "ok");
}

}  // namespace
}  // namespace orrery

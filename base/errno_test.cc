// An Errno that could be zero or negative would be mistaken for a result.
#include "base/errno.h"

#include <cerrno>

#include "gtest/gtest.h"

namespace orrery {
namespace {

TEST(Errno, ComparesWithItsLikeAndWithNumbers) {
  const Errno error(ENOBUFS);
  EXPECT_EQ(error.value(), ENOBUFS);
  EXPECT_TRUE(error == ENOBUFS);
  EXPECT_FALSE(error == EAGAIN);
  EXPECT_TRUE(error == Errno(ENOBUFS));
  EXPECT_FALSE(error == Errno(EPIPE));
}

TEST(Errno, NamesItself) {
  EXPECT_EQ(Errno(ENOBUFS).ToString(), "ENOBUFS: No buffer space available");
  EXPECT_EQ(Errno(ECONNRESET).ToString(), "ECONNRESET: Connection reset by peer");
  EXPECT_EQ(Errno(98765).ToString(), "errno 98765");
}

TEST(ErrnoDeathTest, IsAlwaysPositive) {
  EXPECT_DEATH((void)Errno(0), "an Errno is positive");
  EXPECT_DEATH((void)Errno(-EAGAIN), "an Errno is positive");
}

}  // namespace
}  // namespace orrery

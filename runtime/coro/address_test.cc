// Addresses: what would break is a connection to somewhere else.
#include "runtime/coro/address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>

namespace orrery::coro {
namespace {

TEST(SocketAddress, SaysWhatItWasParsedFrom) {
  const auto v4 = SocketAddress::Parse("127.0.0.1", 80);
  ASSERT_TRUE(v4.has_value());
  EXPECT_EQ(v4->family(), AF_INET);
  EXPECT_EQ(v4->port(), 80);
  EXPECT_EQ(v4->ToString(), "127.0.0.1:80");
  const auto v6 = SocketAddress::Parse("2001:db8::1", 65535);
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->family(), AF_INET6);
  EXPECT_EQ(v6->port(), 65535);
  EXPECT_EQ(v6->ToString(), "[2001:db8::1]:65535");
  const SocketAddress copy = SocketAddress::FromSystem(v6->data(), v6->bytes());
  EXPECT_EQ(copy.ToString(), v6->ToString());
}

TEST(SocketAddress, TakesNumbersOnly) {
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "::g", "127.0.0.1:80"}) {
    const auto address = SocketAddress::Parse(text, 1);
    ASSERT_FALSE(address.has_value()) << text;
    EXPECT_EQ(address.error(), EINVAL);
  }
}

TEST(SocketAddress, OfNothingIsNone) {
  EXPECT_EQ(SocketAddress().family(), AF_UNSPEC);
  EXPECT_EQ(SocketAddress().port(), 0);
  EXPECT_EQ(SocketAddress().ToString(), "none");
}

}  // namespace
}  // namespace orrery::coro

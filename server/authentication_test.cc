// What would break: somebody gets in without the password, or from another machine.
#include "server/authentication.h"

#include <gtest/gtest.h>

#include <string>

namespace orrery::server {
namespace {

TEST(AuthenticationTest, ThePasswordIsTheWholePassword) {
  ServerConfig config;
  config.password = "secret";
  EXPECT_TRUE(Authenticates("default", "secret", config));
  for (const char* wrong : {"", "s", "secre", "secreT", "secrets", "secretsecret", "Secret"}) {
    EXPECT_FALSE(Authenticates("default", wrong, config)) << wrong;
  }
  EXPECT_FALSE(Authenticates("default", std::string("secret\0", 7), config));
  EXPECT_FALSE(Authenticates("Default", "secret", config));
  EXPECT_FALSE(Authenticates("", "secret", config));
}

TEST(AuthenticationTest, WithoutAPasswordEveryOneIsRightForTheDefaultUser) {
  EXPECT_TRUE(Authenticates("default", "", {}));
  EXPECT_TRUE(Authenticates("default", "any", {}));
  EXPECT_FALSE(Authenticates("other", "any", {}));
}

TEST(AuthenticationTest, ProtectedModeIsForServersThatOthersReach) {
  ServerConfig config;
  EXPECT_FALSE(MayDeny(config));
  for (const char* address : {"0.0.0.0", "::", "192.168.1.7", "fe80::1"}) {
    config.bind = address;
    EXPECT_TRUE(MayDeny(config)) << address;
  }
  for (const char* address : {"::1", "127.0.0.1", "127.9.9.9"}) {
    config.bind = address;
    EXPECT_FALSE(MayDeny(config)) << address;
  }
  config.bind = "0.0.0.0";
  config.password = "secret";
  EXPECT_FALSE(MayDeny(config));
  config.password = "";
  config.protected_mode = false;
  EXPECT_FALSE(MayDeny(config));
}

TEST(AuthenticationTest, LoopbackIsLocal) {
  for (const char* address :
       {"127.0.0.1:53120", "127.1.2.3:1", "[::1]:53120", "[::ffff:127.0.0.1]:53120"}) {
    EXPECT_TRUE(IsLocal(address)) << address;
  }
  for (const char* address :
       {"", "128.0.0.1:1", "12.7.0.0:1", "[::2]:1", "[::ffff:10.0.0.1]:1", "[::1234]:1"}) {
    EXPECT_FALSE(IsLocal(address)) << address;
  }
}

TEST(AuthenticationTest, OnlyUnixClientsHavePortZero) {
  EXPECT_TRUE(IsUnixClient("/run/orrery.sock:0"));
  EXPECT_TRUE(IsUnixClient("orrery.sock:0"));
  EXPECT_FALSE(IsUnixClient("10.0.0.1:10"));
  EXPECT_FALSE(IsUnixClient("[::2]:50"));
  EXPECT_FALSE(IsUnixClient(""));
}

}  // namespace
}  // namespace orrery::server

// redis-server and our server, started afresh and connected to, for tests that ask both the same.
//
// Skips by name where redis-server is not installed. Blocking; for tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {

using Arguments = std::vector<std::string>;

class BesideRedis : public testing::Test {
 protected:
  void SetUp() override {
    if (!ServerProcess::HasRedis()) GTEST_SKIP() << "redis-server is not installed";
    redis_ = ServerProcess::StartRedis({});
    ours_ = ServerProcess::StartOrrery({});
    ASSERT_TRUE(redis_ != nullptr && ours_ != nullptr);
    redis_wire_ = redis_->Connect();
    ours_wire_ = ours_->Connect();
    ASSERT_TRUE(redis_wire_ != nullptr && ours_wire_ != nullptr);
  }

  // Empty, and a failure of the test, when there is no reply.
  static std::string Ask(Wire& wire, const Arguments& arguments) {
    const auto replies = wire.Exchange(scenarios::EncodeArray(arguments), 1);
    EXPECT_EQ(replies.size(), 1u) << wire.problem();
    return replies.empty() ? std::string() : replies[0];
  }

  std::unique_ptr<ServerProcess> redis_;
  std::unique_ptr<ServerProcess> ours_;
  std::unique_ptr<Wire> redis_wire_;
  std::unique_ptr<Wire> ours_wire_;
};

}  // namespace orrery::e2e

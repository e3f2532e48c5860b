// A host of commands that does nothing, for tests: each overrides what it wants to see.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "server/server_context.h"

namespace orrery::server {

class TestingHost : public ServerHost {
 public:
  void Kill(Client&) override {}
  void Configure(const ServerConfig&) override {}
  bool Push(Client&, PushMessage&) override { return false; }
  void Shutdown() override {}
  void FindAddresses(Client&) override {}
  ClientMemory MemoryOf(const Client&) const override { return {}; }
  uint64_t CopiedOutputBytes() const override { return 0; }
  ProcessUsage Usage() override { return {}; }
  Nanoseconds MonotonicNow() override { return 0; }
};

}  // namespace orrery::server

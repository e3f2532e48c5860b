// Zero-copy sends through the whole reactor, on Linux and on the fake kernel: the stream is exact
// in whatever form its parts go out, and what the kernel reads late is held until it has.
#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "base/shared_bytes.h"
#include "gtest/gtest.h"
#include "runtime/reactor_fixture.h"

namespace orrery {
namespace {

class ZeroCopyTest : public ReactorTest {
 protected:
  static Options ZeroCopyFrom(size_t body_bytes_min) {
    Options options;
    options.reactor.zero_copy.body_bytes_min = body_bytes_min;
    return options;
  }

  // Appends a reply to connection 0 and to what its peer must read.
  void Reply(size_t body_bytes) {
    const std::string header = "$" + std::to_string(body_bytes) + "\r\n";
    const SharedBytes body = SharedBytes::Copy(Pattern(body_bytes, expected_.size()));
    connection(0).output().Append(header);
    connection(0).output().AppendBody(body);
    connection(0).output().Append("\r\n");
    expected_ += header + std::string(body.view()) + "\r\n";
    bodies_.push_back(body);
  }

  void ReadAllOf(Peer peer, size_t at_once) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      world_->Receive(peer, input, at_once);
      return input.bytes.size() == expected_.size();
    })) << input.bytes.size()
        << " of " << expected_.size();
    EXPECT_TRUE(input.bytes == expected_);
    EXPECT_TRUE(RunUntil([this] { return all_let_go(); }));
  }

  bool all_let_go() const {
    return std::all_of(bodies_.begin(), bodies_.end(),
                       [](const SharedBytes& body) { return body.unique(); });
  }
  uint64_t zero_copy_sends() const { return reactor_->counters().zero_copy_sends; }

  std::string expected_;
  std::vector<SharedBytes> bodies_;
};

class ZeroCopyExactTest : public ZeroCopyTest {};
class ZeroCopyModelTest : public ZeroCopyTest {};

TEST_P(ZeroCopyTest, MixedFormsKeepTheOrder) {
  Options options = ZeroCopyFrom(1000);
  // Linux takes seconds for less: it acknowledges late what it gets in small pieces.
  options.world.socket_buffer_bytes = 65'536;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    for (size_t index = 0; index < 60; ++index) Reply(index * index * index % 20'011);
    reactor_->Flush(connection(0));
  });
  ReadAllOf(peers[0], 3000);
  EXPECT_GT(zero_copy_sends(), 0U);
}

TEST_P(ZeroCopyTest, AReplyOfMoreThanASlotHoldsGoesInSeveral) {
  Options options = ZeroCopyFrom(100);
  options.reactor.zero_copy.slab = {.slots = 3, .iovecs = 4, .guards = 2};
  options.reactor.zero_copy.copy_slots = 2;
  options.reactor.zero_copy.copy_bytes = 11;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    connection(0).output().Append("*200\r\n");
    expected_ += "*200\r\n";
    for (size_t index = 0; index < 200; ++index) Reply(90 + index);
    reactor_->Flush(connection(0));
  });
  ReadAllOf(peers[0], 5000);
  EXPECT_GT(zero_copy_sends(), 0U);
}

TEST_P(ZeroCopyExactTest, SmallRepliesAreCopiedAndLargeOnesAreNot) {
  SetUpWorld(ZeroCopyFrom(10'000));
  const std::vector<Peer> peers = ConnectAll(1);
  const auto send = [&](size_t body_bytes) {
    InTurn([&] {
      Reply(body_bytes);
      reactor_->Flush(connection(0));
    });
    EXPECT_TRUE(RunUntil([this] { return connection(0).output().empty(); }));
  };
  send(9'999);
  EXPECT_EQ(zero_copy_sends(), 0U);
  send(10'000);
  EXPECT_EQ(zero_copy_sends(), 1U);
  send(100);
  EXPECT_EQ(zero_copy_sends(), 1U);
  ReadAllOf(peers[0], ~size_t{0});
}

// Linux may let go of it earlier: it copies at times what it delivers on loopback.
TEST_P(ZeroCopyModelTest, WhatThePeerHasNotReadIsHeld) {
  SetUpWorld(ZeroCopyFrom(1000));
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    Reply(40'000);
    reactor_->Flush(connection(0));
  });
  EXPECT_TRUE(RunUntil([this] { return connection(0).output().empty(); }));
  Settle();
  EXPECT_FALSE(all_let_go());  // Fact Z2: the kernel has it by reference.
  ReadAllOf(peers[0], ~size_t{0});
}

TEST_P(ZeroCopyTest, AFullSlabSendsByCopyAndRecovers) {
  Options options = ZeroCopyFrom(5000);
  options.reactor.zero_copy.slab.slots = 1;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  // Each is acknowledged by the kernel before the next, and read by nobody.
  for (int count = 0; count < 3; ++count) {
    InTurn([&] {
      Reply(20'000);
      reactor_->Flush(connection(0));
    });
    EXPECT_TRUE(RunUntil([this] { return connection(0).output().empty(); }));
  }
  ReadAllOf(peers[0], ~size_t{0});
  const uint64_t before = zero_copy_sends();
  InTurn([&] {
    expected_.clear();
    Reply(20'000);
    reactor_->Flush(connection(0));
  });
  ReadAllOf(peers[0], ~size_t{0});
  EXPECT_GT(zero_copy_sends(), before);
}

TEST_P(ZeroCopyTest, AConnectionThatEndsLeavesNothingPinned) {
  Options options = ZeroCopyFrom(1000);
  options.world.socket_buffer_bytes = 8192;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(4);
  for (size_t index = 0; index < peers.size(); ++index) {
    InTurn([&] {
      const SharedBytes body = SharedBytes::Copy(Pattern(400'000));
      bodies_.push_back(body);
      connection(index).output().AppendBody(body);
      reactor_->Flush(connection(index));
    });
  }
  Settle();
  EXPECT_FALSE(all_let_go());
  world_->Reset(peers[0]);
  world_->Close(peers[1]);
  InTurn([&] {
    reactor_->Abort(connection(2));
    reactor_->Finish(connection(3));
  });
  PeerInput rest;
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(peers[2], rest, ~size_t{0});
    world_->Receive(peers[3], rest, ~size_t{0});
    return all_let_go();
  }));
}

TEST_P(ZeroCopyTest, OneSubmissionEntryIsEnough) {
  Options options = ZeroCopyFrom(100);
  options.ring = {.sq_entries = 1, .cq_entries = 2};
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(3);
  InTurn([&] {
    for (size_t index = 0; index < 30; ++index) Reply(index * 100);
    for (size_t index = 0; index < 3; ++index) reactor_->Flush(connection(index));
  });
  ReadAllOf(peers[0], 2000);
}

// Replies, partial reads and ends in any order, from slabs with room for little.
TEST_P(ZeroCopyTest, WhateverIsSentReadAndEndedStreamsAreExactAndNothingIsHeld) {
  Options options = ZeroCopyFrom(500);
  options.reactor.zero_copy.slab = {.slots = 4, .iovecs = 6, .guards = 3};
  options.reactor.zero_copy.copy_slots = 3;
  options.reactor.zero_copy.copy_bytes = 100;
  options.world.socket_buffer_bytes = 65'536;
  SetUpWorld(options);
  Prng prng(1);
  for (int round = 0; round < 24; ++round) {
    const size_t index = echo_.sessions.size();
    const Peer peer = ConnectAll(1)[0];
    std::string expected;
    PeerInput input;
    for (uint64_t steps = prng.Between(1, 16); steps > 0; --steps) {
      const uint64_t kind = prng.Below(3);
      if (kind == 0) {
        const size_t bytes = size_t{1} << prng.Below(18);
        const SharedBytes body = SharedBytes::Copy(Pattern(bytes, expected.size()));
        bodies_.push_back(body);
        expected += "header" + std::string(body.view());
        InTurn([&] {
          connection(index).output().Append("header");
          connection(index).output().AppendBody(body);
          reactor_->Flush(connection(index));
        });
      } else if (kind == 1) {
        world_->Receive(peer, input, prng.Between(1, 100'000));
        ASSERT_TRUE(std::string_view(expected).starts_with(input.bytes)) << round;
      } else {
        Turn();
      }
    }
    const uint64_t end = prng.Below(5);
    if (end == 0) {
      world_->Reset(peer);
      continue;
    }
    if (end == 1) InTurn([&] { reactor_->Abort(connection(index)); });
    if (end == 2) InTurn([&] { reactor_->Finish(connection(index)); });
    if (end > 1) {
      ASSERT_TRUE(RunUntil([&] {
        world_->Receive(peer, input, ~size_t{0});
        return input.bytes.size() >= expected.size();
      })) << round;
      ASSERT_TRUE(input.bytes == expected) << round;
    }
    world_->Close(peer);
  }
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0 && all_let_go(); }));
  EXPECT_GT(zero_copy_sends(), 0U);
}

// A peer that never reads must not keep a stopped server alive. In a child, for what is given up is
// leaked on purpose; not on Linux, which may let go of it when the connection is closed.
TEST_P(ZeroCopyModelTest, AStopDoesNotWaitForNotificationsForEver) {
  Options options = ZeroCopyFrom(1000);
  options.reactor.linger = kMillisecond;
  options.reactor.flush_timeout = kMillisecond;
  options.reactor.notification_timeout = 5 * kMillisecond;
  const auto stop_with_a_peer_that_does_not_read = [&] {
    SetUpWorld(options);
    ConnectAll(1);
    InTurn([&] {
      Reply(40'000);
      reactor_->Flush(connection(0));
    });
    bool ok = RunUntil([this] { return connection(0).output().empty(); });
    InTurn([this] { reactor_->Stop(); });
    ok &= RunUntil([this] { return reactor_->finished(); });
    reactor_.reset();
    ok &= !all_let_go();
    std::_Exit(ok ? 0 : 1);
  };
  EXPECT_EXIT(stop_with_a_peer_that_does_not_read(), testing::ExitedWithCode(0), "");
}

// --- A kernel without it

// A ring whose kernel does not know zero-copy sends, and says so when asked, or only in answer to
// them.
class OldRing final : public Ring {
 public:
  OldRing(std::unique_ptr<Ring> ring, bool says_so) : ring_(std::move(ring)), says_so_(says_so) {
    memory_ = ring_->memory();
  }

  EnterResult Enter(const EnterRequest& request) override {
    const io_uring_sq& sq = memory_.sq;
    for (unsigned index = *sq.khead; index != *sq.ktail; ++index) {
      io_uring_sqe& sqe = sq.sqes[index & *sq.kring_mask];
      if (sqe.opcode == IORING_OP_SENDMSG_ZC) sqe.ioprio = 0x8000;  // EINVAL.
    }
    return ring_->Enter(request);
  }
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override {
    if (says_so_ && opcode == IORING_REGISTER_PROBE) return std::unexpected(Errno(EINVAL));
    return ring_->Register(opcode, argument, count);
  }

 private:
  std::unique_ptr<Ring> ring_;
  bool says_so_;
};

TEST_P(ZeroCopyTest, AKernelWithoutItIsServedByCopies) {
  wrap_ring_ = [](std::unique_ptr<Ring> ring) {
    return std::make_unique<OldRing>(std::move(ring), true);
  };
  SetUpWorld(ZeroCopyFrom(1000));
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    for (size_t index = 0; index < 20; ++index) Reply(index * 500);
    reactor_->Flush(connection(0));
  });
  ReadAllOf(peers[0], ~size_t{0});
  EXPECT_EQ(zero_copy_sends(), 0U);
}

TEST_P(ZeroCopyTest, ASocketThatRefusesItIsServedByCopies) {
  wrap_ring_ = [](std::unique_ptr<Ring> ring) {
    return std::make_unique<OldRing>(std::move(ring), false);
  };
  SetUpWorld(ZeroCopyFrom(1000));
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    for (size_t index = 0; index < 20; ++index) Reply(index * 500);
    reactor_->Flush(connection(0));
  });
  ReadAllOf(peers[0], ~size_t{0});
  EXPECT_EQ(zero_copy_sends(), 1U);
  EXPECT_EQ(reactor_->counters().zero_copy_refused, 1U);
}

INSTANTIATE_TEST_SUITE_P(Kernels, ZeroCopyExactTest, ExactWorlds(), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, ZeroCopyModelTest, testing::Values(kModelDeferred, kModelPrompt),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, ZeroCopyTest, AllWorlds(), NameOf);

}  // namespace
}  // namespace orrery

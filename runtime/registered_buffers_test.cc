// Reads and writes of parts of registered regions, on both kernels: they touch the part and nothing
// beside it, and what is not within a region is never submitted.
#include "runtime/registered_buffers.h"

#include <liburing.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gtest/gtest.h"
#include "runtime/benign_worlds.h"
#include "runtime/ring/completion.h"
#include "runtime/send_slab.h"
#include "runtime/test_world.h"

namespace orrery {
namespace {

class RegisteredBuffersTest : public testing::TestWithParam<BenignWorld> {
 protected:
  static constexpr UserData kTag{.operation = Operation::kTest, .slot = {1, 1}};

  void SetUp() override {
    world_ = GetParam().make();
    ring_ = world_->kernel().MakeRing({.sq_entries = 8, .cq_entries = 16}).value();
    submission_ = std::make_unique<SubmissionQueue>(*ring_);
    std::memset(memory_.data(), '.', memory_.size());
  }
  void TearDown() override {
    buffers_.reset();
    for (const int descriptor : {listener_, socket_}) {
      if (descriptor >= 0) world_->kernel().Close(descriptor);
    }
  }

  // Two regions of the memory, with some between them.
  std::expected<std::unique_ptr<RegisteredBuffers>, Errno> Register() {
    const std::array<std::span<std::byte>, 2> regions = {std::span(memory_).first(100),
                                                         std::span(memory_).subspan(200, 50)};
    return RegisteredBuffers::Create(*ring_, regions);
  }

  void Connect() {
    listener_ = world_->kernel().Listen({}).value();
    ASSERT_TRUE(submission_->Accept(File::Descriptor(listener_), 0, kTag));
    peer_ = world_->Connect(world_->kernel().LocalPort(listener_).value());
    socket_ = Await();
    ASSERT_GE(socket_, 0);
  }

  // The result of the one operation that was prepared.
  int Await() {
    (void)ring_->Enter({.to_submit = submission_->Publish(),
                        .min_complete = 1,
                        .deadline = world_->kernel().MonotonicNow() + kSecond});
    unsigned head = 0;
    int result = -ETIME;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) result = cqe->res;
    io_uring_cq_advance(&ring_->memory(), result == -ETIME ? 0 : 1);
    return result;
  }

  std::string Memory(size_t from, size_t bytes) const {
    return {reinterpret_cast<const char*>(memory_.data()) + from, bytes};
  }

  std::array<std::byte, 300> memory_;
  std::unique_ptr<TestWorld> world_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> submission_;
  std::unique_ptr<RegisteredBuffers> buffers_;
  TestWorld::Peer peer_ = 0;
  int listener_ = -1;
  int socket_ = -1;
};

TEST_P(RegisteredBuffersTest, PartsAreReadAndWritten) {
  Connect();
  buffers_ = Register().value();
  ASSERT_EQ(world_->Send(peer_, "hello, world"), 12U);
  const auto target = buffers_->Part(1, 40, 10);
  ASSERT_TRUE(target.has_value());
  ASSERT_TRUE(submission_->ReadFixed(File::Descriptor(socket_), *target,
                                     SubmissionQueue::kCurrentOffset, kTag));
  EXPECT_EQ(Await(), 10);
  EXPECT_EQ(Memory(238, 14), "..hello, wor..");

  const auto source = buffers_->Part(1, 42, 5);
  ASSERT_TRUE(submission_->WriteFixed(File::Descriptor(socket_), *source,
                                      SubmissionQueue::kCurrentOffset, kTag));
  EXPECT_EQ(Await(), 5);
  PeerInput input;
  for (int turn = 0; turn < 1000 && input.bytes.size() < 5; ++turn) {
    world_->Receive(peer_, input, 100);
  }
  EXPECT_EQ(input.bytes, "llo, ");
}

TEST_P(RegisteredBuffersTest, WhatIsNotWithinARegionIsRefusedHere) {
  buffers_ = Register().value();
  EXPECT_EQ(buffers_->regions(), 2U);
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_TRUE(buffers_->Part(0, 0, 100));
  EXPECT_TRUE(buffers_->Part(0, 99, 1));
  EXPECT_TRUE(buffers_->Part(0, 100, 0));
  EXPECT_FALSE(buffers_->Part(0, 0, 101));
  EXPECT_FALSE(buffers_->Part(0, 100, 1));
  EXPECT_FALSE(buffers_->Part(0, 101, 0));
  EXPECT_FALSE(buffers_->Part(0, 1, kMax));
  EXPECT_FALSE(buffers_->Part(0, kMax, 1));
  EXPECT_FALSE(buffers_->Part(0, kMax, 2));
  EXPECT_FALSE(buffers_->Part(1, 0, 51));
  EXPECT_FALSE(buffers_->Part(2, 0, 1));
  EXPECT_FALSE(buffers_->Part(kMax, 0, 0));
}

TEST_P(RegisteredBuffersTest, ARingHasOneTableAndCanHaveAnother) {
  buffers_ = Register().value();
  const auto second = Register();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error(), EBUSY);
  buffers_.reset();
  buffers_ = Register().value();
  buffers_.reset();
  const std::span<std::byte> empty = std::span(memory_).first(0);
  EXPECT_FALSE(RegisteredBuffers::Create(*ring_, {&empty, 1}).has_value());
}

TEST_P(RegisteredBuffersTest, PinsAreCounted) {
  buffers_ = Register().value();
  {
    RegisteredBuffers::Pin pin = buffers_->PinRegion(1);
    RegisteredBuffers::Pin moved = std::move(pin);
    const RegisteredBuffers::Pin another = buffers_->PinRegion(1);
    EXPECT_EQ(buffers_->pins(1), 2U);
    EXPECT_EQ(buffers_->pins(0), 0U);
    moved = {};
    EXPECT_EQ(buffers_->pins(1), 1U);
    EXPECT_DEATH(buffers_.reset(), "still in use");
  }
  EXPECT_EQ(buffers_->pins(1), 0U);
}

TEST_P(RegisteredBuffersTest, AZeroCopySendHoldsARegionUntilItsNotification) {
  buffers_ = Register().value();
  SendSlab<RegisteredBuffers::Pin> slab({.slots = 1});
  std::array pins = {buffers_->PinRegion(1)};
  const iovec part = {.iov_base = memory_.data(), .iov_len = 10};
  const auto message = slab.Allocate({}, {&part, 1}, pins, {});
  ASSERT_TRUE(message.has_value());
  slab.Begin(message->handle);
  EXPECT_EQ(slab.Advance(message->handle, 10, true),
            SendSlab<RegisteredBuffers::Pin>::Progress::kDone);
  EXPECT_EQ(buffers_->pins(1), 1U);
  slab.Notify(message->handle);
  EXPECT_EQ(buffers_->pins(1), 0U);
}

INSTANTIATE_TEST_SUITE_P(Kernels, RegisteredBuffersTest, BenignWorlds(), NameOf);

}  // namespace
}  // namespace orrery

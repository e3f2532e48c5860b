// A buffer that goes back twice is written by two connections at once; one that never goes back
// starves them all.
#include "runtime/buffer_ring.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/benign_worlds.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/test_world.h"

namespace orrery {
namespace {

class BufferRingTest : public testing::TestWithParam<BenignWorld> {
 protected:
  static constexpr uint16_t kGroup = 3;
  static constexpr UserData kReceiving{.operation = Operation::kTest, .slot = {1, 1}};
  static constexpr UserData kAccepting{.operation = Operation::kTest, .slot = {2, 1}};

  void SetUp() override {
    world_ = GetParam().make();
    auto ring = world_->kernel().MakeRing({.sq_entries = 8, .cq_entries = 256});
    ASSERT_TRUE(ring.has_value()) << ring.error();
    ring_ = std::move(*ring);
    submission_ = std::make_unique<SubmissionQueue>(*ring_);
  }

  void TearDown() override {
    if (listener_ >= 0) world_->kernel().Close(listener_);
    if (socket_ >= 0) world_->kernel().Close(socket_);
  }

  void MakeBuffers(unsigned buffers, size_t buffer_bytes) {
    auto made = BufferRing::Create(*ring_, kGroup, buffers, buffer_bytes);
    ASSERT_TRUE(made.has_value()) << made.error().ToString();
    buffers_ = std::move(*made);
  }

  // A connection whose other end is peer_.
  void MakeConnection() {
    listener_ = world_->kernel().Listen({}).value();
    ASSERT_TRUE(submission_->Accept(File::Descriptor(listener_), 0, kAccepting));
    peer_ = world_->Connect(world_->kernel().LocalPort(listener_).value());
    const std::vector<Completion> completions = Enter(1);
    ASSERT_EQ(completions.size(), 1U);
    ASSERT_TRUE(completions[0].ok());
    socket_ = static_cast<int>(completions[0].value());
  }

  // Enters the kernel, waits for `count` completions, and takes out all that are there.
  std::vector<Completion> Enter(unsigned count) {
    const EnterResult result =
        ring_->Enter({.to_submit = submission_->Publish(),
                      .min_complete = count,
                      .deadline = world_->kernel().MonotonicNow() + kSecond});
    EXPECT_TRUE(result.has_value() || result.error() == ETIME) << result.error().ToString();
    std::vector<Completion> completions;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) completions.emplace_back(*cqe);
    io_uring_cq_advance(&ring_->memory(), static_cast<unsigned>(completions.size()));
    return completions;
  }

  void Arm() {
    ASSERT_TRUE(submission_->ReceiveMultishot(File::Descriptor(socket_), kGroup, kReceiving));
  }

  std::unique_ptr<TestWorld> world_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> submission_;
  std::unique_ptr<BufferRing> buffers_;
  int listener_ = -1;
  int socket_ = -1;
  TestWorld::Peer peer_ = 0;
};

TEST_P(BufferRingTest, StartsWithAllBuffersAtTheKernel) {
  MakeBuffers(8, 100);
  EXPECT_EQ(buffers_->group(), kGroup);
  EXPECT_EQ(buffers_->buffers(), 8U);
  EXPECT_EQ(buffers_->buffer_bytes(), 100U);
  EXPECT_EQ(buffers_->with_kernel(), 8U);
}

TEST_P(BufferRingTest, AGroupExistsOnceAndCanBeMadeAgain) {
  MakeBuffers(8, 100);
  const auto second = BufferRing::Create(*ring_, kGroup, 8, 100);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error(), EEXIST);
  buffers_.reset();
  MakeBuffers(4, 10);
}

TEST_P(BufferRingTest, BuffersGoRoundAndRound) {
  MakeBuffers(4, 10);
  MakeConnection();
  Arm();
  std::string sent;
  std::string received;
  // Many times around the ring, across the wrap of its 2 bits.
  for (char round = 0; round < 50; ++round) {
    const std::string part(25, static_cast<char>('A' + round % 26));
    ASSERT_EQ(world_->Send(peer_, part), part.size());
    sent += part;
    while (received.size() < sent.size()) {
      const std::vector<Completion> completions = Enter(1);
      ASSERT_FALSE(completions.empty());
      std::vector<uint16_t> taken;
      for (const Completion& completion : completions) {
        ASSERT_TRUE(completion.ok()) << completion.error().ToString();
        ASSERT_TRUE(completion.more());
        ASSERT_TRUE(completion.buffer().has_value());
        taken.push_back(*completion.buffer());
        received += buffers_->Take(taken.back(), completion.value());
      }
      EXPECT_EQ(buffers_->with_kernel(), 4 - taken.size());
      // In another order than they came.
      std::reverse(taken.begin(), taken.end());
      for (const uint16_t buffer : taken) buffers_->Return(buffer);
      buffers_->Publish();
      EXPECT_EQ(buffers_->with_kernel(), 4U);
    }
  }
  EXPECT_EQ(received, sent);
}

TEST_P(BufferRingTest, ReturnedBuffersAreSeenWithPublishOnly) {
  MakeBuffers(1, 10);
  MakeConnection();
  ASSERT_EQ(world_->Send(peer_, "0123456789abcde"), 15U);
  Arm();
  std::vector<Completion> completions = Enter(2);
  ASSERT_EQ(completions.size(), 2U);
  EXPECT_EQ(buffers_->Take(completions[0].buffer().value(), completions[0].value()), "0123456789");
  EXPECT_TRUE(completions[1].failed_with(ENOBUFS));
  EXPECT_FALSE(completions[1].more());
  EXPECT_FALSE(completions[1].buffer().has_value());

  buffers_->Return(*completions[0].buffer());
  Arm();
  completions = Enter(1);
  ASSERT_EQ(completions.size(), 1U);
  EXPECT_TRUE(completions[0].failed_with(ENOBUFS));

  buffers_->Publish();
  buffers_->Publish();  // Nothing more to show.
  Arm();
  completions = Enter(1);
  ASSERT_GE(completions.size(), 1U);
  ASSERT_TRUE(completions[0].ok());
  EXPECT_EQ(buffers_->Take(completions[0].buffer().value(), completions[0].value()), "abcde");
}

TEST_P(BufferRingTest, MistakesAreNoticed) {
  MakeBuffers(4, 10);
  EXPECT_DEATH(buffers_->Return(2), "returned twice");
  EXPECT_DEATH(buffers_->Return(4), "buffer < buffers_");
  EXPECT_DEATH((void)buffers_->Take(4, 1), "buffer < buffers_");
  EXPECT_DEATH((void)buffers_->Take(0, 11), "bytes <= buffer_bytes_");
  (void)buffers_->Take(1, 10);
  EXPECT_DEATH((void)buffers_->Take(1, 10), "did not have");
  EXPECT_DEATH((void)BufferRing::Create(*ring_, kGroup + 1, 3, 10), "has_single_bit");
  EXPECT_DEATH((void)BufferRing::Create(*ring_, kGroup + 1, 4, 0), "buffer_bytes");
}

INSTANTIATE_TEST_SUITE_P(Kernels, BufferRingTest, BenignWorlds(), NameOf);

}  // namespace
}  // namespace orrery

// A ring that is not what was asked for, or lets anybody in, hides mistakes that a real one shows.
#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr unsigned kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

class SetUpTest : public testing::Test {
 protected:
  std::unique_ptr<ModelRing> Make(unsigned flags) {
    io_uring_params parameters{};
    parameters.flags = flags;
    auto ring = machine_.kernel.SetUpRing(8, parameters);
    ORRERY_CHECK(ring.has_value());
    return *std::move(ring);
  }
  static void Poll(ModelRing& ring, int fd, uint64_t user_data) {
    io_uring_sqe* const sqe = io_uring_get_sqe(&ring.memory());
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    sqe->user_data = user_data;
    *ring.memory().sq.ktail = ring.memory().sq.sqe_tail;
  }

  TestMachine machine_;
};

TEST_F(SetUpTest, MakesTheRingsOfLiburingRing) {
  EXPECT_EQ(machine_.memory().flags & kDeferred, kDeferred);
  EXPECT_NE(machine_.memory().flags & IORING_SETUP_SUBMIT_ALL, 0U);
  TestMachine prompt(ModelOptions{.task_work = TaskWork::kPrompt});
  EXPECT_EQ(prompt.memory().flags, unsigned{IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP});
}

TEST_F(SetUpTest, TellsWhereThingsLie) {
  io_uring_params parameters{};
  const auto ring = machine_.kernel.SetUpRing(8, parameters);
  ASSERT_TRUE(ring);
  const auto* const area = static_cast<const std::byte*>((*ring)->memory().sq.ring_ptr);
  EXPECT_EQ(area + parameters.sq_off.tail,
            reinterpret_cast<const std::byte*>((*ring)->memory().sq.ktail));
  EXPECT_EQ(area + parameters.cq_off.cqes,
            reinterpret_cast<const std::byte*>((*ring)->memory().cq.cqes));
}

TEST_F(SetUpTest, WhatLinuxHasAndTheModelHasNotStopsTheRun) {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SQPOLL;
  EXPECT_DEATH((void)machine_.kernel.SetUpRing(8, parameters), "set-up flags");
}

TEST_F(SetUpTest, TheFlagOfTaskWorkIsUpWhileThereIsSome) {  // Fact V4.
  const auto ring = Make(kDeferred | IORING_SETUP_TASKRUN_FLAG);
  const int fd = machine_.kernel.MakeEventFd().value();
  for (uint64_t poll = 0; poll < 8; ++poll) Poll(*ring, fd, poll);
  EXPECT_EQ(ring->Enter({.to_submit = 8}), 8U);
  const unsigned* const flags = ring->memory().sq.kflags;
  EXPECT_EQ(*flags & IORING_SQ_TASKRUN, 0U);
  machine_.kernel.SignalEventFd(fd);
  EXPECT_NE(*flags & IORING_SQ_TASKRUN, 0U);
  EXPECT_EQ(ring->Enter({}), 0U);
  EXPECT_EQ(*flags & IORING_SQ_TASKRUN, 0U);
}

TEST_F(SetUpTest, AWholeEnterIsForWhoIsAlone) {
  const auto first = Make(kDeferred);
  const auto second = Make(kDeferred);
  EXPECT_EQ(first->Enter({.min_complete = 1, .deadline = kSecond}), std::unexpected(Errno(ETIME)));
  ASSERT_FALSE(second->Begin({.min_complete = 1}).has_value());
  EXPECT_DEATH((void)first->Enter({.min_complete = 1, .deadline = 2 * kSecond}),
               "while another ring sleeps");
}

TEST_F(SetUpTest, AMinimumWaitThatIsOverLetsTheFirstWakeUpThrough) {  // Fact W7.
  const auto ring = Make(kDeferred);
  const int fd = machine_.kernel.MakeEventFd().value();
  Poll(*ring, fd, 1);
  EXPECT_FALSE(ring->Begin({.to_submit = 1, .min_complete = 5, .min_wait_us = 100}).has_value());
  EXPECT_EQ(ring->deadline(), 100 * kMicrosecond);
  EXPECT_FALSE(ring->CanFinish());
}

}  // namespace
}  // namespace orrery::model

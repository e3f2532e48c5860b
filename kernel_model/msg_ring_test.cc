// A message that gets lost, or that wakes nobody, leaves a shard asleep with mail in its box. What
// the kernel does is shown by tests/conformance; here is what only a model can be asked.
#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class MessageTest : public testing::Test {
 protected:
  MessageTest() : target_(std::move(*machine_.kernel.MakeRing({}))) {}

  void Send(uint64_t message, uint32_t value) {
    machine_.Add(99, [&](io_uring_sqe* sqe) {
      io_uring_prep_msg_ring(sqe, target_->memory().ring_fd, value, message, 0);
    });
    EXPECT_EQ(machine_.Look(), (Cqes{{99, 0, 0}}));
  }
  ModelRing& target() { return *machine_.kernel.rings()[1]; }

  TestMachine machine_;
  std::unique_ptr<Ring> target_;
};

TEST_F(MessageTest, ASleeperWakesWhenItHasAsManyAsItWaitsFor) {
  EXPECT_FALSE(target().Begin({.min_complete = 2}).has_value());
  Send(1, 0);
  EXPECT_FALSE(target().CanFinish());
  Send(2, 0);
  ASSERT_TRUE(target().CanFinish());
  EXPECT_EQ(target().Finish(), 0U);
  EXPECT_EQ(target_->memory().cq.ktail[0], 2U);
}

TEST_F(MessageTest, IsAnEventOfItsTarget) {
  Send(7, 5);
  EXPECT_EQ(target_->Enter({}), 0U);
  const Event& last = machine_.observer.events[machine_.observer.events.size() - 2];
  EXPECT_EQ(last.kind, EventKind::kComplete);
  EXPECT_EQ(last.entity, 1U);
  EXPECT_EQ(last.a, 7);
  EXPECT_EQ(last.b, 5);
}

TEST_F(MessageTest, IsNoRequestOfItsTarget) {
  Send(7, 5);
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
  target_.reset();  // What it has not looked at goes with it.
}

}  // namespace
}  // namespace orrery::model

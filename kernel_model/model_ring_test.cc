// Ring memory, submission, waiting, task work and overflow. Each test names the facts that it holds
// the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

TestMachine::Stream Armed(TestMachine& machine, uint64_t user_data, std::span<std::byte> memory) {
  const auto stream = machine.Connect();
  machine.Receive(user_data, stream.fd, memory);
  EXPECT_EQ(machine.Look(), Cqes{});
  return stream;
}

// `count` single polls armed on one eventfd, which one signal fires all.
int ArmPolls(TestMachine& machine, unsigned count) {
  const int event = *machine.kernel.MakeEventFd();
  for (unsigned index = 0; index < count; ++index) {
    machine.Add(1000 + index,
                [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, event, POLLIN); });
  }
  EXPECT_EQ(machine.Look(), Cqes{});
  return event;
}

class ModelRingTest : public ::testing::Test {
 protected:
  EnterResult EnterExactly(unsigned to_submit, unsigned min = 0) {
    machine_.Publish();
    return machine_.ring().Enter({.to_submit = to_submit, .min_complete = min});
  }

  TestMachine machine_;
  std::byte memory_[16];
};

TEST_F(ModelRingTest, SizesAreRoundedUpAndOverridden) {  // Facts S1, S2.
  TestMachine rounded({}, {.sq_entries = 3, .cq_entries = 5});
  EXPECT_EQ(rounded.memory().sq.ring_entries, 4U);
  EXPECT_EQ(rounded.memory().cq.ring_entries, 8U);
  TestMachine overridden({.sq_entries = 2, .cq_entries = 4});
  EXPECT_EQ(overridden.memory().sq.ring_entries, 2U);
  EXPECT_EQ(overridden.memory().cq.ring_entries, 4U);
  BenignChoice choice;
  ModelKernel kernel({}, choice, nullptr);
  EXPECT_FALSE(kernel.MakeRing({.sq_entries = 0, .cq_entries = 8}).has_value());
  EXPECT_FALSE(kernel.MakeRing({.sq_entries = 16, .cq_entries = 8}).has_value());
}

TEST_F(ModelRingTest, AFullQueueIsAnAnswer) {
  TestMachine machine({}, {.sq_entries = 2, .cq_entries = 8});
  machine.Nop(1);
  machine.Nop(2);
  EXPECT_EQ(io_uring_get_sqe(&machine.memory()), nullptr);
  EXPECT_EQ(machine.Look(), (Cqes{{1, 0, 0}, {2, 0, 0}}));
  machine.Nop(3);
  EXPECT_EQ(machine.Look(), (Cqes{{3, 0, 0}}));
  EXPECT_EQ(io_uring_sq_ready(&machine.memory()), 0U);
}

TEST_F(ModelRingTest, EnterReturnsWhatItConsumed) {  // Facts U1, U2.
  machine_.Nop(1);
  machine_.Nop(2);
  EXPECT_EQ(*EnterExactly(1), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(*EnterExactly(1), 1U);
  EXPECT_EQ(*EnterExactly(0), 0U);
}

TEST_F(ModelRingTest, ShortConsumptionSkipsTheWait) {  // Fact U3.
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  machine_.Nop(2);
  EXPECT_EQ(*EnterExactly(5, 10), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{2, 0, 0}}));  // No task work has run.
  EXPECT_EQ(*EnterExactly(1, 10), 0U);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}}));
}

TEST_F(ModelRingTest, ErrorsOfPreparationDoNotStopABatch) {  // Facts U4, U5, V6.
  machine_.Nop(1);
  machine_.Add(2, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->ioprio = 1;
  });
  machine_.Add(3, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->flags |= IOSQE_BUFFER_SELECT;
  });
  machine_.Close(4, 999);
  machine_.Add(5, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->flags |= IOSQE_FIXED_FILE;  // Fact U9.
  });
  EXPECT_EQ(machine_.Look(),
            (Cqes{{1, 0, 0}, {2, -EINVAL, 0}, {3, -EOPNOTSUPP, 0}, {4, -EBADF, 0}, {5, 0, 0}}));
}

TEST_F(ModelRingTest, ABadIndexIsDropped) {  // Fact U7.
  machine_.Nop(1);
  machine_.Nop(2);
  machine_.Nop(3);
  machine_.memory().sq.array[1] = 1u << 20;
  EXPECT_EQ(*machine_.Enter(), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(*machine_.memory().sq.kdropped, 1U);
  EXPECT_EQ(*machine_.Enter(), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{3, 0, 0}}));
}

TEST_F(ModelRingTest, NopInjectsAResult) {  // Fact U12.
  machine_.Add(1, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->rw_flags = 1;
    sqe->len = static_cast<uint32_t>(-EIO);
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EIO, 0}}));
}

TEST_F(ModelRingTest, SkipSuccess) {  // Fact L7, for requests by themselves.
  machine_.Add(1, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  });
  machine_.Add(2, [](io_uring_sqe* sqe) {
    io_uring_prep_close(sqe, 999);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EBADF, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

// --- Task work

TEST_F(ModelRingTest, InlineCompletionsComeBeforeTaskWork) {  // Fact V5.
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  machine_.Nop(2);
  machine_.Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {3, 0, 0}, {1, 1, 0}}));
}

TEST_F(ModelRingTest, TaskWorkRunsInBatches) {  // Fact V7.
  const int event = ArmPolls(machine_, 100);
  machine_.kernel.SignalEventFd(event);
  for (const size_t expected : {20, 20, 20, 20, 20, 0}) {
    EXPECT_EQ(machine_.Look().size(), expected);
  }
}

TEST_F(ModelRingTest, MinimumRaisesTheBatch) {  // Facts V7, V8.
  const int event = ArmPolls(machine_, 100);
  machine_.kernel.SignalEventFd(event);
  EXPECT_EQ(*machine_.Enter(50), 0U);
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 50U);
  EXPECT_EQ(*machine_.Enter(1), 0U);
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 70U);
}

TEST_F(ModelRingTest, SubmittingRunsABatchMore) {  // io_uring_enter(); observed on 6.18.
  const int event = ArmPolls(machine_, 100);
  machine_.kernel.SignalEventFd(event);
  machine_.Nop(1);
  EXPECT_EQ(machine_.Look().size(), 41U);
}

TEST_F(ModelRingTest, AfterASleepExactlyTheMissingNumberRuns) {  // Fact V7b.
  const int event = ArmPolls(machine_, 100);
  ASSERT_FALSE(machine_.Begin(1).has_value());
  machine_.kernel.SignalEventFd(event);
  ASSERT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(*machine_.ring().Finish(), 0U);
  EXPECT_EQ(machine_.Reap().size(), 1U);
  EXPECT_EQ(machine_.Look().size(), 20U);
}

TEST_F(ModelRingTest, AfterASleepWhatIsThereCounts) {  // Fact V7b.
  const int event = ArmPolls(machine_, 100);
  for (uint64_t user_data = 1; user_data <= 5; ++user_data) machine_.Nop(user_data);
  ASSERT_FALSE(machine_.Begin(10).has_value());
  machine_.kernel.SignalEventFd(event);
  ASSERT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(*machine_.ring().Finish(), 5U);
  EXPECT_EQ(machine_.Reap().size(), 10U);
}

TEST_F(ModelRingTest, TooLittleWorkLeavesASleeperAsleep) {
  const auto first = Armed(machine_, 1, std::span(memory_).first(4));
  const auto second = Armed(machine_, 2, std::span(memory_).subspan(4, 4));
  ASSERT_FALSE(machine_.Begin(2).has_value());
  machine_.PeerSend(first.peer, "a");
  EXPECT_FALSE(machine_.ring().CanFinish());
  machine_.PeerSend(second.peer, "b");
  EXPECT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(*machine_.ring().Finish(), 0U);
  EXPECT_EQ(machine_.Reap().size(), 2U);
}

TEST_F(ModelRingTest, WakeUpsOfDifferentFilesMayChangeOrder) {  // Fact V12.
  const auto first = Armed(machine_, 1, std::span(memory_).first(4));
  const auto second = Armed(machine_, 2, std::span(memory_).subspan(4, 4));
  machine_.PeerSend(first.peer, "a");
  machine_.PeerSend(second.peer, "b");
  machine_.choice.Always(Site::kTaskWorkOrder, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, 0}, {1, 1, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kTaskWorkOrder), 1U);
}

TEST_F(ModelRingTest, WakeUpsOfOneFileKeepTheirOrder) {
  const auto stream = Armed(machine_, 1, std::span(memory_).first(1));
  machine_.Receive(2, stream.fd, std::span(memory_).subspan(4, 1));
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.choice.Always(Site::kTaskWorkOrder, 1);
  machine_.PeerSend(stream.peer, "ab");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, kNotEmpty}, {1, 1, 0}}));
}

// --- Overflow

class OverflowTest : public ::testing::Test {
 protected:
  void Nops(uint64_t first, uint64_t last) {
    for (uint64_t user_data = first; user_data <= last; ++user_data) machine_.Nop(user_data);
  }
  bool overflowed() { return io_uring_cq_has_overflow(&machine_.memory()); }

  TestMachine machine_{{.sq_entries = 8, .cq_entries = 8}};
};

TEST_F(OverflowTest, NothingIsLostAndOrderIsKept) {  // Facts O1, O2, O3.
  Nops(1, 8);
  EXPECT_EQ(*machine_.Enter(), 8U);
  EXPECT_FALSE(overflowed());
  Nops(9, 12);
  EXPECT_EQ(*machine_.Enter(), 4U);
  EXPECT_TRUE(overflowed());
  EXPECT_EQ(*machine_.memory().cq.koverflow, 0U);
  // Half is consumed; a short enter, which does not flush, must not overtake the backlog.
  io_uring_cq_advance(&machine_.memory(), 2);
  machine_.Nop(13);
  EXPECT_EQ(*machine_.ring().Enter({.to_submit = machine_.Publish() + 1}), 1U);
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 6U);
  EXPECT_EQ(*machine_.Enter(), 0U);
  EXPECT_TRUE(overflowed());
  Cqes all = machine_.Reap();
  EXPECT_EQ(*machine_.Enter(), 0U);
  EXPECT_FALSE(overflowed());
  for (const Cqe& cqe : machine_.Reap()) all.push_back(cqe);
  ASSERT_EQ(all.size(), 11U);
  for (size_t index = 0; index < all.size(); ++index) EXPECT_EQ(all[index].user_data, index + 3);
}

TEST_F(OverflowTest, AFullQueueSatisfiesAnyWait) {  // Fact O4.
  Nops(1, 8);
  EXPECT_EQ(*machine_.Enter(100), 8U);
}

TEST_F(OverflowTest, BusyOnlyWithSomethingToReap) {
  machine_.choice.Always(Site::kEnterBusy, 1);
  Nops(1, 8);
  EXPECT_EQ(*machine_.Enter(), 8U);
  Nops(9, 10);
  EXPECT_EQ(*machine_.Enter(), 2U);
  Nops(11, 12);
  for (int attempt = 0; attempt < 3; ++attempt) EXPECT_EQ(machine_.Enter().error(), EBUSY);
  EXPECT_EQ(*machine_.Enter(), 2U);  // Not for ever.
  EXPECT_EQ(machine_.Reap().size(), 8U);
  EXPECT_EQ(*machine_.Enter(), 0U);  // The backlog fits.
  EXPECT_EQ(machine_.Reap().size(), 4U);
  EXPECT_EQ(machine_.observer.Faults(Site::kEnterBusy), 3U);
}

// --- Waiting

TEST_F(ModelRingTest, ADeadlineEndsAWait) {  // Fact W1.
  EXPECT_EQ(machine_.Enter(1, kMillisecond).error(), ETIME);
  EXPECT_EQ(machine_.kernel.MonotonicNow(), kMillisecond);
}

TEST_F(ModelRingTest, CompletionsHideADeadline) {  // Fact W2.
  machine_.Nop(1);
  EXPECT_TRUE(machine_.Enter().has_value());
  const EnterResult result = machine_.Enter(2, kMillisecond);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(*result, 0U);
}

TEST_F(ModelRingTest, SubmissionsHideADeadline) {  // Fact W3.
  const auto stream = machine_.Connect();
  machine_.Receive(1, stream.fd, memory_);
  EXPECT_EQ(*machine_.Enter(1, kMillisecond), 1U);
  EXPECT_EQ(machine_.Reap(), Cqes{});
}

TEST_F(ModelRingTest,
       ADeadlineBeforeTheStartEndsAWaitAtOnce) {  // As docs/kernel_divergences.md says.
  EXPECT_EQ(machine_.Enter(1, -kSecond).error(), ETIME);
  EXPECT_EQ(machine_.kernel.MonotonicNow(), 0);
}

TEST_F(ModelRingTest, APastDeadlineStillRunsTaskWork) {  // Fact W4.
  EXPECT_EQ(machine_.Enter(1, -5).error(), ETIME);
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  EXPECT_EQ(*machine_.Enter(5, 0), 0U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 1, 0}}));
}

TEST_F(ModelRingTest, ATimeThatTheClockDoesNotHoldIsForEver) {
  machine_.kernel.AdvanceTo(kSecond);
  for (const unsigned flags : {0U, 1U << 5}) {  // IORING_ENTER_ABS_TIMER
    const __kernel_timespec time{.tv_sec = kNever, .tv_nsec = kNever};
    io_uring_getevents_arg argument{};
    argument.ts = reinterpret_cast<uint64_t>(&time);  // The ABI carries a pointer so.
    const EnterCall call{.to_submit = 0,
                         .min_complete = 1,
                         .flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | flags,
                         .argument = &argument,
                         .argument_bytes = sizeof argument};
    ASSERT_FALSE(machine_.ring().BeginAs(call).has_value());
    EXPECT_EQ(machine_.ring().deadline(), kNever);
    machine_.ring().Signal();
    EXPECT_EQ(machine_.ring().Finish().error(), EINTR);
  }
}

TEST_F(ModelRingTest, ASignalEndsAWait) {  // Facts W1, W2, W3.
  machine_.choice.Always(Site::kEnterInterrupted, 4);
  EXPECT_EQ(machine_.Enter(1).error(), EINTR);
  EXPECT_EQ(machine_.kernel.MonotonicNow(), kMillisecond);
  machine_.Nop(1);
  EXPECT_EQ(*machine_.Enter(2), 1U);
  EXPECT_EQ(*machine_.Enter(2), 0U);
  EXPECT_EQ(machine_.observer.Faults(Site::kEnterInterrupted), 3U);
}

TEST_F(ModelRingTest, ASignalIsASleepersLatestMoment) {
  machine_.choice.Always(Site::kEnterInterrupted, 4);
  ASSERT_FALSE(machine_.Begin(1, kSecond).has_value());
  EXPECT_TRUE(machine_.ring().sleeping());
  EXPECT_EQ(machine_.ring().deadline(), kMillisecond);
  EXPECT_FALSE(machine_.ring().CanFinish());
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(machine_.ring().Finish().error(), EINTR);
  EXPECT_FALSE(machine_.ring().sleeping());
}

TEST_F(ModelRingTest, EnterMayConsumeFewer) {  // Fact U3.
  machine_.choice.Script(Site::kEnterConsumesFewer, 0, 0, 2);
  for (uint64_t user_data = 1; user_data <= 3; ++user_data) machine_.Nop(user_data);
  EXPECT_EQ(*machine_.Enter(3), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(*machine_.Enter(2), 2U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{2, 0, 0}, {3, 0, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kEnterConsumesFewer), 1U);
}

TEST_F(ModelRingTest, EnterMayAnswerAgain) {
  machine_.choice.Always(Site::kEnterAgain, 1);
  machine_.Nop(1);
  for (int attempt = 0; attempt < 3; ++attempt) {
    EXPECT_EQ(machine_.Enter(1).error(), EAGAIN);
    EXPECT_EQ(machine_.Reap(), Cqes{});
  }
  EXPECT_EQ(*machine_.Enter(1), 1U);  // Not for ever.
  EXPECT_EQ(*machine_.Enter(0), 0U);  // And only a submission.
  EXPECT_EQ(machine_.observer.Faults(Site::kEnterAgain), 3U);
}

// --- Without DEFER_TASKRUN

class PromptTest : public ::testing::Test {
 protected:
  TestMachine machine_{{.task_work = TaskWork::kPrompt}};
  std::byte memory_[16];
};

TEST_F(PromptTest, ATimerInterruptShowsCompletions) {  // Fact V2.
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 0U);
  machine_.ring().Interrupt();
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 1, 0}}));
}

TEST_F(PromptTest, PendingTaskWorkComesFirst) {  // Fact V5.
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, 0}, {2, 0, 0}}));
}

TEST_F(PromptTest, TaskWorkHasNoBatchLimit) {  // Facts V7, M9.
  const int event = ArmPolls(machine_, 100);
  machine_.kernel.SignalEventFd(event);
  EXPECT_EQ(machine_.Look().size(), 100U);
}

TEST_F(PromptTest, CancelShowsBothCqes) {  // Fact C4.
  Armed(machine_, 1, memory_);
  machine_.Cancel(2, 1);
  // Even when the waiting half is skipped.
  EXPECT_EQ(*machine_.ring().Enter({.to_submit = machine_.Publish() + 1}), 1U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(PromptTest, ASleeperIsWoken) {
  const auto stream = Armed(machine_, 1, memory_);
  ASSERT_FALSE(machine_.Begin(1).has_value());
  EXPECT_FALSE(machine_.ring().CanFinish());
  machine_.PeerSend(stream.peer, "x");
  ASSERT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(*machine_.ring().Finish(), 0U);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 1, 0}}));
}

TEST_F(ModelRingTest, DeferredRingsIgnoreInterrupts) {  // Fact V3.
  const auto stream = Armed(machine_, 1, memory_);
  machine_.PeerSend(stream.peer, "x");
  machine_.ring().Interrupt();
  EXPECT_EQ(machine_.Reap(), Cqes{});
}

// --- What a program may not do

TEST_F(ModelRingTest, ReservedUserDataIsReported) {
  machine_.Nop(~uint64_t{0});
  machine_.Look();
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"reserved-user-data"});
}

TEST_F(ModelRingTest, ABrokenTailIsReported) {
  *machine_.memory().sq.ktail += machine_.memory().sq.ring_entries + 1;
  EXPECT_EQ(*machine_.ring().Enter({}), 0U);
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"submission-queue-tail"});
}

TEST_F(ModelRingTest, ABrokenHeadIsReported) {
  *machine_.memory().cq.khead += 1;
  EXPECT_TRUE(machine_.Enter().has_value());
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{"completion-queue-head"});
}

using ModelRingDeathTest = ModelRingTest;

TEST_F(ModelRingDeathTest, WhatTheModelDoesNotKnowStopsTheRun) {
  const auto stop = [](auto prepare) {
    TestMachine machine;
    machine.Add(1, prepare);
    (void)machine.Enter();
  };
  EXPECT_DEATH(stop([](io_uring_sqe* sqe) { io_uring_prep_sync_file_range(sqe, 3, 0, 0, 0); }),
               "does not know opcode 8");
  EXPECT_DEATH(stop([](io_uring_sqe* sqe) {
                 io_uring_prep_accept(sqe, 3, nullptr, nullptr, 0);
                 sqe->flags |= IOSQE_ASYNC;
               }),
               "does not know IOSQE_ASYNC with opcode 13");
  EXPECT_DEATH(stop([](io_uring_sqe* sqe) { io_uring_prep_recv(sqe, 3, nullptr, 0, MSG_OOB); }),
               "does not know msg_flags of a receive 1");
  EXPECT_DEATH((void)machine_.ring().Register(IORING_REGISTER_PERSONALITY, nullptr, 0),
               "does not know register opcode 9");
}

TEST_F(ModelRingTest, AProbeNamesTheOperations) {  // Fact S9.
  std::array<uint64_t, (sizeof(io_uring_probe) + 64 * sizeof(io_uring_probe_op)) / 8> memory{};
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory.data());  // As calloc() gives it.
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_PROBE, probe, 64));
  EXPECT_EQ(probe->last_op, 62);
  EXPECT_EQ(probe->ops_len, 63);
  EXPECT_TRUE(io_uring_opcode_supported(probe, IORING_OP_SEND_ZC));
  EXPECT_FALSE(io_uring_opcode_supported(probe, 63));
  // It must be empty, as the kernel wants it for what may come.
  EXPECT_EQ(machine_.ring().Register(IORING_REGISTER_PROBE, probe, 64).error(), Errno(EINVAL));
}

TEST_F(ModelRingDeathTest, SleepingForEverStopsTheRun) {
  EXPECT_DEATH((void)machine_.Enter(1), "sleep for ever");
}

}  // namespace
}  // namespace orrery::model

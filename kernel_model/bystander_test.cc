// What a bystander can do in the middle of an Enter: if it came too early or too late, or changed
// what the model does without one, traces of the real kernel would be explained by a kernel that
// does not exist. Each test names the facts that it holds the model to.
#include "kernel_model/bystander.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr uint16_t kGroup = 7;

uint32_t Id(uint16_t id) { return kBuffer | uint32_t{id} << IORING_CQE_BUFFER_SHIFT; }

// Does what the test says at each point; nothing by default.
class ScriptedBystander final : public Bystander {
 public:
  void BeforeOperation(uint64_t, const io_uring_sqe& sqe) override {
    if (before_operation) before_operation(sqe);
  }
  void BeforeTaskWork(uint64_t, unsigned room, bool again) override {
    ++looks;
    taken.push_back({room, again});
    if (before_task_work) before_task_work();
  }
  void AfterReceive(uint64_t, uint64_t user_data, size_t bytes) override {
    if (after_receive) after_receive(user_data, bytes);
  }
  void BeforeWaiting(uint64_t, uint64_t user_data) override {
    if (before_waiting) before_waiting(user_data);
  }
  size_t SendRoom(uint64_t, uint64_t, size_t room, size_t unread) override {
    return send_room ? send_room(room, unread) : room;
  }
  bool HoldsWorker(uint64_t, uint64_t) override { return holds_workers; }

  std::function<void(const io_uring_sqe&)> before_operation;
  std::function<void()> before_task_work;
  std::function<void(uint64_t, size_t)> after_receive;
  std::function<void(uint64_t)> before_waiting;
  std::function<size_t(size_t, size_t)> send_room;
  bool holds_workers = false;
  int looks = 0;
  std::vector<std::pair<unsigned, bool>> taken;  // With how much room, and whether again.
};

class BystanderTest : public ::testing::Test {
 protected:
  BystanderTest() : buffers_(kGroup, 8, 4) {
    stream_ = machine_.Connect();
    EXPECT_TRUE(buffers_.Register(machine_.ring()).has_value());
    buffers_.PublishAll();
    machine_.kernel.SetBystander(&bystander_);
  }
  void TearDown() override {
    EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
    machine_.DestroyRing();
  }
  void Arrive(std::string_view text) { machine_.PeerSend(stream_.peer, text); }
  void Arm() {
    machine_.ReceiveMultishot(1, stream_.fd, kGroup);
    EXPECT_EQ(machine_.Look(), Cqes{});
  }

  TestBuffers buffers_;
  TestMachine machine_;
  TestMachine::Stream stream_;
  ScriptedBystander bystander_;
};

TEST_F(BystanderTest, WhatArrivesWhileABatchIsSubmittedIsThereForTheNextOperation) {  // Fact V6.
  bystander_.before_operation = [&](const io_uring_sqe& sqe) {
    if (sqe.user_data == 2) Arrive("ab");
  };
  machine_.Nop(2);
  machine_.ReceiveMultishot(1, stream_.fd, kGroup);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 2, Id(0) | kMore}}));
}

TEST_F(BystanderTest, EachOfTheTwoRunsOfAnEnterSeesWhatCameBeforeIt) {  // Fact V5.
  Arm();
  bystander_.looks = 0;
  bystander_.taken.clear();
  bystander_.before_task_work = [&] { Arrive(bystander_.looks == 1 ? "ab" : "c"); };
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 2, Id(0) | kMore}, {1, 1, Id(1) | kMore}}));
  const std::vector<std::pair<unsigned, bool>> expected = {{20, true}, {20, false}};  // Fact V7.
  EXPECT_EQ(bystander_.taken, expected);
}

TEST_F(BystanderTest, WhatArrivesDuringAReceiveIsHintedAtAndTaken) {  // Facts M2, M8.
  Arm();
  Arrive("ab");
  bystander_.after_receive = [&](uint64_t user_data, size_t bytes) {
    EXPECT_EQ(user_data, 1U);
    if (bytes == 2) Arrive("c");
  };
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kMore | kNotEmpty}, {1, 1, Id(1) | kMore}}));
  EXPECT_EQ(machine_.Look(), Cqes{});  // Its wake-up came while it ran: nothing is left of it.
}

TEST_F(BystanderTest, AMultishotThatIsWokenWhileItRunsGoesRoundOnceMore) {
  Arm();
  Arrive("ab");
  int rounds = 0;
  bystander_.before_waiting = [&](uint64_t) {
    if (++rounds == 1) Arrive("c");
  };
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 2, Id(0) | kMore}, {1, 1, Id(1) | kMore}}));
  EXPECT_EQ(rounds, 2);
  Arrive("d");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 1, Id(2) | kMore}}));
}

TEST_F(BystanderTest, WhatArrivesJustBeforeAReceiveWaitsKeepsCancelsFromFindingIt) {  // Fact C5.
  bystander_.before_waiting = [&](uint64_t user_data) {
    EXPECT_EQ(user_data, 1U);
    Arrive("ab");
  };
  std::array<std::byte, 8> memory{};
  machine_.Receive(1, stream_.fd, memory);
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOENT, 0}, {1, 2, 0}}));
}

TEST_F(BystanderTest, ASendTakesWhatThereIsRoomFor) {  // Facts T1, T3.
  bystander_.send_room = [](size_t, size_t) { return size_t{3}; };
  machine_.Send(2, stream_.fd, "abcdef");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 3, 0}}));

  bystander_.send_room = [](size_t, size_t unread) {
    EXPECT_EQ(unread, 3U);
    return size_t{0};
  };
  machine_.Send(3, stream_.fd, "def");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.Look(), Cqes{});  // It does not try again by itself.
  bystander_.send_room = nullptr;
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 3, 0}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "def");
}

TEST_F(BystanderTest, AWorkerThatIsHeldRunsWhenItIsTold) {  // Fact A14.
  bystander_.holds_workers = true;
  EXPECT_FALSE(machine_.kernel.RunWorker(0, 2));
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_TRUE(machine_.kernel.RunWorker(0, 2));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_FALSE(machine_.kernel.RunWorker(0, 2));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
}

}  // namespace
}  // namespace orrery::model

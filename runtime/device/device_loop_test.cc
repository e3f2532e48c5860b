// A device that is told too early reads what has not arrived; one that is not told waits for ever.
// The loop by turns, on Linux and on the fake kernel.
#include "runtime/device/device_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/scripted_choice.h"
#include "runtime/benign_worlds.h"
#include "runtime/device/device_port.h"
#include "runtime/device/requester.h"
#include "runtime/metrics.h"
#include "runtime/model_world.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/test_world.h"

namespace orrery {

void PrintTo(const DeviceResult& result, std::ostream* out);
void PrintTo(const DeviceResult& result, std::ostream* out) {
  *out << (result.ok ? "ok " : "error ") << result.tag;
}

namespace {

constexpr uint32_t kSlots = 8;
constexpr size_t kRegionBytes = 64 * kKiB;
constexpr size_t kFileBytes = 100'000;

std::byte FileByte(size_t offset) { return static_cast<std::byte>(offset * 7 + offset / 251); }

struct WorldKind {
  const char* name;
  std::unique_ptr<TestWorld> (*make)();
  bool fixed_buffers;
};
void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

// A port, a loop, a device and a file, in a world.
class DeviceFixture : public testing::Test {
 protected:
  void SetUpIn(std::unique_ptr<TestWorld> world, const std::string& folder) {
    world_ = std::move(world);
    descriptors_before_ = world_->open_descriptors();
    file_ = SharedFile(kernel(), MakeFile(folder + "device_loop_test_file"));
    MakeLoop();
  }

  // Every test ends with a stop in the state that it has reached, after which nothing is left.
  void TearDown() override {
    if (loop_ != nullptr) Stop();
    loop_.reset();
    port_.reset();
    file_ = SharedFile();
    EXPECT_EQ(world_->open_descriptors(), descriptors_before_);
  }

  Kernel& kernel() { return world_->kernel(); }
  DeviceHandles& handles() { return port_->handles(); }
  const DeviceCounters& counters() { return port_->counters(); }

  int MakeFile(const std::string& path) {
    auto ring = kernel().MakeRing({.sq_entries = 4, .cq_entries = 8}).value();
    SubmissionQueue submission(*ring);
    const auto run = [&](const auto& prepare) {
      io_uring_sqe sqe{};
      prepare(&sqe);
      EXPECT_TRUE(submission.Push(sqe, {.operation = Operation::kTest, .slot = {}}));
      EXPECT_TRUE(ring->Enter({.to_submit = submission.Publish(), .min_complete = 1}).has_value());
      unsigned head = 0;
      io_uring_cqe* cqe = nullptr;
      int result = 0;
      io_uring_for_each_cqe(&ring->memory(), head, cqe) result = cqe->res;
      io_uring_cq_advance(&ring->memory(), 1);
      return result;
    };
    const int fd = run([&](io_uring_sqe* sqe) {
      io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
                           0600);
    });
    EXPECT_GE(fd, 0);
    std::vector<std::byte> content(kFileBytes);
    for (size_t offset = 0; offset < kFileBytes; ++offset) content[offset] = FileByte(offset);
    EXPECT_EQ(run([&](io_uring_sqe* sqe) {
                io_uring_prep_write(sqe, fd, content.data(), kFileBytes, 0);
              }),
              static_cast<int>(kFileBytes));
    return fd;
  }

  void MakePort() {
    std::fill(slots_.begin(), slots_.end(), orrery_device_slot{});
    auto port = DevicePort::Create(kernel(), std::as_writable_bytes(std::span(slots_)),
                                   {std::span(region_)});
    ASSERT_TRUE(port.has_value()) << port.error();
    port_ = *std::move(port);
    device_ = std::make_unique<Requester>(Queue());
    source_ = handles().AddSource(file_, {.may_write = true}).value();
    for (size_t piece = 0; piece < pieces_.size(); ++piece) {
      pieces_[piece] = handles().AddDestination(0, piece * kPieceBytes, kPieceBytes).value();
    }
  }
  void MakeLoop() {
    loop_.reset();
    MakePort();
    auto loop = DeviceLoop::Create(*port_, options_);
    ASSERT_TRUE(loop.has_value()) << loop.error();
    loop_ = *std::move(loop);
  }
  SlotQueue Queue() { return MapSlotQueue(std::as_writable_bytes(std::span(slots_))).value(); }

  void Turn() {
    EnterRequest request = loop_->Turn();
    // The tick ends every wait: a test must never hang.
    request.deadline = std::min(request.deadline, kernel().MonotonicNow() + kMillisecond);
    loop_->OnEntered(loop_->ring().Enter(request));
  }
  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < 20000 && !predicate(); ++turn) {
      if (loop_->finished()) return predicate();
      Turn();
    }
    return predicate();
  }
  void Stop() {
    port_->RequestStop();
    EXPECT_TRUE(RunUntil([this] { return loop_->finished(); }));
    EXPECT_EQ(counters().in_flight.value(), 0U);
    EXPECT_EQ(counters().claimed.value(), counters().completed.value() + counters().lost.value());
  }

  uint64_t Publish(const DeviceRequest& request) {
    const auto number = device_->TryPublish(request);
    EXPECT_TRUE(number.has_value()) << "the queue is full";
    return number.value_or(0);
  }
  DeviceResult Await(uint64_t number) {
    std::optional<DeviceResult> result;
    const auto take = [&] {
      if (!result.has_value()) result = device_->TryTake(number);
      return result.has_value();
    };
    EXPECT_TRUE(RunUntil(take));
    return result.value_or(DeviceResult{});
  }
  DeviceResult Do(const DeviceRequest& request) { return Await(Publish(request)); }

  DeviceRequest Read(size_t piece, uint64_t offset, uint32_t bytes) {
    return {.operation = ORRERY_DEVICE_READ,
            .source = source_,
            .destination = pieces_[piece],
            .offset = offset,
            .bytes = bytes};
  }
  DeviceRequest Write(size_t piece, uint64_t offset, uint32_t bytes) {
    DeviceRequest request = Read(piece, offset, bytes);
    request.operation = ORRERY_DEVICE_WRITE;
    return request;
  }
  static DeviceRequest Fence() { return {.operation = ORRERY_DEVICE_FENCE}; }
  static DeviceResult Ok(uint32_t bytes) { return {.ok = true, .tag = bytes}; }
  static DeviceResult Error(uint32_t error) { return {.ok = false, .tag = error}; }

  uint32_t status(uint64_t number) { return slots_[number % kSlots].status; }

  static constexpr size_t kPieceBytes = 16 * kKiB;
  std::span<std::byte> Piece(size_t piece) {
    return std::span(region_).subspan(piece * kPieceBytes, kPieceBytes);
  }
  // Whether a piece has this part of the file, as it was made.
  bool Has(size_t piece, uint64_t offset, size_t bytes) {
    for (size_t at = 0; at < bytes; ++at) {
      if (Piece(piece)[at] != FileByte(offset + at)) return false;
    }
    return true;
  }

  DeviceLoopOptions options_;
  std::unique_ptr<TestWorld> world_;
  size_t descriptors_before_ = 0;
  SharedFile file_;
  alignas(64) std::array<orrery_device_slot, kSlots> slots_{};
  std::vector<std::byte> region_ = std::vector<std::byte>(kRegionBytes);
  std::unique_ptr<DevicePort> port_;
  std::unique_ptr<DeviceLoop> loop_;
  std::unique_ptr<Requester> device_;
  uint32_t source_ = 0;
  std::array<uint32_t, kRegionBytes / kPieceBytes> pieces_{};
};

// --- On every kernel

class DeviceLoopTest : public DeviceFixture, public testing::WithParamInterface<WorldKind> {
 protected:
  void SetUp() override {
    options_.fixed_buffers = GetParam().fixed_buffers;
    SetUpIn(GetParam().make(), GetParam().make == MakeBenignLinux ? testing::TempDir() : "/");
  }
};

INSTANTIATE_TEST_SUITE_P(
    Kernels, DeviceLoopTest,
    testing::Values(WorldKind{.name = "linux", .make = MakeBenignLinux, .fixed_buffers = true},
                    WorldKind{
                        .name = "linux_plain", .make = MakeBenignLinux, .fixed_buffers = false},
                    WorldKind{.name = "model",
                              .make = MakeBenignModel<model::TaskWork::kDeferred>,
                              .fixed_buffers = true},
                    WorldKind{.name = "model_prompt",
                              .make = MakeBenignModel<model::TaskWork::kPrompt>,
                              .fixed_buffers = true},
                    WorldKind{.name = "model_plain",
                              .make = MakeBenignModel<model::TaskWork::kDeferred>,
                              .fixed_buffers = false}),
    [](const auto& parameters) { return std::string(parameters.param.name); });

TEST_P(DeviceLoopTest, ReadsWhatIsInTheFile) {
  const uint64_t first = Publish(Read(0, 0, 4096));
  const uint64_t second = Publish(Read(1, 33'333, 16'000));
  EXPECT_EQ(Await(second), Ok(16'000));
  EXPECT_EQ(Await(first), Ok(4096));
  EXPECT_TRUE(Has(0, 0, 4096));
  EXPECT_TRUE(Has(1, 33'333, 16'000));
  EXPECT_EQ(Piece(0)[4096], std::byte{0});
  EXPECT_EQ(counters().bytes_read.value(), 20'096U);
}

TEST_P(DeviceLoopTest, WritesWhatIsInTheMemory) {
  std::fill(Piece(0).begin(), Piece(0).end(), std::byte{0x5a});
  EXPECT_EQ(Do(Write(0, 500, 1000)), Ok(1000));
  EXPECT_EQ(Do(Read(1, 0, 2000)), Ok(2000));
  EXPECT_TRUE(Has(1, 0, 500));
  EXPECT_EQ(std::count(Piece(1).begin() + 500, Piece(1).begin() + 1500, std::byte{0x5a}), 1000);
  EXPECT_EQ(Piece(1)[1500], FileByte(1500));
  EXPECT_EQ(counters().bytes_written.value(), 1000U);
}

TEST_P(DeviceLoopTest, TheEndOfTheFileGivesTheCountThatWasReached) {
  EXPECT_EQ(Do(Read(0, kFileBytes - 100, 4096)), Ok(100));
  EXPECT_TRUE(Has(0, kFileBytes - 100, 100));
  EXPECT_EQ(Do(Read(0, kFileBytes, 4096)), Ok(0));
  EXPECT_EQ(Do(Read(0, kFileBytes + 1'000'000, 1)), Ok(0));
  EXPECT_EQ(Do(Read(0, 0, 0)), Ok(0));
}

TEST_P(DeviceLoopTest, WhatIsRefusedIsAnsweredAndTheLoopGoesOn) {
  const auto with = [this](auto change) {
    DeviceRequest request = Read(0, 0, 100);
    change(request);
    return Do(request);
  };
  for (const uint32_t operation : {0U, 4U, 0xffffffffU}) {
    EXPECT_EQ(with([&](DeviceRequest& request) { request.operation = operation; }), Error(EINVAL));
  }
  EXPECT_EQ(with([&](DeviceRequest& request) { request.source = pieces_[0]; }), Error(EBADF));
  // The number of the file itself.
  const auto descriptor = static_cast<uint32_t>(file_.descriptor());
  EXPECT_EQ(with([&](DeviceRequest& request) { request.source = descriptor; }), Error(EBADF));
  EXPECT_EQ(with([&](DeviceRequest& request) { request.destination = 0; }), Error(EBADF));
  EXPECT_EQ(with([&](DeviceRequest& request) { request.bytes = kPieceBytes + 1; }), Error(ERANGE));
  EXPECT_EQ(with([&](DeviceRequest& request) { request.offset = UINT64_MAX; }), Error(ERANGE));
  const uint32_t read_only = handles().AddSource(file_, {.begin = 10, .end = 20}).value();
  EXPECT_EQ(with([&](DeviceRequest& request) { request.source = read_only; }), Error(ERANGE));
  EXPECT_EQ(with([&](DeviceRequest& request) {
              request.source = read_only;
              request.operation = ORRERY_DEVICE_WRITE;
            }),
            Error(EACCES));
  EXPECT_EQ(counters().failures(DeviceFailure::kOperation), 3U);
  EXPECT_EQ(counters().failures(DeviceFailure::kHandle), 3U);
  EXPECT_EQ(counters().failures(DeviceFailure::kRange), 3U);
  EXPECT_EQ(counters().failures(DeviceFailure::kDirection), 1U);
  EXPECT_EQ(std::count(region_.begin(), region_.end(), std::byte{0}), ptrdiff_t{kRegionBytes});
  EXPECT_EQ(Do(Read(0, 5, 100)), Ok(100));
}

TEST_P(DeviceLoopTest, TheKernelsErrorIsTheDevices) {
  const SharedFile broken(kernel(), kernel().MakeEventFd().value());
  DeviceRequest request = Read(0, 0, 4);  // An eventfd gives eight bytes, or EINVAL.
  request.source = handles().AddSource(broken, {}).value();
  EXPECT_EQ(Do(request), Error(EINVAL));
  EXPECT_EQ(counters().failures(DeviceFailure::kKernel), 1U);
}

TEST_P(DeviceLoopTest, LongRequestsGoInPieces) {
  options_.piece_bytes_max = 1000;
  MakeLoop();
  const uint64_t before = loop_->operations().completions;
  EXPECT_EQ(Do(Read(2, 70'000, 15'500)), Ok(15'500));
  EXPECT_TRUE(Has(2, 70'000, 15'500));
  EXPECT_GE(loop_->operations().completions - before, 16U);
  EXPECT_EQ(Do(Write(2, 0, 15'500)), Ok(15'500));
  EXPECT_EQ(Do(Read(1, 0, 15'500)), Ok(15'500));
  EXPECT_TRUE(Has(1, 70'000, 15'500));
}

TEST_P(DeviceLoopTest, MoreRequestsThanPlacesWaitInTheirOrder) {
  options_.requests_max = 2;
  MakeLoop();
  std::vector<uint64_t> numbers;
  for (uint64_t lap = 0; lap < 20; ++lap) {
    for (uint32_t request = 0; request < kSlots; ++request) {
      numbers.push_back(Publish(Read(request % 4, lap * 100 + request, 50)));
      EXPECT_LE(counters().in_flight.value(), 2U);
    }
    for (const uint64_t number : numbers) EXPECT_EQ(Await(number), Ok(50));
    numbers.clear();
  }
  EXPECT_EQ(counters().claimed.value(), 160U);
}

TEST_P(DeviceLoopTest, AFenceWithNothingBeforeItCompletes) {
  EXPECT_EQ(Do(Fence()), Ok(0));
  const uint64_t read = Publish(Read(0, 0, 4096));
  const uint64_t fence = Publish(Fence());
  EXPECT_EQ(Await(fence), Ok(0));
  EXPECT_EQ(status(read), ORRERY_DEVICE_OK);
  EXPECT_EQ(Await(read), Ok(4096));
}

TEST_P(DeviceLoopTest, AWithdrawnHandleIsNone) {
  ASSERT_TRUE(handles().Withdraw(pieces_[0]).has_value());
  EXPECT_EQ(Do(Read(0, 0, 10)), Error(EBADF));
  EXPECT_EQ(Do(Read(1, 0, 10)), Ok(10));
  ASSERT_TRUE(handles().Withdraw(source_).has_value());
  EXPECT_EQ(Do(Read(1, 0, 10)), Error(EBADF));
  source_ = handles().AddSource(file_, {}).value();
  EXPECT_EQ(Do(Read(1, 0, 10)), Ok(10));
}

TEST_P(DeviceLoopTest, WhatIsNotClaimedAtAStopIsTheNextLoops) {
  EXPECT_EQ(Do(Read(0, 0, 10)), Ok(10));
  port_->RequestStop();
  port_->RequestStop();
  const uint64_t left = Publish(Read(1, 777, 20));
  Stop();
  EXPECT_EQ(status(left), ORRERY_DEVICE_PUBLISHED);
  EXPECT_FALSE(loop_->error().has_value());
  options_.first_slot = loop_->next_slot();
  EXPECT_EQ(options_.first_slot, 1U);
  loop_.reset();
  // A new port, whose handles are numbered as the old one's.
  const auto slots = slots_;
  MakePort();
  slots_ = slots;
  loop_ = DeviceLoop::Create(*port_, options_).value();
  device_ = std::make_unique<Requester>(Queue(), left + 1);
  EXPECT_EQ(Await(left), Ok(20));
  EXPECT_TRUE(Has(1, 777, 20));
}

TEST_P(DeviceLoopTest, AStatusThatIsNoneIsRefusedAndCountedOnce) {
  slots_[0].status = 77;
  for (int turn = 0; turn < 100; ++turn) Turn();
  EXPECT_EQ(slots_[0].status, 77U);
  EXPECT_EQ(counters().refused.value(), 1U);
  slots_[0].status = ORRERY_DEVICE_CLAIMED;
  for (int turn = 0; turn < 100; ++turn) Turn();
  EXPECT_EQ(slots_[0].status, ORRERY_DEVICE_CLAIMED);
  EXPECT_EQ(counters().refused.value(), 2U);
  slots_[0].status = ORRERY_DEVICE_EMPTY;
  EXPECT_EQ(Do(Read(0, 0, 10)), Ok(10));
  EXPECT_EQ(counters().refused.value(), 2U);
}

TEST_P(DeviceLoopTest, LatenciesAreCounted) {
  DeviceRequest request = Read(0, 0, 10);
  EXPECT_EQ(Do(request), Ok(10));
  EXPECT_EQ(counters().queue_to_claim.count(), 0U) << "it did not say when it was published";
  // Half a second ago, wherever the clock stands modulo 2^32.
  request.published_at = static_cast<uint32_t>(kernel().MonotonicNow() - 500 * kMillisecond) | 1;
  EXPECT_EQ(Do(request), Ok(10));
  EXPECT_EQ(counters().queue_to_claim.count(), 1U);
  EXPECT_GE(counters().queue_to_claim.Percentile(1, 2), 500 * kMillisecond);
  EXPECT_LE(counters().queue_to_claim.Percentile(1, 2), 2 * kSecond);
  EXPECT_EQ(counters().claim_to_complete.count(), 2U);
  Metrics metrics;
  port_->Register(metrics);
  const std::string text = metrics.PrometheusText();
  for (const char* line : {"orrery_device_claimed_total 2\n", "orrery_device_read_bytes_total 20\n",
                           "# TYPE orrery_device_queue_to_claim_nanoseconds histogram\n",
                           "orrery_device_queue_to_claim_nanoseconds_bucket{le=\"134217727\"} 0\n",
                           "orrery_device_queue_to_claim_nanoseconds_bucket{le=\"+Inf\"} 1\n",
                           "orrery_device_claim_to_complete_nanoseconds_count 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

// --- On the fake kernel, where the disk takes as long as the test says

class DeviceLoopModelTest : public DeviceFixture {
 protected:
  static constexpr Nanoseconds kDelay = 10 * kMillisecond;

  void SetUp() override {
    auto choice = std::make_unique<model::ScriptedChoice>();
    choice_ = choice.get();
    auto world =
        std::make_unique<ModelWorld>(model::ModelOptions{.delays = {0, kDelay}}, std::move(choice));
    model_ = &world->model();
    SetUpIn(std::move(world), "/");
  }
  void MakeDiskSlow() { choice_->Always(model::Site::kReadCold, 2); }
  void MakeDiskFast() { choice_->Never(model::Site::kReadCold); }

  model::ScriptedChoice* choice_ = nullptr;
  model::ModelKernel* model_ = nullptr;
};

TEST_F(DeviceLoopModelTest, AFenceWaitsForWhatWasClaimedBeforeIt) {
  MakeDiskSlow();
  const uint64_t slow = Publish(Read(0, 0, 100));
  const uint64_t fence = Publish(Fence());
  const uint64_t second_fence = Publish(Fence());
  ASSERT_TRUE(RunUntil([&] { return status(second_fence) == ORRERY_DEVICE_CLAIMED; }));
  MakeDiskFast();
  // What comes later does not wait for it.
  EXPECT_EQ(Do(Read(1, 0, 100)), Ok(100));
  EXPECT_EQ(status(fence), ORRERY_DEVICE_CLAIMED);
  EXPECT_EQ(status(slow), ORRERY_DEVICE_CLAIMED);
  EXPECT_EQ(Await(slow), Ok(100));
  EXPECT_EQ(status(fence), ORRERY_DEVICE_OK);
  EXPECT_EQ(status(second_fence), ORRERY_DEVICE_OK);
}

TEST_F(DeviceLoopModelTest, WithdrawalWaitsForWhatIsInFlight) {
  MakeDiskSlow();
  const uint64_t number = Publish(Read(0, 0, 100));
  ASSERT_TRUE(RunUntil([&] { return status(number) == ORRERY_DEVICE_CLAIMED; }));
  file_ = SharedFile();
  ASSERT_TRUE(handles().Withdraw(pieces_[0]).has_value());
  ASSERT_TRUE(handles().Withdraw(source_).has_value());
  EXPECT_TRUE(handles().InUse(pieces_[0]));
  EXPECT_TRUE(handles().InUse(source_));
  EXPECT_EQ(Await(number), Ok(100));
  EXPECT_TRUE(Has(0, 0, 100));
  EXPECT_FALSE(handles().InUse(pieces_[0]));
  EXPECT_FALSE(handles().InUse(source_));
}

TEST_F(DeviceLoopModelTest, NewRequestsAreSeenWhileOthersAreInFlight) {
  MakeDiskSlow();
  const uint64_t slow = Publish(Read(0, 0, 100));
  ASSERT_TRUE(RunUntil([&] { return status(slow) == ORRERY_DEVICE_CLAIMED; }));
  // A device that was answered asks again: it is looked for a few times before the sleep.
  EnterRequest request;
  for (uint32_t looks = 0; (request = loop_->Turn()).min_complete == 0; ++looks) {
    ASSERT_LT(looks, DeviceLoop::kLooksInFlight);
    loop_->OnEntered(loop_->ring().Enter(request));
  }
  EXPECT_EQ(request.deadline, kernel().MonotonicNow() + DeviceLoop::kWaitMax);
  loop_->OnEntered(loop_->ring().Enter(request));
  MakeDiskFast();
  EXPECT_EQ(Do(Read(1, 0, 100)), Ok(100));
  EXPECT_EQ(status(slow), ORRERY_DEVICE_CLAIMED);
  EXPECT_EQ(Await(slow), Ok(100));
}

TEST_F(DeviceLoopModelTest, WhileAllPlacesAreTakenThereIsNothingToLookFor) {
  options_.requests_max = 1;
  MakeLoop();
  MakeDiskSlow();
  const uint64_t slow = Publish(Read(0, 0, 100));
  const uint64_t waits = Publish(Read(1, 0, 100));
  const EnterRequest request = loop_->Turn();
  EXPECT_EQ(request.min_complete, 1U);
  EXPECT_EQ(request.deadline, kNever);
  loop_->OnEntered(loop_->ring().Enter(request));
  EXPECT_EQ(Await(slow), Ok(100));
  EXPECT_EQ(Await(waits), Ok(100));
}

// Also after days: a counter that goes on counting would let it spin, or sleep, for no reason.
TEST_F(DeviceLoopModelTest, AnIdleLoopLooksThenParksAndStaysSo) {
  const auto wait = [this] {
    const EnterRequest request = loop_->Turn();
    loop_->OnEntered(loop_->ring().Enter({.to_submit = request.to_submit}));
    return request.min_complete == 0 ? 0 : request.deadline - kernel().MonotonicNow();
  };
  const auto look = [&](uint32_t times) {
    for (uint32_t turn = 0; turn < times; ++turn) ASSERT_EQ(wait(), 0);
    for (const Nanoseconds park : {10, 20, 40, 80, 100, 100, 100}) {
      ASSERT_EQ(wait(), park * kMicrosecond);
    }
  };
  look(DeviceLoop::kLooksMax);
  for (int turn = 0; turn < 100'000; ++turn) ASSERT_EQ(wait(), DeviceLoop::kParkMax);
  EXPECT_EQ(Do(Read(0, 0, 10)), Ok(10));
  look(DeviceLoop::kLooksMax - 1);  // The turn of the completion was the first.
}

TEST_F(DeviceLoopModelTest, AStopCutsTheParkingShort) {
  EnterRequest request = loop_->Turn();
  while (request.min_complete == 0) {
    loop_->OnEntered(loop_->ring().Enter(request));
    request = loop_->Turn();
  }
  const Nanoseconds before = kernel().MonotonicNow();
  port_->RequestStop();
  loop_->OnEntered(loop_->ring().Enter(request));
  EXPECT_EQ(kernel().MonotonicNow(), before);
  EXPECT_TRUE(RunUntil([this] { return loop_->finished(); }));
  EXPECT_EQ(kernel().MonotonicNow(), before);
}

TEST_F(DeviceLoopModelTest, AStopWaitsForTheKernel) {
  options_.finish_limit = kDelay / 10;  // What it cancels then cannot be stopped (fact C10).
  MakeLoop();
  MakeDiskSlow();
  const uint64_t number = Publish(Read(0, 0, 100));
  ASSERT_TRUE(RunUntil([&] { return status(number) == ORRERY_DEVICE_CLAIMED; }));
  Stop();
  EXPECT_EQ(model_->requests_in_flight(), 0U);
  EXPECT_EQ(device_->TryTake(number), Ok(100));
  EXPECT_TRUE(Has(0, 0, 100));
}

TEST_F(DeviceLoopModelTest, AStopEndsWhatWouldNeverEnd) {
  options_.finish_limit = kMillisecond;
  MakeLoop();
  // Not what a source is meant to be: nobody will ever write to it.
  const SharedFile silent(kernel(), kernel().MakeEventFd().value());
  DeviceRequest request = Read(0, 0, 8);
  request.source = handles().AddSource(silent, {}).value();
  const uint64_t number = Publish(request);
  const uint64_t fence = Publish(Fence());
  ASSERT_TRUE(RunUntil([&] { return status(fence) == ORRERY_DEVICE_CLAIMED; }));
  Stop();
  EXPECT_EQ(device_->TryTake(number), Error(ECANCELED));
  EXPECT_EQ(device_->TryTake(fence), Ok(0));
}

// --- When the ring fails

TEST_F(DeviceLoopModelTest, AnErrorOfTheRingThatPassesLosesNothing) {
  MakeDiskSlow();
  const uint64_t number = Publish(Read(0, 0, 100));
  ASSERT_TRUE(RunUntil([&] { return status(number) == ORRERY_DEVICE_CLAIMED; }));
  Turn();
  (void)loop_->Turn();
  loop_->OnEntered(std::unexpected(Errno(EBADR)));
  EXPECT_EQ(status(number), ORRERY_DEVICE_CLAIMED) << "the kernel still has its memory";
  const uint64_t later = Publish(Read(1, 0, 100));
  EXPECT_TRUE(RunUntil([this] { return loop_->finished(); }));
  EXPECT_EQ(loop_->error(), Errno(EBADR));
  EXPECT_EQ(device_->TryTake(number), Ok(100));
  EXPECT_TRUE(Has(0, 0, 100));
  EXPECT_EQ(status(later), ORRERY_DEVICE_PUBLISHED);
  EXPECT_EQ(counters().lost.value(), 0U);
}

TEST_F(DeviceLoopModelTest, ARingThatIsGoneLeavesWhatTheKernelHas) {
  MakeDiskSlow();
  const uint64_t lost = Publish(Read(0, 0, 100));
  ASSERT_TRUE(RunUntil([&] { return status(lost) == ORRERY_DEVICE_CLAIMED; }));
  Turn();
  // These come too late for the kernel: their SQEs are never consumed.
  const uint64_t fence = Publish(Fence());
  (void)loop_->Turn();
  for (int turn = 0; !loop_->finished(); ++turn) {
    ASSERT_LT(turn, 10'000);
    loop_->OnEntered(std::unexpected(Errno(EBADF)));
    if (loop_->finished()) break;
    model_->AdvanceTo(kernel().MonotonicNow() + kMillisecond);
    (void)loop_->Turn();
  }
  EXPECT_EQ(loop_->error(), Errno(EBADF));
  EXPECT_EQ(status(lost), ORRERY_DEVICE_CLAIMED);
  EXPECT_EQ(counters().lost.value(), 1U);
  EXPECT_EQ(device_->TryTake(fence), Error(EBADF));
  ASSERT_TRUE(handles().Withdraw(pieces_[0]).has_value());
  EXPECT_FALSE(handles().AwaitUnused(pieces_[0]));
  EXPECT_TRUE(handles().InUse(pieces_[0]));
  handles().LoopEnded();
}

// --- What the device does to its slots

TEST_F(DeviceLoopModelTest, WordsAreReadOnce) {
  MakeDiskSlow();
  const uint64_t number = Publish(Read(0, 1000, 100));
  ASSERT_TRUE(RunUntil([&] { return status(number) == ORRERY_DEVICE_CLAIMED; }));
  orrery_device_slot& slot = slots_[number];
  slot.operation = slot.source = slot.destination = slot.offset_low = slot.bytes = slot.tag = 99;
  EXPECT_EQ(Await(number), Ok(100));
  EXPECT_TRUE(Has(0, 1000, 100));
}

TEST_F(DeviceLoopModelTest, ASlotThatIsPublishedTwiceIsServedOneAfterTheOther) {
  MakeDiskSlow();
  const uint64_t number = Publish(Read(0, 1000, 100));
  ASSERT_TRUE(RunUntil([&] { return status(number) == ORRERY_DEVICE_CLAIMED; }));
  // The device forgets that it has asked. The loop, which comes around, does not.
  slots_[0].status = ORRERY_DEVICE_EMPTY;
  MakeDiskFast();
  for (uint32_t slot = 1; slot < kSlots; ++slot) EXPECT_EQ(Do(Read(1, 0, slot)), Ok(slot));
  const uint64_t again = Publish(Read(2, 5000, 200));
  for (int turn = 0; turn < 10; ++turn) Turn();
  EXPECT_EQ(status(again), ORRERY_DEVICE_PUBLISHED);
  EXPECT_FALSE(Has(0, 1000, 100));
  EXPECT_EQ(Await(again), Ok(200));
  EXPECT_TRUE(Has(0, 1000, 100));
  EXPECT_TRUE(Has(2, 5000, 200));
  // One publication of what was held, and one answer that nobody waited for.
  EXPECT_EQ(counters().refused.value(), 2U);
}

TEST_F(DeviceLoopModelTest, BadGeometryIsRefused) {
  const std::span<std::byte> queue = std::as_writable_bytes(std::span(slots_));
  const auto problem = [&](std::span<std::byte> memory, std::vector<std::span<std::byte>> regions) {
    const auto port = DevicePort::Create(kernel(), memory, std::move(regions));
    return port.has_value() ? "" : port.error();
  };
  EXPECT_EQ(problem(queue, {std::span(region_)}), "");
  EXPECT_EQ(problem(queue.first(100), {std::span(region_)}),
            "device queue: its size is no multiple of 32 bytes");
  EXPECT_EQ(problem(queue.first(96), {std::span(region_)}),
            "device queue: 3 slots; it must be a power of two, and 4096 at most");
  EXPECT_EQ(problem(queue.subspan(16, 32), {std::span(region_)}),
            "device queue: it is not aligned to 32 bytes");
  EXPECT_NE(problem(queue, {}), "");
  EXPECT_NE(problem(queue, {std::span<std::byte>()}), "");
}

}  // namespace
}  // namespace orrery

// What would break: between real threads, or real processes, a request is lost, is answered before
// its data is there, or a stop does not end. For --config=tsan, too.
#include "runtime/device/device_thread.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/device/requester.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

constexpr uint32_t kSlots = 16;
constexpr uint32_t kBlockBytes = 4096;
constexpr uint32_t kBlocks = 64;
constexpr uint32_t kRequests = 2000;

std::byte FileByte(uint64_t offset) { return static_cast<std::byte>(offset * 31 + offset / 4096); }

// Queue and destinations in memory that two processes share, and a file.
class DeviceThreadTest : public testing::Test {
 protected:
  static constexpr size_t kQueueBytes = kSlots * sizeof(orrery_device_slot);
  static constexpr size_t kMemoryBytes = kBlockBytes + kSlots * kBlockBytes;

  void SetUp() override {
    const int fd = ::memfd_create("device_queue", MFD_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::ftruncate(fd, kMemoryBytes), 0);
    void* const mapped = ::mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(mapped, MAP_FAILED);
    ::close(fd);
    memory_ = {static_cast<std::byte*>(mapped), kMemoryBytes};
    std::string path = testing::TempDir() + "device_thread_test_XXXXXX";
    const int file = ::mkstemp(path.data());
    ASSERT_GE(file, 0);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    std::vector<std::byte> content(size_t{kBlocks} * kBlockBytes);
    for (size_t at = 0; at < content.size(); ++at) content[at] = FileByte(at);
    ASSERT_EQ(::write(file, content.data(), content.size()), std::ssize(content));
    file_ = SharedFile(kernel_, file);
    port_ = DevicePort::Create(kernel_, queue_bytes(), {blocks()}).value();
    source_ = port_->handles().AddSource(file_, {.end = content.size()}).value();
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      destinations_[slot] =
          port_->handles().AddDestination(0, slot * kBlockBytes, kBlockBytes).value();
    }
  }
  void TearDown() override {
    port_.reset();
    ::munmap(memory_.data(), memory_.size());
  }

  std::span<std::byte> queue_bytes() { return memory_.first(kQueueBytes); }
  std::span<std::byte> blocks() { return memory_.subspan(kBlockBytes); }
  std::span<std::byte> Block(uint64_t number) {
    return blocks().subspan(number % kSlots * kBlockBytes, kBlockBytes);
  }

  // Plays the device: keeps the queue full, and looks at every byte. How many requests were
  // answered as they should be; fewer than asked when `give_up` comes true.
  uint32_t Play(uint32_t requests, const std::atomic<bool>& give_up) {
    Requester requester(MapSlotQueue(queue_bytes()).value());
    uint64_t taken = 0;
    uint32_t right = 0;
    while (taken < requests && !give_up.load(std::memory_order_relaxed)) {
      const uint64_t number = requester.published();
      const bool room = number < requests && number - taken < kSlots;
      if (room && !requester.TryPublish(Request(number)).has_value()) return right;
      const auto result = requester.TryTake(taken);
      if (!result.has_value()) {
        if (!room) std::this_thread::yield();
        continue;
      }
      right += IsRight(taken, *result) ? 1 : 0;
      ++taken;
    }
    return right;
  }
  DeviceRequest Request(uint64_t number) {
    if (number % 7 == 6) return {.operation = ORRERY_DEVICE_FENCE};
    return {.operation = ORRERY_DEVICE_READ,
            .source = source_,
            .destination = destinations_[number % kSlots],
            .offset = number * 37 % kBlocks * kBlockBytes,
            .bytes = kBlockBytes};
  }
  bool IsRight(uint64_t number, DeviceResult result) {
    const DeviceRequest request = Request(number);
    if (request.operation == ORRERY_DEVICE_FENCE) return result.ok && result.tag == 0;
    if (!result.ok || result.tag != kBlockBytes) return false;
    for (size_t at = 0; at < kBlockBytes; ++at) {
      if (Block(number)[at] != FileByte(request.offset + at)) return false;
    }
    return true;
  }

  LinuxKernel kernel_;
  std::span<std::byte> memory_;
  SharedFile file_;
  std::unique_ptr<DevicePort> port_;
  uint32_t source_ = 0;
  std::array<uint32_t, kSlots> destinations_{};
  std::atomic<bool> never_{false};
};

TEST_F(DeviceThreadTest, AThreadGetsWhatItAsksFor) {
  auto thread = DeviceThread::Start(*port_, {.requests_max = 8});
  ASSERT_TRUE(thread.has_value()) << thread.error();
  std::atomic<uint32_t> right = 0;
  std::jthread([&] { right = Play(kRequests, never_); }).join();
  EXPECT_EQ(right, kRequests);
  EXPECT_TRUE((*thread)->Stop().has_value());
  EXPECT_TRUE((*thread)->Stop().has_value());
  EXPECT_EQ(port_->counters().completed.value(), kRequests);
}

TEST_F(DeviceThreadTest, AnotherProcessGetsWhatItAsksFor) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(Play(kRequests, never_) == kRequests ? 0 : 1);
  auto thread = DeviceThread::Start(*port_, {});
  ASSERT_TRUE(thread.has_value()) << thread.error();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE((*thread)->Stop().has_value());
  EXPECT_EQ(port_->counters().completed.value(), kRequests);
}

TEST_F(DeviceThreadTest, HandlesComeAndGoWhileItRuns) {
  auto thread = DeviceThread::Start(*port_, {});
  ASSERT_TRUE(thread.has_value()) << thread.error();
  uint32_t right = 0;
  std::jthread device([&] { right = Play(kRequests, never_); });
  for (int round = 0; round < 200; ++round) {
    const uint32_t source = port_->handles().AddSource(file_, {}).value();
    const uint32_t destination = port_->handles().AddDestination(0, 0, 100).value();
    EXPECT_TRUE(port_->handles().Withdraw(source).has_value());
    EXPECT_TRUE(port_->handles().Withdraw(destination).has_value());
    EXPECT_TRUE(port_->handles().AwaitUnused(source));
    EXPECT_TRUE(port_->handles().AwaitUnused(destination));
  }
  device.join();
  EXPECT_EQ(right, kRequests);
}

TEST_F(DeviceThreadTest, AStopInTheMiddleEnds) {
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    std::fill(queue_bytes().begin(), queue_bytes().end(), std::byte{0});
    auto port = DevicePort::Create(kernel_, queue_bytes(), {blocks()}).value();
    auto thread = DeviceThread::Start(*port, {});
    ASSERT_TRUE(thread.has_value()) << thread.error();
    std::atomic<bool> give_up = false;
    // Its handles are of another port, with the same numbers.
    source_ = port->handles().AddSource(file_, {}).value();
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      destinations_[slot] =
          port->handles().AddDestination(0, slot * kBlockBytes, kBlockBytes).value();
    }
    std::jthread device([&] { (void)Play(1'000'000, give_up); });
    while (port->counters().completed.value() < 50) std::this_thread::yield();
    std::jthread other([&] { EXPECT_TRUE((*thread)->Stop().has_value()); });
    EXPECT_TRUE((*thread)->Stop().has_value());
    EXPECT_EQ(port->counters().in_flight.value(), 0U);
    give_up = true;
    device.join();
    const SlotQueue queue = MapSlotQueue(queue_bytes()).value();
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      EXPECT_NE(queue.status(slot), uint32_t{ORRERY_DEVICE_CLAIMED});
    }
  }
}

TEST_F(DeviceThreadTest, ALoopThatCannotBeMadeSaysWhy) {
  // Memory that nobody may touch cannot be registered.
  void* const forbidden =
      ::mmap(nullptr, kBlockBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const std::span<std::byte> region(static_cast<std::byte*>(forbidden), kBlockBytes);
  auto port = DevicePort::Create(kernel_, queue_bytes(), {region}).value();
  const auto thread = DeviceThread::Start(*port, {});
  ASSERT_FALSE(thread.has_value());
  EXPECT_EQ(thread.error(), "device loop: the memory cannot be registered: EFAULT: Bad address");
  ::munmap(forbidden, kBlockBytes);
}

}  // namespace
}  // namespace orrery

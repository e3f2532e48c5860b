// What would break: a device reads or writes what it was not given, or what it was given goes away
// under its requests.
#include "runtime/device/handles.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"

namespace orrery {
namespace {

class HandlesTest : public testing::Test {
 protected:
  SharedFile AnyFile() { return SharedFile(kernel_, kernel_.MakeEventFd().value()); }
  static DeviceRequest Read(uint32_t source, uint32_t destination, uint64_t offset,
                            uint32_t bytes) {
    return {.operation = ORRERY_DEVICE_READ,
            .source = source,
            .destination = destination,
            .offset = offset,
            .bytes = bytes};
  }
  int ErrorOf(const DeviceRequest& request) {
    const auto target = handles_.Acquire(request);
    if (!target) return target.error().value();
    handles_.Release(*target);
    return 0;
  }

  model::BenignChoice choice_;
  model::ModelKernel kernel_{{}, choice_, nullptr};
  std::array<std::byte, 4096> memory_{};
  DeviceHandles handles_{{std::span(memory_).first(1000), std::span(memory_).subspan(2000, 1000)}};
};

TEST_F(HandlesTest, ARequestGetsWhatItsHandlesName) {
  const uint32_t file = handles_.AddSource(AnyFile(), {.begin = 100, .end = 200}).value();
  const uint32_t piece = handles_.AddDestination(1, 300, 50).value();
  const auto target = handles_.Acquire(Read(file, piece, 150, 40));
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->memory.bytes.data(), memory_.data() + 2300);
  EXPECT_EQ(target->memory.bytes.size(), 40U);
  EXPECT_EQ(target->memory.region, 1U);
  EXPECT_GE(target->descriptor, 0);
  handles_.Release(*target);
}

TEST_F(HandlesTest, NothingOutsideIsGiven) {
  const uint32_t file = handles_.AddSource(AnyFile(), {.begin = 100, .end = 200}).value();
  const uint32_t piece = handles_.AddDestination(0, 0, 50).value();
  EXPECT_EQ(ErrorOf(Read(file, piece, 100, 50)), 0);
  EXPECT_EQ(ErrorOf(Read(file, piece, 150, 50)), 0);
  EXPECT_EQ(ErrorOf(Read(file, piece, 200, 0)), 0);
  EXPECT_EQ(ErrorOf(Read(file, piece, 99, 1)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, 151, 50)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, 201, 0)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, UINT64_MAX, 1)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, UINT64_MAX - 10, 50)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, 100, 51)), ERANGE);
  EXPECT_EQ(ErrorOf(Read(file, piece, 100, UINT32_MAX)), ERANGE);
  DeviceRequest write = Read(file, piece, 100, 1);
  write.operation = ORRERY_DEVICE_WRITE;
  EXPECT_EQ(ErrorOf(write), EACCES);
  write.source = handles_.AddSource(AnyFile(), {.may_read = false, .may_write = true}).value();
  EXPECT_EQ(ErrorOf(write), 0);
  write.operation = ORRERY_DEVICE_READ;
  EXPECT_EQ(ErrorOf(write), EACCES);
}

TEST_F(HandlesTest, ANumberThatWasNotGivenOutIsNone) {
  const uint32_t file = handles_.AddSource(AnyFile(), {}).value();
  const uint32_t piece = handles_.AddDestination(0, 0, 50).value();
  EXPECT_EQ(ErrorOf(Read(file, piece, 0, 1)), 0);
  // Of the other kind, descriptors, indices, the neighbours.
  EXPECT_EQ(ErrorOf(Read(piece, file, 0, 1)), EBADF);
  for (uint32_t number = 0; number < 64; ++number) {
    EXPECT_EQ(ErrorOf(Read(number, piece, 0, 1)), EBADF);
    EXPECT_EQ(ErrorOf(Read(file, number, 0, 1)), EBADF);
  }
  EXPECT_EQ(ErrorOf(Read(file + 1, piece, 0, 1)), EBADF);
  EXPECT_EQ(ErrorOf(Read(file, UINT32_MAX, 0, 1)), EBADF);
  EXPECT_EQ(handles_.Withdraw(12345).error(), Errno(EBADF));
}

TEST_F(HandlesTest, WhatIsRegisteredMustMakeSense) {
  EXPECT_EQ(handles_.AddSource(AnyFile(), {.begin = 5, .end = 5}).error(), Errno(EINVAL));
  EXPECT_EQ(handles_.AddSource(AnyFile(), {.end = uint64_t{1} << 63}).error(), Errno(EINVAL));
  EXPECT_EQ(handles_.AddSource(AnyFile(), {.may_read = false}).error(), Errno(EINVAL));
  EXPECT_EQ(handles_.AddDestination(2, 0, 1).error(), Errno(ERANGE));
  EXPECT_EQ(handles_.AddDestination(0, 1000, 1).error(), Errno(ERANGE));
  EXPECT_EQ(handles_.AddDestination(0, 999, 2).error(), Errno(ERANGE));
  EXPECT_EQ(handles_.AddDestination(0, 1, UINT64_MAX).error(), Errno(EINVAL));
  EXPECT_EQ(handles_.AddDestination(0, 0, 0).error(), Errno(EINVAL));
  EXPECT_TRUE(handles_.AddDestination(0, 999, 1).has_value());
}

TEST_F(HandlesTest, AWithdrawnOneIsLetGoOfByItsLastUse) {
  const size_t open = kernel_.open_descriptors();
  const uint32_t file = handles_.AddSource(AnyFile(), {}).value();
  const uint32_t piece = handles_.AddDestination(0, 0, 50).value();
  const auto target = handles_.Acquire(Read(file, piece, 0, 1));
  ASSERT_TRUE(target.has_value());
  EXPECT_TRUE(handles_.Withdraw(file).has_value());
  EXPECT_EQ(handles_.Withdraw(file).error(), Errno(EBADF));
  EXPECT_EQ(ErrorOf(Read(file, piece, 0, 1)), EBADF);
  EXPECT_TRUE(handles_.InUse(file));
  EXPECT_EQ(kernel_.open_descriptors(), open + 1);
  handles_.Release(*target);
  EXPECT_FALSE(handles_.InUse(file));
  EXPECT_TRUE(handles_.AwaitUnused(file));
  EXPECT_EQ(kernel_.open_descriptors(), open);
  // Its place is taken by another, and it is not that one.
  const uint32_t other = handles_.AddSource(AnyFile(), {}).value();
  EXPECT_NE(other, file);
  EXPECT_EQ(ErrorOf(Read(file, piece, 0, 1)), EBADF);
  EXPECT_EQ(ErrorOf(Read(other, piece, 0, 1)), 0);
}

TEST_F(HandlesTest, WhoWaitsIsWoken) {
  const uint32_t file = handles_.AddSource(AnyFile(), {}).value();
  const uint32_t piece = handles_.AddDestination(0, 0, 50).value();
  const auto target = handles_.Acquire(Read(file, piece, 0, 1));
  ASSERT_TRUE(handles_.Withdraw(piece).has_value());
  ASSERT_TRUE(handles_.Withdraw(file).has_value());
  {
    std::jthread waiter([&] { EXPECT_TRUE(handles_.AwaitUnused(piece)); });
    handles_.Release(*target);
  }
  // What a loop that has ended leaves in use is in use for ever.
  const uint32_t lost = handles_.AddDestination(0, 0, 50).value();
  const uint32_t source = handles_.AddSource(AnyFile(), {}).value();
  const auto kept = handles_.Acquire(Read(source, lost, 0, 1));
  ASSERT_TRUE(kept.has_value());
  ASSERT_TRUE(handles_.Withdraw(lost).has_value());
  std::jthread waiter([&] { EXPECT_FALSE(handles_.AwaitUnused(lost)); });
  handles_.LoopEnded();
}

TEST_F(HandlesTest, ThereIsALimit) {
  std::set<uint32_t> handles;
  for (uint32_t count = 0; count < DeviceHandles::kHandlesMax; ++count) {
    handles.insert(handles_.AddDestination(0, 0, 50).value());
  }
  EXPECT_EQ(handles.size(), DeviceHandles::kHandlesMax);
  EXPECT_EQ(handles_.AddDestination(0, 0, 50).error(), Errno(ENOSPC));
  ASSERT_TRUE(handles_.Withdraw(*handles.begin()).has_value());
  EXPECT_FALSE(handles.contains(handles_.AddDestination(0, 0, 50).value()));
}

}  // namespace
}  // namespace orrery

// A fiber that runs beside its owner, loses its place on its stack, or takes others' down when it
// is killed would show here.
#include "kernel_model/program/fiber.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace orrery::model {
namespace {

TEST(Fiber, TakesTurnsWithItsOwner) {
  std::string said;
  std::unique_ptr<Fiber> fiber;
  fiber = std::make_unique<Fiber>([&] {
    for (int i = 0; i < 3; ++i) {
      said += 'f';
      fiber->Suspend();
    }
    said += 'e';
  });
  while (!fiber->finished()) {
    said += 'o';
    fiber->Resume();
  }
  EXPECT_EQ(said, "ofofofoe");
}

TEST(Fiber, KeepsItsStackWhileItIsSuspended) {
  constexpr size_t kBig = size_t{1} << 20;
  size_t sum = 0;
  std::unique_ptr<Fiber> fiber;
  fiber = std::make_unique<Fiber>([&] {
    std::array<unsigned char, kBig> bytes;
    bytes.fill(1);
    fiber->Suspend();
    for (const unsigned char byte : bytes) sum += byte;
  });
  fiber->Resume();
  std::array<unsigned char, kBig / 16> others;
  others.fill(7);
  fiber->Resume();
  EXPECT_TRUE(fiber->finished());
  EXPECT_EQ(sum, kBig);
  EXPECT_EQ(others.back(), 7);
}

TEST(Fiber, ManyAreIndependent) {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<int> counts(50);
  for (int& count : counts) {
    const size_t index = fibers.size();
    fibers.push_back(std::make_unique<Fiber>([&fibers, &count, index] {
      for (;;) {
        ++count;
        if (count > static_cast<int>(index)) return;
        fibers[index]->Suspend();
      }
    }));
  }
  for (size_t index = 0; index < fibers.size(); ++index) {
    while (!fibers[index]->finished()) fibers[index]->Resume();
    EXPECT_EQ(counts[index], static_cast<int>(index) + 1);
  }
}

TEST(Fiber, WhatAKilledOneHadIsNotDestroyed) {
  const auto witness = std::make_shared<int>(1);
  {
    std::unique_ptr<Fiber> fiber;
    fiber = std::make_unique<Fiber>([&] {
      const auto* const leaked = new std::shared_ptr<int>(witness);
      fiber->Suspend();
      delete leaked;
    });
    fiber->Resume();
    EXPECT_EQ(witness.use_count(), 2);
  }
  EXPECT_EQ(witness.use_count(), 2);
}

TEST(FiberDeathTest, IsNotResumedAfterItsEnd) {
  Fiber fiber([] {});
  fiber.Resume();
  EXPECT_DEATH(fiber.Resume(), "finished");
}

}  // namespace
}  // namespace orrery::model

// What would break: completions would never come in the middle of a turn, and a program that gives
// its buffers back before it has read them would pass.
#include "sim/interrupted_kernel.h"

#include <gtest/gtest.h>

#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"

namespace orrery::sim {
namespace {

TEST(InterruptedKernel, IsInterruptedAtEachLookAtTheWallClock) {
  model::BenignChoice choice;
  model::ModelKernel model({}, choice, nullptr);
  InterruptedKernel kernel(model);
  EXPECT_EQ(kernel.RealtimeNow(), model.RealtimeNow());
  int interrupts = 0;
  kernel.OnInterrupt([&interrupts] { ++interrupts; });
  EXPECT_EQ(kernel.RealtimeNow(), model.RealtimeNow());
  EXPECT_EQ(kernel.RealtimeNow(), model.RealtimeNow());
  EXPECT_EQ(interrupts, 2);
  EXPECT_EQ(kernel.MonotonicNow(), model.MonotonicNow());
  EXPECT_EQ(interrupts, 2);
}

TEST(InterruptedKernel, PassesEverythingOn) {
  model::BenignChoice choice;
  model::ModelKernel model({}, choice, nullptr);
  InterruptedKernel kernel(model);
  const auto listener = kernel.Listen({});
  ASSERT_TRUE(listener.has_value());
  EXPECT_EQ(kernel.LocalPort(*listener), model.LocalPort(*listener));
  EXPECT_EQ(model.open_descriptors(), 1u);
  kernel.Close(*listener);
  EXPECT_EQ(model.open_descriptors(), 0u);
}

}  // namespace
}  // namespace orrery::sim

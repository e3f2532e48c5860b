// Signals for tasks, on Linux: what would break is a server that does not stop. (On the fake kernel
// the examples are stopped by signals.)
#include "runtime/coro/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <memory>

#include "base/units.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"
#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::coro {
namespace {

class SignalsTest : public testing::Test {
 protected:
  SignalsTest() : ring_(*kernel_.MakeRing({})), io_(*ring_, kernel_) {}
  IoContext& io() { return io_; }

 private:
  LinuxKernel kernel_;
  std::unique_ptr<Ring> ring_;
  IoContext io_;
};

TEST_F(SignalsTest, WakeWhoWaits) {
  const auto body = [&]() -> Task<int> {
    auto signals = SignalSet::Catch(io(), {SIGUSR1, SIGUSR2});
    const auto send = [&]() -> Task<> {
      EXPECT_TRUE(co_await io().Sleep(kMillisecond));
      ::raise(SIGUSR2);
    };
    const auto [signal, nothing] = co_await WhenAll(signals->Wait(), send());
    co_return signal.value_or(0);
  };
  EXPECT_EQ(io().Run(body()), SIGUSR2);
}

TEST_F(SignalsTest, AreKeptOneOfAKindAndComeLowestFirst) {
  const auto body = [&]() -> Task<> {
    auto signals = SignalSet::Catch(io(), {SIGUSR1, SIGUSR2});
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    const auto first = co_await signals->Wait();
    EXPECT_EQ(first, SIGUSR1);
    const auto second = co_await signals->Wait();
    EXPECT_EQ(second, SIGUSR2);
    // There is no third: only the sleep ends.
    const auto sleep = [&]() -> Task<> { (void)co_await io().Sleep(5 * kMillisecond); };
    const auto any = co_await WhenAny(signals->Wait(), sleep());
    EXPECT_EQ(any.index(), 1u);
  };
  io().Run(body());
}

TEST_F(SignalsTest, DoAgainWhatTheyDidBefore) {
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &before), 0);
  {
    auto signals = SignalSet::Catch(io(), {SIGUSR1});
    struct sigaction now{};
    ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &now), 0);
    EXPECT_NE(now.sa_handler, before.sa_handler);
  }
  struct sigaction after{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
  EXPECT_TRUE(SignalSet::Catch(io(), {SIGUSR1}).has_value()) << "one set after the other";
}

}  // namespace
}  // namespace orrery::coro

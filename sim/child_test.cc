// What would break: a run that crashes or hangs would end the search for bugs instead of being one
// of its results, or would be taken for one that went well.
#include "sim/child.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/units.h"

namespace orrery::sim {
namespace {

std::unique_ptr<Child> RunOne(const Child::Body& body, const ChildLimits& limits = {}) {
  auto child = Child::Start(body, limits);
  child->PumpToTheEnd();
  return child;
}

TEST(Child, ReturnsWhatItWrote) {
  const std::string large(1'000'000, 'x');
  const auto child = RunOne([&](const ChildSide& side) {
    side.Write("first ");
    side.Write(large);
    std::fputs("said\n", stderr);
    std::puts("and printed");
  });
  EXPECT_EQ(child->end(), Child::End::kReturned);
  EXPECT_EQ(child->output(), "first " + large);
  EXPECT_EQ(child->errors(), "said\nand printed\n");
}

TEST(Child, ChangesNothingHere) {
  int value = 1;
  const auto child = RunOne([&](const ChildSide&) { value = 2; });
  EXPECT_EQ(child->end(), Child::End::kReturned);
  EXPECT_EQ(value, 1);
}

TEST(Child, ACheckThatFailsIsASignalAndItsWords) {
  const auto child = RunOne([](const ChildSide& side) {
    side.Write("so far");
    const int one = 1;
    ORRERY_CHECK_OP(one, ==, 2);
  });
  EXPECT_EQ(child->end(), Child::End::kSignalled);
  EXPECT_EQ(child->code(), SIGABRT);
  EXPECT_EQ(child->output(), "so far");
  EXPECT_NE(child->errors().find("check failed: one == 2 (1 against 2)"), std::string::npos)
      << child->errors();
}

TEST(Child, ExitsAndSignalsAreToldApart) {
  const auto exited = RunOne([](const ChildSide&) { _exit(7); });
  EXPECT_EQ(exited->end(), Child::End::kExited);
  EXPECT_EQ(exited->code(), 7);
  const auto killed = RunOne([](const ChildSide&) { raise(SIGKILL); });
  EXPECT_EQ(killed->end(), Child::End::kSignalled);
  EXPECT_EQ(killed->code(), SIGKILL);
}

TEST(Child, IsStoppedWhenItHangs) {
  const auto child = RunOne(
      [](const ChildSide& side) {
        side.Write("before");
        for (volatile bool forever = true; forever;) {
        }
      },
      {.processor_time_max = 50 * kMillisecond});
  EXPECT_EQ(child->end(), Child::End::kOutOfTime);
  EXPECT_EQ(child->output(), "before");
}

TEST(Child, IsStoppedWhenItSleeps) {
  const auto child = RunOne([](const ChildSide&) { pause(); }, {.silence_max = 50 * kMillisecond});
  EXPECT_EQ(child->end(), Child::End::kOutOfTime);
}

TEST(Child, RestartingTheClockGivesItItsTimeAgain) {
  const auto child = RunOne(
      [](const ChildSide& side) {
        volatile uint64_t work = 0;
        for (int part = 0; part < 100; ++part) {
          side.RestartClock();
          for (int step = 0; step < 3'000'000; ++step) work = work + 1;
        }
        side.Write("done");
      },
      {.processor_time_max = 100 * kMillisecond});
  EXPECT_EQ(child->end(), Child::End::kReturned);
  EXPECT_EQ(child->output(), "done");
}

TEST(Child, KeepsTheEndOfALongCry) {
  const auto child = RunOne([](const ChildSide&) {
    for (int line = 0; line < 100'000; ++line) std::fprintf(stderr, "line %d\n", line);
    std::fputs("SUMMARY: the end\n", stderr);
  });
  EXPECT_EQ(child->end(), Child::End::kReturned);
  EXPECT_TRUE(child->errors().ends_with("SUMMARY: the end\n"));
  EXPECT_LE(child->errors().size(), 512u * 1024);
}

TEST(Child, SeveralRunSideBySide) {
  std::vector<std::unique_ptr<Child>> children;
  for (int number = 0; number < 4; ++number) {
    children.push_back(
        Child::Start([number](const ChildSide& side) { side.Write(std::to_string(number)); }, {}));
  }
  std::string all;
  for (size_t running = children.size(); running > 0;) {
    std::vector<const Child*> awaited;
    for (const auto& child : children) {
      if (child != nullptr) awaited.push_back(child.get());
    }
    Child::WaitForAny(awaited, 1 * kSecond);
    for (auto& child : children) {
      if (child == nullptr || child->Pump()) continue;
      all += child->output();
      child = nullptr;
      --running;
    }
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, "0123");
}

TEST(Child, ThatIsDroppedIsKilled) {
  const auto pipe_of = [](std::unique_ptr<Child>& child) {
    while (child->output().empty()) {
      child->Pump();
    }
    return static_cast<pid_t>(std::stol(child->output()));
  };
  auto child = Child::Start(
      [](const ChildSide& side) {
        side.Write(std::to_string(getpid()));
        pause();
      },
      {});
  const pid_t process = pipe_of(child);
  EXPECT_EQ(kill(process, 0), 0);
  child = nullptr;
  EXPECT_NE(kill(process, 0), 0);
}

}  // namespace
}  // namespace orrery::sim

// A program and a world of one hand: that each call hands over, that waiting ends when it should
// and not before, and that an end closes what was open. (Whole programs: //sim:program_world_test.)
#include "kernel_model/program/program.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "kernel_model/choice.h"

namespace orrery::model {
namespace {

class ProgramTest : public testing::Test {
 protected:
  // Steps it while it can get on without the clock.
  static void Run(Program& program) {
    while (program.Ready()) program.Step();
  }
  static SystemCalls& System() { return Program::Current()->system(); }

  BenignChoice choice_;
  ModelKernel kernel_{{}, choice_, nullptr};
};

TEST_F(ProgramTest, EveryCallHandsOver) {
  std::string said;
  Program program(kernel_, [&] {
    said += "a";
    Program::Current()->BeginCall();
    said += "b";
    Program::Current()->BeginCall();
    said += "c";
    return 3;
  });
  EXPECT_EQ(Program::Current(), nullptr);
  EXPECT_EQ(said, "");
  for (const std::string expected : {"a", "ab", "abc"}) {
    EXPECT_FALSE(program.finished());
    ASSERT_TRUE(program.Ready());
    program.Step();
    EXPECT_EQ(Program::Current(), nullptr);
    EXPECT_EQ(said, expected);
  }
  ASSERT_TRUE(program.finished());
  EXPECT_EQ(program.status(), 3);
  EXPECT_EQ(program.calls(), 2U);
  EXPECT_FALSE(program.Ready());
}

TEST_F(ProgramTest, AFileIsWaitedForUntilItIsReady) {
  int fd = -1;
  Program program(kernel_, [&] {
    fd = System().EventFd(0, 0);
    return Program::Current()->Await(fd, POLLIN) ? 0 : 1;
  });
  Run(program);
  EXPECT_FALSE(program.finished());
  EXPECT_EQ(program.wake_at(), kNever);
  kernel_.SignalEventFd(fd);
  Run(program);
  ASSERT_TRUE(program.finished());
  EXPECT_EQ(program.status(), 0);
}

TEST_F(ProgramTest, TheClockEndsASleepAndNothingElseDoes) {
  Program program(kernel_, [&] { return Program::Current()->SleepUntil(kSecond) ? 0 : 1; });
  Run(program);
  EXPECT_EQ(program.wake_at(), kSecond);
  kernel_.AdvanceTo(kSecond - 1);
  EXPECT_FALSE(program.Ready());
  kernel_.AdvanceTo(kSecond);
  Run(program);
  EXPECT_TRUE(program.finished());
}

TEST_F(ProgramTest, AnAcceptedSocketHasItsListenersOptions) {  // Fact A1.
  const int listener = kernel_.Listen({.address = "127.0.0.1"}).value();
  ASSERT_TRUE(kernel_.SetSocketOption(listener, IPPROTO_TCP, TCP_NODELAY, 1));
  ASSERT_TRUE(kernel_.PeerConnect(kernel_.LocalPort(listener).value()));
  Program program(kernel_, [&] {
    const int accepted = System().Accept(listener, nullptr, nullptr, 0);
    EXPECT_GE(accepted, 0);
    EXPECT_EQ(kernel_.SocketOption(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
    return 0;
  });
  Run(program);
  EXPECT_TRUE(program.finished());
}

TEST_F(ProgramTest, TimesAreReadAsTheKernelReadsThem) {
  Nanoseconds time = 0;
  EXPECT_EQ(SystemCalls::ReadTime({.tv_sec = 2, .tv_nsec = 3}, &time), 0);
  EXPECT_EQ(time, 2 * kSecond + 3);
  EXPECT_EQ(SystemCalls::ReadTime({.tv_sec = kNever, .tv_nsec = 0}, &time), 0);
  EXPECT_EQ(time, kNever);
  EXPECT_EQ(SystemCalls::ReadTime({.tv_sec = -1, .tv_nsec = 0}, &time), -EINVAL);
  EXPECT_EQ(SystemCalls::ReadTime({.tv_sec = 0, .tv_nsec = -1}, &time), -EINVAL);
  EXPECT_EQ(SystemCalls::ReadTime({.tv_sec = 0, .tv_nsec = kSecond}, &time), -EINVAL);
}

TEST_F(ProgramTest, ARingIsWaitedForUntilItsDeadline) {
  Program program(kernel_, [&] {
    Program& self = *Program::Current();
    io_uring_params parameters{};
    const int fd = self.SetUpRing(4, &parameters);
    EXPECT_EQ(self.EnterRing(fd + 1, {}), -EBADF);
    __kernel_timespec second{.tv_sec = 1, .tv_nsec = 0};
    io_uring_getevents_arg argument{};
    argument.ts = reinterpret_cast<uint64_t>(&second);  // The ABI carries a pointer so.
    const EnterCall call{.to_submit = 0,
                         .min_complete = 1,
                         .flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                         .argument = &argument,
                         .argument_bytes = sizeof argument};
    EXPECT_EQ(self.EnterRing(fd, call), -ETIME);
    return self.EnterRing(fd, call);
  });
  Run(program);
  EXPECT_EQ(program.wake_at(), kSecond);
  kernel_.AdvanceTo(kSecond);
  Run(program);
  EXPECT_FALSE(program.finished());
  program.action(SIGUSR1).sa_handler = [](int) {};
  program.Signal(SIGUSR1);
  Run(program);
  ASSERT_TRUE(program.finished());
  EXPECT_EQ(program.status(), -EINTR);
}

TEST_F(ProgramTest, ABusyProgramLetsTimePass) {
  Program program(kernel_, [&] {
    for (int i = 0; i < 3'000; ++i) Program::Current()->BeginCall();
    return 0;
  });
  Run(program);
  EXPECT_FALSE(program.finished());
  EXPECT_EQ(program.wake_at(), kernel_.MonotonicNow() + kMicrosecond);
  while (!program.finished()) {
    kernel_.AdvanceTo(program.wake_at());
    Run(program);
  }
  EXPECT_GE(kernel_.MonotonicNow(), 2 * kMicrosecond);
}

TEST_F(ProgramTest, AnEndClosesEverything) {
  const auto open = [&](bool returns) {
    Program program(kernel_, [&] {
      io_uring_params parameters{};
      Program::Current()->SetUpRing(4, &parameters);
      System().EventFd(0, 0);
      System().Socket(AF_INET, SOCK_STREAM, 0);
      if (!returns) Program::Current()->Await(System().EventFd(0, 0), POLLIN);
      return 0;
    });
    Run(program);
    EXPECT_EQ(program.finished(), returns);
    EXPECT_EQ(kernel_.open_descriptors(), returns ? 0U : 3U);
  };
  open(true);
  open(false);  // Killed with its object.
  EXPECT_EQ(kernel_.open_descriptors(), 0U);
  for (const ModelRing* ring : kernel_.rings()) EXPECT_EQ(ring, nullptr);
}

}  // namespace
}  // namespace orrery::model

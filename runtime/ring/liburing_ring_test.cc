// A ring that cannot be made must say why in a way that a person can act on, and every mode that a
// kernel may leave us with must work.
#include "runtime/ring/liburing_ring.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {
namespace {

using testing::HasSubstr;

UserData Id(uint32_t index) { return {.operation = Operation::kTest, .slot = {index, 0}}; }

std::unique_ptr<LiburingRing> MakeRing(const RingOptions& options, RingMode mode) {
  auto ring = LiburingRing::Create(options, mode);
  if (!ring) {
    ADD_FAILURE() << ring.error();
    return nullptr;
  }
  return *std::move(ring);
}

class LiburingRingModes : public testing::TestWithParam<RingMode> {};

INSTANTIATE_TEST_SUITE_P(Modes, LiburingRingModes,
                         testing::Values(RingMode::kDeferred, RingMode::kCooperative,
                                         RingMode::kPlain),
                         [](const auto& instance) -> std::string {
                           switch (instance.param) {
                             case RingMode::kDeferred:
                               return "Deferred";
                             case RingMode::kCooperative:
                               return "Cooperative";
                             case RingMode::kPlain:
                               return "Plain";
                           }
                           return "Unknown";
                         });

TEST_P(LiburingRingModes, SizesAreRoundedUp) {
  const auto ring = MakeRing({.sq_entries = 3, .cq_entries = 100}, GetParam());
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->memory().sq.ring_entries, 4U);
  EXPECT_EQ(ring->memory().cq.ring_entries, 128U);
  // The probe leaves nothing behind.
  EXPECT_EQ(::io_uring_cq_ready(&ring->memory()), 0U);
  SubmissionQueue queue(*ring);
  EXPECT_EQ(queue.space_left(), 4U);
}

TEST_P(LiburingRingModes, HugeSizesAreClamped) {
  // On a machine with a small limit of locked memory this may fail, but only with that message.
  const auto ring =
      LiburingRing::Create({.sq_entries = 1U << 20, .cq_entries = 1U << 21}, GetParam());
  if (ring) {
    EXPECT_EQ((*ring)->memory().sq.ring_entries, 32'768U);
    EXPECT_EQ((*ring)->memory().cq.ring_entries, 65'536U);
  } else {
    EXPECT_THAT(ring.error(), HasSubstr("limit of locked memory"));
  }
}

TEST_P(LiburingRingModes, RunsOperationsForManyRounds) {
  const auto ring = MakeRing({.sq_entries = 2, .cq_entries = 4}, GetParam());
  ASSERT_NE(ring, nullptr);
  SubmissionQueue queue(*ring);
  for (uint32_t round = 0; round < 20; ++round) {
    ASSERT_TRUE(queue.Nop(Id(2 * round)));
    ASSERT_TRUE(queue.Nop(Id(2 * round + 1)));
    ASSERT_FALSE(queue.Nop(Id(0)));
    ASSERT_EQ(ring->Enter({.to_submit = queue.Publish(), .min_complete = 2}), 2U);
    unsigned head = 0;
    uint32_t seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring->memory(), head, cqe) {
      EXPECT_EQ(UserData::Unpack(cqe->user_data), Id(2 * round + seen));
      EXPECT_EQ(cqe->res, 0);
      ++seen;
    }
    ASSERT_EQ(seen, 2U);
    ::io_uring_cq_advance(&ring->memory(), seen);
  }
}

TEST_P(LiburingRingModes, DeadlineEndsAWait) {
  const auto ring = MakeRing({.sq_entries = 2, .cq_entries = 4}, GetParam());
  ASSERT_NE(ring, nullptr);
  LinuxKernel kernel;
  const Nanoseconds deadline = kernel.MonotonicNow() + 5 * kMillisecond;
  EXPECT_EQ(ring->Enter({.min_complete = 1, .deadline = deadline}).error(), Errno(ETIME));
  EXPECT_GE(kernel.MonotonicNow(), deadline);
  // One that has passed ends it at once.
  EXPECT_EQ(ring->Enter({.min_complete = 1, .deadline = 0}).error(), Errno(ETIME));
  // A minimum wait changes nothing about it, where the kernel has it or not.
  EXPECT_EQ(ring->Enter({.min_complete = 1, .deadline = 0, .min_wait_us = 100}).error(),
            Errno(ETIME));
}

TEST_P(LiburingRingModes, LookingNeedsNoDeadline) {
  const auto ring = MakeRing({.sq_entries = 2, .cq_entries = 4}, GetParam());
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->Enter({}), 0U);
}

TEST_P(LiburingRingModes, RegisterReturnsTheKernelsAnswer) {
  const auto ring = MakeRing({.sq_entries = 2, .cq_entries = 4}, GetParam());
  ASSERT_NE(ring, nullptr);
  ASSERT_TRUE(RegisterSparseFiles(*ring, 8));
  EXPECT_EQ(RegisterSparseFiles(*ring, 8).error(), Errno(EBUSY));
  EXPECT_TRUE(UpdateFixedFile(*ring, 7, 0));
  EXPECT_EQ(UpdateFixedFile(*ring, 8, 0).error(), Errno(EINVAL));
}

TEST(LiburingRing, DescribesItself) {
  const std::string version = RunningKernelVersion();
  EXPECT_THAT(version, testing::MatchesRegex("[0-9]+\\.[0-9]+"));
  const auto plain = MakeRing({.sq_entries = 1, .cq_entries = 1}, RingMode::kPlain);
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(plain->mode(), RingMode::kPlain);
  EXPECT_EQ(plain->description(), "io_uring, Linux " + version + ", plain");
  const auto best = MakeRing({.sq_entries = 1, .cq_entries = 1}, RingMode::kDeferred);
  ASSERT_NE(best, nullptr);
  EXPECT_THAT(best->description(), HasSubstr("io_uring, Linux " + version + ", "));
}

TEST(LiburingRing, BelongsToItsThread) {
  const auto ring = MakeRing({.sq_entries = 2, .cq_entries = 4}, RingMode::kDeferred);
  ASSERT_NE(ring, nullptr);
  if (ring->mode() != RingMode::kDeferred) GTEST_SKIP() << "this kernel has no SINGLE_ISSUER";
  EnterResult elsewhere = 0U;
  std::thread([&] { elsewhere = ring->Enter({}); }).join();
  EXPECT_EQ(elsewhere.error(), Errno(EEXIST));
}

TEST(LiburingRing, ExplainsWhatIsMissing) {
  EXPECT_THAT(ExplainSetupFailure(Errno(ENOSYS), "4.19", -1),
              testing::AllOf(HasSubstr("Linux 4.19"), HasSubstr("does not have it")));
  EXPECT_THAT(ExplainSetupFailure(Errno(EPERM), "6.18", 2),
              HasSubstr("every process by sysctl kernel.io_uring_disabled=2"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EPERM), "6.18", 1),
              HasSubstr("unprivileged processes by sysctl kernel.io_uring_disabled=1"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EPERM), "6.18", 0), HasSubstr("seccomp"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EPERM), "5.15", -1), HasSubstr("seccomp"));
  EXPECT_THAT(ExplainSetupFailure(Errno(ENOMEM), "5.10", -1), HasSubstr("locked memory"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EMFILE), "6.18", 0), HasSubstr("ulimit -n"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EINVAL), "5.4", -1), HasSubstr("Linux 6.0"));
  EXPECT_THAT(ExplainSetupFailure(Errno(EIO), "6.18", 0), HasSubstr("EIO"));
  for (const int error : {ENOSYS, EPERM, ENOMEM, EMFILE, EINVAL, EIO}) {
    EXPECT_EQ(ExplainSetupFailure(Errno(error), "6.18", 0).find('\n'), std::string::npos);
  }
}

// What a container's seccomp profile does: the system call answers `error`. For the rest of the
// calling process.
void ForbidIoUring(int error) {
  const std::array filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K,
                           SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  // The call only reads the program; its type forgot to say so.
  const sock_fprog program{.len = filter.size(), .filter = const_cast<sock_filter*>(filter.data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    std::_Exit(2);
  }
}

[[noreturn]] void CreateAndExit() {
  const auto ring = LiburingRing::Create({});
  std::fprintf(stderr, "%s\n", ring ? "made" : ring.error().c_str());
  std::_Exit(ring ? 1 : 0);
}

TEST(LiburingRingDeathTest, InAContainerThatForbidsIt) {
  EXPECT_EXIT(
      {
        ForbidIoUring(EPERM);
        CreateAndExit();
      },
      testing::ExitedWithCode(0), "^cannot set up io_uring on Linux [0-9.]+: .*\n$");
  EXPECT_EXIT(
      {
        ForbidIoUring(ENOSYS);
        CreateAndExit();
      },
      testing::ExitedWithCode(0), "does not have it");
}

TEST(LiburingRingDeathTest, WithoutADescriptorLeft) {
  EXPECT_EXIT(
      {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 0;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        CreateAndExit();
      },
      testing::ExitedWithCode(0), "no descriptor left");
}

TEST(LiburingRingDeathTest, AnEmptyQueueIsAMistake) {
  EXPECT_DEATH((void)LiburingRing::Create({.sq_entries = 0}), "sq_entries > 0");
}

}  // namespace
}  // namespace orrery

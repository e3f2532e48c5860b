// Real threads on the real ring, for tsan: every request of every thread ends once, with its own
// bytes, and the loop ends.
#include "runtime/loop/loop_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <thread>
#include <vector>

#include "runtime/metrics.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

Request Nop() {
  io_uring_sqe sqe{};
  io_uring_prep_nop(&sqe);
  return Request::Raw(sqe, nullptr, true);
}

TEST(LoopThread, ManyThreadsThroughASmallQueue) {
  constexpr size_t kThreads = 4;
  constexpr size_t kRequests = 500;  // A loaded machine takes its time over each change of threads.
  LinuxKernel kernel;
  auto loop = LoopThread::Start(kernel, {.entries = 8}, 4);
  ASSERT_TRUE(loop.has_value()) << loop.error();
  std::atomic<size_t> completed = 0;
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, submitter = (*loop)->submitter()]() mutable {
      std::deque<Future> futures;
      for (size_t request = 0; request < kRequests; ++request) {
        futures.push_back(submitter.Submit(Nop()));
        if (request % 7 == 0) futures.back().Cancel();
        if (request % 5 == 0) futures.pop_back();  // Given up.
        if (futures.size() < 16) continue;
        futures.front().Wait();
        const Result result = futures.front().Take();
        if (result.ok() || result.outcome == Outcome::kCancelled) ++completed;
        futures.pop_front();
      }
      for (Future& future : futures) {
        future.Wait();
        const Result result = future.Take();
        if (result.ok() || result.outcome == Outcome::kCancelled) ++completed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(completed.load(), kThreads * kRequests * 4 / 5);
}

TEST(LoopThread, ABatchLargerThanTheQueueGoesThrough) {
  LinuxKernel kernel;
  auto loop = LoopThread::Start(kernel, {.entries = 4, .spin_turns = 2}, 4);
  ASSERT_TRUE(loop.has_value()) << loop.error();
  std::vector<std::thread> threads;
  std::atomic<size_t> completed = 0;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&completed, submitter = (*loop)->submitter()]() mutable {
      for (int round = 0; round < 5; ++round) {
        std::vector<Request> requests;
        for (int request = 0; request < 37; ++request) requests.push_back(Nop());
        for (Future& future : submitter.SubmitAll(requests)) {
          future.Wait();
          if (future.Take().ok()) ++completed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(completed.load(), 2U * 5 * 37);
}

TEST(LoopThread, WakesUpForEachLonelyRequest) {
  LinuxKernel kernel;
  auto loop = LoopThread::Start(kernel, {.entries = 8});
  ASSERT_TRUE(loop.has_value()) << loop.error();
  Submitter submitter = (*loop)->submitter();
  for (int round = 0; round < 200; ++round) {
    Future future = submitter.Submit(Nop());
    future.Wait();
    ASSERT_TRUE(future.Take().ok());
  }
}

TEST(LoopThread, ALoopThatEndsTellsWhoWaitsForRoom) {
  LinuxKernel kernel;
  auto loop = LoopThread::Start(
      kernel, {.entries = 4, .waiters_max = 1, .limits = {.finish = 0, .cancel = kSecond}}, 2);
  ASSERT_TRUE(loop.has_value()) << loop.error();
  std::atomic<int> told = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&told, submitter = (*loop)->submitter()]() mutable {
      Future future = submitter.Submit(Request::Timeout(kNever - 1));
      future.Wait();
      if (future.Take().outcome == Outcome::kCancelled) ++told;
    });
  }
  // One is under way, two are in the queue; the last waits for room, now or soon.
  while ((*loop)->submitter().port().queued() < 2) std::this_thread::yield();
  loop->reset();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told.load(), 4);
}

}  // namespace
}  // namespace orrery

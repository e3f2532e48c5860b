// Items that threads push must come out once each, in the order of their thread, and the consumer
// must not sleep over one: the queue with the waker and an eventfd, as a submission loop uses them.
// Every interleaving of small cases is in //tests/interleaving; here are real threads, for tsan.
#include "runtime/bounded_queue.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/ring/linux_kernel.h"
#include "runtime/waker.h"

namespace orrery {
namespace {

// On the heap: gcc's AddressSanitizer does not keep such alignments on its stacks.

TEST(BoundedQueue, HoldsAPowerOfTwoAndRefusesMore) {
  const auto made = std::make_unique<BoundedQueue<int>>(3);
  BoundedQueue<int>& queue = *made;
  EXPECT_EQ(queue.capacity(), 4U);
  EXPECT_FALSE(queue.TryPop().has_value());
  for (int round = 0; round < 3; ++round) {
    for (int item = 0; item < 4; ++item) EXPECT_EQ(queue.TryPush(item), Pushed::kYes);
    EXPECT_EQ(queue.TryPush(4), Pushed::kFull);
    for (int item = 0; item < 4; ++item) EXPECT_EQ(queue.TryPop(), item);
    EXPECT_FALSE(queue.TryPop().has_value());
  }
}

TEST(BoundedQueue, WhatWasPushedBeforeItWasClosedComesOut) {
  const auto made = std::make_unique<BoundedQueue<int>>(2);
  BoundedQueue<int>& queue = *made;
  EXPECT_EQ(queue.TryPush(1), Pushed::kYes);
  EXPECT_FALSE(queue.drained());
  queue.Close();
  EXPECT_EQ(queue.TryPush(2), Pushed::kClosed);
  EXPECT_FALSE(queue.drained());
  EXPECT_EQ(queue.TryPop(), 1);
  EXPECT_TRUE(queue.drained());
}

TEST(BoundedQueue, ThreadsAndASleeperLoseNothing) {
  constexpr size_t kProducers = 4;
  constexpr size_t kItems = 20'000;
  struct Item {
    size_t producer = 0;
    size_t number = 0;
  };
  LinuxKernel kernel;
  const int eventfd = kernel.MakeEventFd().value();
  const auto made_queue = std::make_unique<BoundedQueue<Item>>(64);
  BoundedQueue<Item>& queue = *made_queue;
  const auto made_waker = std::make_unique<Waker>();
  Waker& waker = *made_waker;
  std::atomic<size_t> producers_left = kProducers;
  std::vector<std::thread> producers;
  for (size_t producer = 0; producer < kProducers; ++producer) {
    producers.emplace_back([&, producer] {
      for (size_t number = 0; number < kItems; ++number) {
        while (queue.TryPush({.producer = producer, .number = number}) != Pushed::kYes) {
          std::this_thread::yield();
        }
        if (waker.Publish()) kernel.SignalEventFd(eventfd);
      }
      if (producers_left.fetch_sub(1) == 1 && waker.Disconnect()) kernel.SignalEventFd(eventfd);
    });
  }
  std::vector<size_t> next(kProducers, 0);
  size_t sleeps = 0;
  for (;;) {
    const bool more = waker.Look();
    while (const std::optional<Item> item = queue.TryPop()) {
      ASSERT_EQ(item->number, next[item->producer]++);
    }
    if (!more) break;
    if (!waker.TryArm()) continue;
    ++sleeps;
    pollfd poll{.fd = eventfd, .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&poll, 1, -1), 1);
    uint64_t count = 0;
    ASSERT_EQ(::read(eventfd, &count, sizeof count), ssize_t{sizeof count});
    waker.Disarm();
  }
  for (std::thread& producer : producers) producer.join();
  for (const size_t count : next) EXPECT_EQ(count, kItems);
  RecordProperty("sleeps", std::to_string(sleeps));
  kernel.Close(eventfd);
}

}  // namespace
}  // namespace orrery

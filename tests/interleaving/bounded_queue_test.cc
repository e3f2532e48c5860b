// An item that comes out twice runs an operation twice, one that does not come out hangs its
// caller. Every interleaving of small cases.
#include "runtime/bounded_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/interleaving/expect.h"
#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {
namespace {

struct Item {
  size_t producer = 0;
  size_t number = 0;
};

// Producers that try each item once; the consumer tries so many times, and closes
// the queue; what is left is taken afterwards.
class QueueCase {
 public:
  QueueCase(size_t producers, size_t items_each, size_t pops, size_t position)
      : producers_(producers), items_each_(items_each), pops_(pops), position_(position) {}

  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      queue_ = std::make_unique<BoundedQueue<Item, TracedAtomics>>(kCapacity, position_);
      pushed_.assign(producers_, {});
      popped_.assign(producers_, {});
    };
    for (size_t producer = 0; producer < producers_; ++producer) {
      described.threads.push_back([this, producer] {
        for (size_t number = 0; number < items_each_; ++number) {
          const Pushed answer = queue_->TryPush({.producer = producer, .number = number});
          if (answer == Pushed::kYes) pushed_[producer].push_back(number);
          full_ |= answer == Pushed::kFull;
          closed_ |= answer == Pushed::kClosed;
        }
      });
    }
    described.threads.push_back([this] {
      for (size_t pop = 0; pop < pops_; ++pop) Pop();
      queue_->Close();
      drained_ = queue_->drained();
    });
    described.verdict = [this]() -> std::string {
      if (Pop() && drained_) return "it was not drained";
      while (Pop()) {
      }
      if (!queue_->drained()) return "never drained";
      for (size_t producer = 0; producer < producers_; ++producer) {
        if (popped_[producer] != pushed_[producer]) return "not what was pushed, in its order";
      }
      return "";
    };
    return described;
  }

  // Whether any push of any run found it so.
  bool full() const { return full_; }
  bool closed() const { return closed_; }

 private:
  static constexpr size_t kCapacity = 2;

  bool Pop() {
    const std::optional<Item> item = queue_->TryPop();
    if (item.has_value()) popped_[item->producer].push_back(item->number);
    return item.has_value();
  }

  const size_t producers_;
  const size_t items_each_;
  const size_t pops_;
  const size_t position_;
  std::unique_ptr<BoundedQueue<Item, TracedAtomics>> queue_;
  std::vector<std::vector<size_t>> pushed_;
  std::vector<std::vector<size_t>> popped_;
  bool drained_ = false;
  bool full_ = false;
  bool closed_ = false;
};

void ExpectExact(const char* what, QueueCase threads, bool reaches_full) {
  ExpectAllRight(what, Explore(threads));
  EXPECT_EQ(threads.full(), reaches_full) << what;
  EXPECT_TRUE(threads.closed()) << what;
}

TEST(BoundedQueueInterleavings, OneProducerThatFillsIt) {
  ExpectExact("1 producer, 3 items", QueueCase(1, 3, 2, 0), true);
}
TEST(BoundedQueueInterleavings, TwoProducers) {
  ExpectExact("2 producers, 1 item each", QueueCase(2, 1, 2, 0), false);
}
TEST(BoundedQueueInterleavings, TwoProducersThatFillIt) {
  ExpectExact("2 producers, 2 items each", QueueCase(2, 2, 2, 0), true);
}
TEST(BoundedQueueInterleavings, PositionsWrap) {
  ExpectExact("1 producer, 3 items, at the wrap", QueueCase(1, 3, 2, ~size_t{0}), true);
  ExpectExact("2 producers, 1 item each, at the wrap", QueueCase(2, 1, 2, ~size_t{0}), false);
  ExpectExact("2 producers, 2 items each, at the wrap", QueueCase(2, 2, 2, ~size_t{0}), true);
}

}  // namespace
}  // namespace orrery::interleaving

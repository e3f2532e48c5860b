// A producer that waits for room and is not told waits for ever. Every interleaving of small cases:
// values come out once and in order, and whoever waits is told. Queues that are wrong are found.
#include "runtime/spsc_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "tests/interleaving/expect.h"
#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {
namespace {

using TracedQueue = SpscQueue<int, TracedAtomics>;

// A producer that pushes so many items, waiting to be told whenever there is no room, and a
// consumer that waits for items.
template <typename Queue>
class QueueCase {
 public:
  QueueCase(size_t capacity, size_t items, size_t budget, size_t position)
      : capacity_(capacity), budget_(budget), position_(position), items_(items) {
    std::iota(items_.begin(), items_.end(), 0);
  }

  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      queue_ = std::make_unique<Queue>(capacity_, position_);
      popped_.clear();
      told_ = pushes_ = 0;
    };
    described.threads.push_back([this] { Producer(); });
    described.threads.push_back([this] { Consumer(); });
    described.verdict = [this] {
      return std::string(popped_ == items_ ? "" : "not what was pushed, in its order");
    };
    return described;
  }

  // Whether the producer had to wait, in any run.
  bool waited() const { return waited_; }

 private:
  void Producer() {
    std::span<const int> left = items_;
    while (!left.empty()) {
      const size_t taken = queue_->Push(left);
      left = left.subspan(taken);
      Explorer::Step(&pushes_, Explorer::Access::kDrainingWrite);
      Explorer::Drain();
      pushes_ += taken > 0 ? 1 : 0;
      if (left.empty()) return;
      waited_ = true;
      Explorer::BlockUntil(&told_, [this] { return told_ > 0; });
      told_ = 0;
    }
  }

  void Consumer() {
    while (popped_.size() < items_.size()) {
      const auto popped = queue_->Pop(budget_, [this](int item) { popped_.push_back(item); });
      if (popped.room_wanted) {
        Explorer::Step(&told_, Explorer::Access::kDrainingWrite);
        Explorer::Drain();
        told_ = 1;
      }
      if (popped.left || popped_.size() == items_.size()) continue;
      Explorer::BlockUntil(&pushes_, [this] { return pushes_ > 0; });
      pushes_ = 0;
    }
  }

  const size_t capacity_;
  const size_t budget_;
  const size_t position_;
  std::vector<int> items_;
  std::unique_ptr<Queue> queue_;
  std::vector<int> popped_;
  int told_ = 0;
  int pushes_ = 0;
  bool waited_ = false;
};

template <typename Queue>
void ExpectExact(const char* what, QueueCase<Queue> threads, bool waits) {
  ExpectAllRight(what, Explore(threads));
  EXPECT_EQ(threads.waited(), waits) << what;
}

TEST(SpscQueueInterleavings, Room) {
  ExpectExact("2 items, room for 2", QueueCase<TracedQueue>(2, 2, 2, 0), false);
}
TEST(SpscQueueInterleavings, NoRoom) {
  ExpectExact("2 items, room for 1", QueueCase<TracedQueue>(1, 2, 1, 0), true);
  ExpectExact("3 items, room for 1", QueueCase<TracedQueue>(1, 3, 1, 0), true);
  ExpectExact("4 items, room for 1", QueueCase<TracedQueue>(1, 4, 1, 0), true);
  ExpectExact("5 items, room for 2", QueueCase<TracedQueue>(2, 5, 2, 0), true);
}
TEST(SpscQueueInterleavings, ABudgetThatEndsEarly) {
  ExpectExact("5 items, room for 2, taken one by one", QueueCase<TracedQueue>(2, 5, 1, 0), true);
}
TEST(SpscQueueInterleavings, PositionsWrap) {
  ExpectExact("5 items, room for 2, at the wrap",
              QueueCase<TracedQueue>(2, 5, 2, ~size_t{0} / 2 - 1), true);
}

// --- Queues that are wrong

enum class Mistake : uint8_t {
  kNone,
  kNoSecondLook,    // The producer wishes for room without looking once more.
  kWishByStores,    // The wish is a word of its own, written by stores that may be delayed.
  kEarlyPosition,   // The position is shown before the value is there.
  kReleasedUnread,  // The cell is given back before it is read.
};

// Room for one.
template <Mistake kMistake>
class SimpleQueue {
 public:
  SimpleQueue(size_t, size_t) {}

  size_t Push(std::span<const int> values) {
    size_t taken = 0;
    for (bool wished = false; taken < values.size();) {
      if (popped_.load() == push_at_) {
        if (kMistake == Mistake::kEarlyPosition) pushed_.store(push_at_ + 1);
        cell_.store(values[taken++]);
        if (kMistake != Mistake::kEarlyPosition) pushed_.store(push_at_ + 1);
        ++push_at_;
        wished = false;
      } else if (!wished) {
        wish_.store(1, kStore);
        wished = true;
        if (kMistake == Mistake::kNoSecondLook) break;
      } else {
        break;
      }
    }
    return taken;
  }

  template <typename Visit>
  TracedQueue::Popped Pop(size_t, Visit visit) {
    if (pushed_.load() == pop_at_) return {};
    if (kMistake == Mistake::kReleasedUnread) popped_.store(pop_at_ + 1);
    visit(cell_.load());
    ++pop_at_;
    if (kMistake != Mistake::kReleasedUnread) popped_.store(pop_at_, kStore);
    const bool wanted = wish_.load() != 0;
    if (wanted) wish_.fetch_and(0);
    return {.count = 1, .left = false, .room_wanted = wanted};
  }

 private:
  static constexpr std::memory_order kStore =
      kMistake == Mistake::kWishByStores ? std::memory_order_release : std::memory_order_seq_cst;

  TracedAtomic<int> cell_;
  TracedAtomic<size_t> pushed_;
  TracedAtomic<size_t> popped_;
  TracedAtomic<int> wish_;
  size_t push_at_ = 0;
  size_t pop_at_ = 0;
};

template <Mistake kMistake>
void ExpectMistakeFound(const char* what) {
  ExpectFound(what, Explore(QueueCase<SimpleQueue<kMistake>>(1, 3, 1, 0)));
}

TEST(SpscQueueInterleavings, WrongQueuesAreFound) {
  ExpectExact("a simple queue", QueueCase<SimpleQueue<Mistake::kNone>>(1, 3, 1, 0), true);
  ExpectMistakeFound<Mistake::kNoSecondLook>("no second look for room");
  ExpectMistakeFound<Mistake::kWishByStores>("two words without a fence");
  ExpectMistakeFound<Mistake::kEarlyPosition>("the position before the value");
  ExpectMistakeFound<Mistake::kReleasedUnread>("the cell given back before it is read");
}

}  // namespace
}  // namespace orrery::interleaving

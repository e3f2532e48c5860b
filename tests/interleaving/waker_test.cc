// A wake-up that is lost leaves work in a queue until something unrelated happens, on real hardware
// and under load only. Here every interleaving of small cases is run, and known mistakes are made
// on purpose, each of which must be found.
#include "runtime/waker.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/interleaving/expect.h"
#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {
namespace {

// An eventfd with a poll on it: a system call for both.
class Bell {
 public:
  void Ring() {
    Explorer::Step(this, Explorer::Access::kDrainingWrite);
    Explorer::Drain();
    ++rings_;
    ++all_rings_;
  }
  void Await() {
    Explorer::BlockUntil(this, [this] { return rings_ > 0; });
    rings_ = 0;
  }
  int all_rings() const { return all_rings_; }

 private:
  int rings_ = 0;
  int all_rings_ = 0;
};

// What is wrong with the order in which the calls are made.
enum class Mistake : uint8_t {
  kNone,
  kPublishBeforeWork,    // Publish(), then the work.
  kDisconnectAfterRing,  // The last ring, then Disconnect().
  kLookAfterWork,        // The sleeper takes what is there, then calls Look().
};

// Publishers of some items each, in batches of so many, and a sleeper that takes them all.
template <typename AnyWaker, Mistake kMistake>
class WakerCase {
 public:
  WakerCase(size_t publishers, size_t items_each, AnyWaker* (*make)(), size_t batch)
      : publishers_(publishers), items_each_(items_each), batch_(batch), make_(make) {}

  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      waker_.reset(make_());
      bell_ = {};
      items_ = std::deque<TracedAtomic<int>>(publishers_ * items_each_);
      left_.emplace(static_cast<int>(publishers_));
      taken_.emplace(0U);
    };
    for (size_t publisher = 0; publisher < publishers_; ++publisher) {
      described.threads.push_back([this, publisher] { Publisher(publisher); });
    }
    described.threads.push_back([this] { Sleeper(); });
    described.verdict = [this]() -> std::string {
      if (!AllTaken()) return "an item was left";
      // One ring a sleep at most, and one more for the end.
      if (bell_.all_rings() > static_cast<int>(items_.size()) + 1) return "rung too often";
      return "";
    };
    return described;
  }

 private:
  void Publisher(size_t publisher) {
    for (size_t item = 0; item < items_each_; ++item) {
      TracedAtomic<int>& cell = items_[publisher * items_each_ + item];
      if (kMistake != Mistake::kPublishBeforeWork) cell.store(1, std::memory_order_release);
      if ((item + 1) % batch_ == 0 && waker_->Publish()) bell_.Ring();
      if (kMistake == Mistake::kPublishBeforeWork) cell.store(1, std::memory_order_release);
    }
    if (left_->fetch_add(-1) != 1) return;
    // As a caller that waits for its results: nobody disconnects to rescue what was lost.
    Explorer::BlockUntil(&*taken_, [this] { return AllTaken(); });
    if (kMistake == Mistake::kDisconnectAfterRing) bell_.Ring();
    const bool ring = waker_->Disconnect();
    if (ring && kMistake != Mistake::kDisconnectAfterRing) bell_.Ring();
  }

  bool AllTaken() const { return taken_->visible() == items_.size(); }

  void Take() {
    for (size_t publisher = 0; publisher < publishers_; ++publisher) {
      for (size_t item = next_[publisher]; item < items_each_; ++item) {
        if (items_[publisher * items_each_ + item].load(std::memory_order_acquire) == 0) break;
        next_[publisher] = item + 1;
        taken_->fetch_add(1);
      }
    }
  }

  void Sleeper() {
    next_.assign(publishers_, 0);
    for (;;) {
      if (kMistake == Mistake::kLookAfterWork) Take();
      const bool more = waker_->Look();
      if (kMistake != Mistake::kLookAfterWork) Take();
      if (!more) return;
      if (!waker_->TryArm()) continue;
      bell_.Await();
      waker_->Disarm();
    }
  }

  const size_t publishers_;
  const size_t items_each_;
  const size_t batch_;
  AnyWaker* (*const make_)();
  std::unique_ptr<AnyWaker> waker_;
  Bell bell_;
  std::deque<TracedAtomic<int>> items_;
  std::optional<TracedAtomic<int>> left_;
  std::vector<size_t> next_;
  std::optional<TracedAtomic<size_t>> taken_;
};

using TracedWaker = BasicWaker<TracedAtomics>;

template <typename AnyWaker, Mistake kMistake = Mistake::kNone>
Explorer::Result ExploreWaker(
    size_t publishers, size_t items_each, AnyWaker* (*make)() = [] { return new AnyWaker; },
    size_t batch = 1) {
  return Explore(WakerCase<AnyWaker, kMistake>(publishers, items_each, make, batch));
}

TEST(WakerInterleavings, OnePublisherOfOneItem) {
  ExpectAllRight("1 publisher, 1 item", ExploreWaker<TracedWaker>(1, 1));
}
TEST(WakerInterleavings, OnePublisherOfTwoItems) {
  ExpectAllRight("1 publisher, 2 items", ExploreWaker<TracedWaker>(1, 2));
}
TEST(WakerInterleavings, OnePublisherOfThreeItems) {
  ExpectAllRight("1 publisher, 3 items", ExploreWaker<TracedWaker>(1, 3));
}
TEST(WakerInterleavings, TwoPublishers) {
  ExpectAllRight("2 publishers, 1 item each", ExploreWaker<TracedWaker>(2, 1));
}
// The longest test here, some ten seconds of a processor: the smallest case in which each publisher
// may find that the other one rings.
TEST(WakerInterleavings, TwoPublishersOfTwoItems) {
  ExpectAllRight("2 publishers, 2 items each", ExploreWaker<TracedWaker>(2, 2));
}

TEST(WakerInterleavings, ABatchIsPublishedOnce) {
  const auto make = [] { return new TracedWaker; };
  ExpectAllRight("1 publisher, a batch of 2", ExploreWaker<TracedWaker>(1, 2, make, 2));
  ExpectAllRight("2 publishers, a batch of 2 each", ExploreWaker<TracedWaker>(2, 2, make, 2));
}

// The sequence leaves the word between Look() and TryArm(), and takes no bit along.
TEST(WakerInterleavings, TheSequenceWraps) {
  using SmallWaker = BasicWaker<TracedAtomics, uint8_t>;
  ExpectAllRight("1 publisher, 2 items, at the wrap",
                 ExploreWaker<SmallWaker>(1, 2, [] { return new SmallWaker(0x3f); }));
}

TEST(WakerInterleavings, WrongOrdersAreFound) {
  ExpectFound("published before the work is there",
              ExploreWaker<TracedWaker, Mistake::kPublishBeforeWork>(1, 1));
  ExpectFound("disconnected after the last ring",
              ExploreWaker<TracedWaker, Mistake::kDisconnectAfterRing>(1, 1));
  ExpectFound("looked after taking", ExploreWaker<TracedWaker, Mistake::kLookAfterWork>(1, 1));
}

// --- Wakers that are wrong

// Two flags instead of one word. Right with sequentially consistent accesses, and lost without.
template <std::memory_order kStore>
class TwoFlagWaker {
 public:
  bool Publish() {
    published_.store(++count_, kStore);
    return asleep_.load() != 0;
  }
  bool Disconnect() {
    disconnected_.store(1, kStore);
    return asleep_.load() != 0;
  }
  bool Look() {
    const bool more = disconnected_.load() == 0;
    looked_ = published_.load();
    looked_more_ = more;
    return more;
  }
  bool TryArm() {
    asleep_.store(1, kStore);
    if (published_.load() == looked_ && (disconnected_.load() == 0) == looked_more_) return true;
    asleep_.store(0, kStore);
    return false;
  }
  void Disarm() { asleep_.store(0, kStore); }

 private:
  TracedAtomic<int> asleep_;
  TracedAtomic<int> published_;
  TracedAtomic<int> disconnected_;
  int count_ = 0;
  int looked_ = 0;
  bool looked_more_ = true;
};

TEST(WakerInterleavings, AForgottenFenceIsFound) {
  ExpectFound("two flags without a fence",
              ExploreWaker<TwoFlagWaker<std::memory_order_release>>(1, 1));
  ExpectAllRight("two flags, sequentially consistent",
                 ExploreWaker<TwoFlagWaker<std::memory_order_seq_cst>>(1, 1));
}

// The intent is announced whatever was published since Look().
class BlindWaker : public TracedWaker {
 public:
  bool Publish() { return word_.fetch_add(4) % 4 == 1; }
  bool Disconnect() { return (word_.fetch_or(2) & 1) != 0; }
  bool Look() { return (word_.load() & 2) == 0; }
  bool TryArm() {
    word_.fetch_or(1);
    return true;
  }
  void Disarm() { word_.fetch_and(~1U); }

 private:
  TracedAtomic<unsigned> word_;
};

TEST(WakerInterleavings, ASleepWithoutLookingOnceMoreIsFound) {
  ExpectFound("no second look", ExploreWaker<BlindWaker>(1, 1));
}

// The intent is changed by a load and a store.
class ForgetfulWaker {
 public:
  bool Publish() { return (word_.fetch_add(4) & 1) != 0; }
  bool Disconnect() { return (word_.fetch_or(2) & 1) != 0; }
  bool Look() {
    looked_ = word_.load() & ~1U;
    return (looked_ & 2) == 0;
  }
  bool TryArm() {
    if (word_.load() != looked_) return false;
    word_.store(looked_ | 1);
    return true;
  }
  void Disarm() { word_.fetch_and(~1U); }

 private:
  TracedAtomic<unsigned> word_;
  unsigned looked_ = 0;
};

TEST(WakerInterleavings, ALoadAndAStoreInsteadOfOneChangeAreFound) {
  ExpectFound("load and store", ExploreWaker<ForgetfulWaker>(1, 1));
}

}  // namespace
}  // namespace orrery::interleaving

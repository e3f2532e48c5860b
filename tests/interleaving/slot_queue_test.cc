// A slot that two claim is served twice; one whose words are read too early is served wrongly.
// Every interleaving of a device and a host over one slot; known mistakes are made on purpose, each
// of which must be found.
#include "runtime/device/slot_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "tests/interleaving/expect.h"
#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {
namespace {

using Queue = BasicSlotQueue<TracedAtomics>;
using Slot = Queue::Slot;

// A queue with a mistake in one of its transitions.
enum class Mistake : uint8_t {
  kNone,
  kClaimByLoadAndStore,  // M1
  kPublishedBeforeItsWords,
  kCompletedBeforeItsTag,
  kCompleteByStore,  // Whoever has taken the slot away.
};

template <Mistake kMistake>
class AnyQueue : public Queue {
 public:
  explicit AnyQueue(std::span<Slot> slots) : Queue(slots), slot_(slots[0]) {}

  bool TryClaim() {
    if (kMistake != Mistake::kClaimByLoadAndStore) return Queue::TryClaim(0);
    if (status(0) != ORRERY_DEVICE_PUBLISHED) return false;
    slot_.status.store(ORRERY_DEVICE_CLAIMED, std::memory_order_release);
    return true;
  }
  bool TryPublish(const DeviceRequest& request) {
    if (kMistake != Mistake::kPublishedBeforeItsWords) return Queue::TryPublish(0, request);
    slot_.status.store(ORRERY_DEVICE_PUBLISHED, std::memory_order_release);
    slot_.bytes.store(request.bytes, std::memory_order_relaxed);
    slot_.source.store(request.source, std::memory_order_relaxed);
    return true;
  }
  bool Complete(DeviceResult result) {
    if (kMistake == Mistake::kCompletedBeforeItsTag) {
      slot_.status.store(ORRERY_DEVICE_OK, std::memory_order_release);
      slot_.tag.store(result.tag, std::memory_order_relaxed);
      return true;
    }
    if (kMistake == Mistake::kCompleteByStore) {
      slot_.status.store(ORRERY_DEVICE_OK, std::memory_order_release);
      return true;
    }
    return Queue::Complete(0, result);
  }
  std::optional<DeviceResult> Take() {
    const auto result = Result(0);
    if (result.has_value() && !Recycle(0)) return std::nullopt;
    return result;
  }

 private:
  Slot& slot_;
};

// Sees what is visible to all: not to be used where the thread has changed what it waits for.
void BlockUntil(const Slot& slot, auto ready) {
  Explorer::BlockUntil(&slot.status, [&slot, ready] { return ready(slot.status.visible()); });
}
bool IsPublished(uint32_t status) { return status == ORRERY_DEVICE_PUBLISHED; }
bool IsCompleted(uint32_t status) {
  return status == ORRERY_DEVICE_OK || status == ORRERY_DEVICE_ERROR;
}

// A device that asks, and takes its answer, as often as it is asked to; a host that answers each
// request with what was asked. The second begins where the first is claimed: two whole rounds are a
// hundred million interleavings.
template <Mistake kMistake>
class RoundTrip {
 public:
  enum class Part : uint8_t { kPublishToTake, kClaimedToClaimedAnew };

  explicit RoundTrip(Part part) : anew_(part == Part::kClaimedToClaimedAnew) {}

  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      slots_ = std::make_unique<std::array<Slot, 1>>();
      if (anew_) slot().status = TracedAtomic<uint32_t>(ORRERY_DEVICE_CLAIMED);
      data_.emplace(0U);
      queue_.emplace(*slots_);
      problem_.clear();
    };
    if (anew_) {
      described.threads = {[this] {
                             Take(1);
                             Publish(2);
                           },
                           [this] {
                             Answer(1);
                             Claim(2);
                           }};
    } else {
      described.threads = {[this] {
                             Publish(1);
                             Take(1);
                           },
                           [this] {
                             Claim(1);
                             Answer(1);
                           }};
    }
    described.verdict = [this] { return problem_; };
    return described;
  }

 private:
  Slot& slot() { return (*slots_)[0]; }

  void Publish(uint32_t number) {
    if (!queue_->TryPublish({.source = 7 * number, .bytes = number})) {
      problem_ = "the device's own slot is not empty";
    }
  }
  void Take(uint32_t number) {
    BlockUntil(slot(), IsCompleted);
    const uint32_t data = data_->load(std::memory_order_relaxed);
    const auto result = queue_->Take();
    if (!result.has_value() || result->tag != 8 * number) problem_ = "another's result";
    if (data != number) problem_ = "the data has not arrived";
  }
  void Claim(uint32_t number) {
    BlockUntil(slot(), IsPublished);
    if (!queue_->TryClaim()) problem_ = "nobody else claims";
    const DeviceRequest request = queue_->Read(0);
    if (request.bytes != number || request.source != 7 * number) problem_ = "other words";
  }
  void Answer(uint32_t number) {
    data_->store(number, std::memory_order_relaxed);
    if (!queue_->Complete({.ok = true, .tag = 8 * number})) problem_ = "nobody has taken it away";
  }

  const bool anew_;
  std::unique_ptr<std::array<Slot, 1>> slots_;
  std::optional<TracedAtomic<uint32_t>> data_;
  std::optional<AnyQueue<kMistake>> queue_;
  std::string problem_;
};

// Two that claim, and a device that comes at any time.
template <Mistake kMistake>
class TwoClaimants {
 public:
  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      slots_ = std::make_unique<std::array<Slot, 1>>();
      queue_.emplace(*slots_);
      claims_ = 0;
    };
    described.threads = {
        [this] { (void)queue_->TryPublish({.bytes = 5}); },
        [this] { Claim(); },
        [this] { Claim(); },
    };
    described.verdict = [this]() -> std::string {
      if (claims_ > 1) return "two claimants won";
      most_claims_ = std::max(most_claims_, claims_);
      return "";
    };
    return described;
  }
  int most_claims() const { return most_claims_; }

 private:
  void Claim() {
    if (queue_->TryClaim()) ++claims_;
  }

  std::unique_ptr<std::array<Slot, 1>> slots_;
  std::optional<AnyQueue<kMistake>> queue_;
  int claims_ = 0;
  int most_claims_ = 0;
};

// A device that takes its claimed slot back, and publishes in it anew, while the host completes it.
template <Mistake kMistake>
class TakenAway {
 public:
  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      slots_ = std::make_unique<std::array<Slot, 1>>();
      queue_.emplace(*slots_);
    };
    described.threads = {
        [this] {
          (void)queue_->TryPublish({.bytes = 5});
          BlockUntil((*slots_)[0], [](uint32_t status) { return status >= ORRERY_DEVICE_CLAIMED; });
          // The scribble; then as a device that knows of nothing.
          (*slots_)[0].status.store(ORRERY_DEVICE_PUBLISHED, std::memory_order_release);
        },
        [this] {
          BlockUntil((*slots_)[0], IsPublished);
          (void)queue_->TryClaim();
          (void)queue_->Complete({.ok = true, .tag = 5});
        },
    };
    described.verdict = [this]() -> std::string {
      const uint32_t status = (*slots_)[0].status.visible();
      return status == ORRERY_DEVICE_PUBLISHED ? "" : "what was published is gone";
    };
    return described;
  }

 private:
  std::unique_ptr<std::array<Slot, 1>> slots_;
  std::optional<AnyQueue<kMistake>> queue_;
};

TEST(SlotQueueInterleavings, ARequestIsAnsweredOnceWithItsOwn) {
  using Right = RoundTrip<Mistake::kNone>;
  ExpectAllRight("published, answered, taken", Explore(Right(Right::Part::kPublishToTake)));
  ExpectAllRight("answered, taken, published anew",
                 Explore(Right(Right::Part::kClaimedToClaimedAnew)));
}

TEST(SlotQueueInterleavings, OneOfTwoClaimantsWins) {
  TwoClaimants<Mistake::kNone> threads;
  ExpectAllRight("2 claimants", Explore(threads));
  EXPECT_EQ(threads.most_claims(), 1) << "nobody ever won";
}

TEST(SlotQueueInterleavings, ASlotThatIsTakenAwayIsLeftAlone) {
  ExpectAllRight("a slot taken away", Explore(TakenAway<Mistake::kNone>()));
}

TEST(SlotQueueInterleavings, MistakesAreFound) {
  using Early = RoundTrip<Mistake::kPublishedBeforeItsWords>;
  using Tagless = RoundTrip<Mistake::kCompletedBeforeItsTag>;
  ExpectFound("claimed by a load and a store",
              Explore(TwoClaimants<Mistake::kClaimByLoadAndStore>()));
  ExpectFound("published before its words", Explore(Early(Early::Part::kPublishToTake)));
  ExpectFound("completed before its tag", Explore(Tagless(Tagless::Part::kPublishToTake)));
  ExpectFound("completed by a store", Explore(TakenAway<Mistake::kCompleteByStore>()));
}

}  // namespace
}  // namespace orrery::interleaving

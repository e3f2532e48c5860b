// Shards that post, flush, drain and sleep in any order: every message arrives once, in the order
// of its pair of shards, and no shard sleeps over mail or over room for what it has to send.
//
// The naive model keeps a list for every pair. Between two steps it is asked of each sleeper
// whether something that it should know of has been flushed and not been rung for.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <ostream>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/mailboxes.h"

namespace orrery {
namespace {

struct Step {
  enum class Kind : uint8_t {
    kPost,  // `count` messages to `other`.
    kFlush,
    kDrain,
    kSleep,  // Tries to.
    kTurn,   // All of a turn: drain, flush, and sleep if it may.
  };
  Kind kind = Kind::kPost;
  uint32_t shard = 0;
  uint32_t other = 0;
  uint32_t count = 0;
};

struct Setting {
  uint32_t shards = 1;
  uint32_t capacity = 1;
  uint32_t budget = 1;
  std::vector<Step> steps;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* kNames[] = {"post", "flush", "drain", "sleep", "turn"};
  out << kNames[static_cast<int>(step.kind)] << "(" << step.shard;
  if (step.kind == Step::Kind::kPost) out << " -> " << step.other << ", " << step.count;
  return out << ")";
}

std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  out << setting.shards << " shards, capacity " << setting.capacity << ", budget " << setting.budget
      << ":";
  for (const Step& step : setting.steps) out << " " << step;
  return out;
}

rc::Gen<Step> AnyStep() {
  using Kind = Step::Kind;
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::weightedElement<Kind>({{6, Kind::kPost},
                                                                {4, Kind::kFlush},
                                                                {4, Kind::kDrain},
                                                                {3, Kind::kSleep},
                                                                {4, Kind::kTurn}})),
      rc::gen::set(&Step::shard, rc::gen::inRange<uint32_t>(0, 60)),
      rc::gen::set(&Step::other, rc::gen::inRange<uint32_t>(0, 60)),
      rc::gen::set(&Step::count, rc::gen::inRange<uint32_t>(1, 6)));
}

rc::Gen<Setting> AnySetting() {
  return rc::gen::build<Setting>(
      rc::gen::set(&Setting::shards, rc::gen::inRange<uint32_t>(1, 6)),
      rc::gen::set(&Setting::capacity, rc::gen::inRange<uint32_t>(1, 9)),
      rc::gen::set(&Setting::budget, rc::gen::inRange<uint32_t>(1, 9)),
      rc::gen::set(&Setting::steps, rc::gen::container<std::vector<Step>>(AnyStep())));
}

class World {
 public:
  explicit World(const Setting& setting)
      : setting_(setting),
        boxes_({.shards = setting.shards,
                .capacity = setting.capacity,
                .budget_per_source = setting.budget}),
        shards_(setting.shards),
        pairs_(size_t{setting.shards} * setting.shards) {
    for (uint32_t shard = 0; shard < setting.shards; ++shard) mails_.emplace_back(boxes_, shard);
  }

  void Run() {
    for (const Step& step : setting_.steps) {
      Do(step);
      CheckSleepers();
    }
    // Everybody goes on by itself from now on: only who has work or was rung is turned.
    for (bool any = true; any;) {
      any = false;
      for (uint32_t shard = 0; shard < setting_.shards; ++shard) {
        if (shards_[shard].asleep && !shards_[shard].rung) continue;
        any = true;
        Turn(shard);
        CheckSleepers();
      }
    }
    for (const Pair& pair : pairs_) RC_ASSERT(pair.received == pair.posted);
  }

 private:
  struct Shard {
    bool asleep = false;
    bool rung = false;
  };
  // Messages of a pair are numbered.
  struct Pair {
    uint64_t posted = 0;
    uint64_t posted_at_flush = 0;
    uint64_t received = 0;
  };

  Pair& PairOf(uint32_t source, uint32_t target) {
    return pairs_[size_t{source} * setting_.shards + target];
  }

  void Do(const Step& step) {
    const uint32_t shard = step.shard % setting_.shards;
    if (step.kind != Step::Kind::kTurn) Awake(shard);
    switch (step.kind) {
      case Step::Kind::kPost: {
        const uint32_t target = step.other % setting_.shards;
        Pair& pair = PairOf(shard, target);
        for (uint32_t each = 0; each < step.count; ++each) {
          mails_[shard].Post(target, pair.posted++);
        }
        break;
      }
      case Step::Kind::kFlush:
        Flush(shard);
        break;
      case Step::Kind::kDrain:
        Drain(shard);
        break;
      case Step::Kind::kSleep:
        shards_[shard].asleep = mails_[shard].TryArm();
        break;
      case Step::Kind::kTurn:
        Turn(shard);
        break;
    }
  }

  void Awake(uint32_t shard) {
    if (!shards_[shard].asleep) return;
    shards_[shard] = {};
    mails_[shard].Disarm();
  }

  void Turn(uint32_t shard) {
    Awake(shard);
    Drain(shard);
    Flush(shard);
    shards_[shard].asleep = mails_[shard].TryArm();
  }

  void Flush(uint32_t shard) {
    mails_[shard].Flush([this](unsigned target) {
      RC_ASSERT(shards_[target].asleep);
      RC_ASSERT(!shards_[target].rung);
      shards_[target].rung = true;
    });
    for (uint32_t target = 0; target < setting_.shards; ++target) {
      Pair& pair = PairOf(shard, target);
      pair.posted_at_flush = pair.posted;
      // What stays has no room.
      const size_t backlog = mails_[shard].backlog(target);
      const uint64_t in_mailbox = pair.posted - backlog - pair.received;
      RC_ASSERT(backlog == 0 || in_mailbox == boxes_.queue(shard, target).capacity());
    }
  }

  void Drain(uint32_t shard) {
    std::vector<uint64_t> taken(setting_.shards, 0);
    mails_[shard].Drain([&](unsigned source, uint64_t number) {
      RC_ASSERT(number == PairOf(source, shard).received);
      ++PairOf(source, shard).received;
      RC_ASSERT(++taken[source] <= setting_.budget);
    });
    for (uint32_t source = 0; source < setting_.shards; ++source) {
      // All that is there, but for the budget.
      RC_ASSERT(taken[source] == setting_.budget || InMailbox(source, shard) == 0);
      if (InMailbox(source, shard) > 0) RC_ASSERT(mails_[shard].work_left());
    }
  }

  uint64_t InMailbox(uint32_t source, uint32_t target) {
    const Pair& pair = PairOf(source, target);
    return pair.posted - mails_[source].backlog(target) - pair.received;
  }

  void CheckSleepers() {
    for (uint32_t shard = 0; shard < setting_.shards; ++shard) {
      if (!shards_[shard].asleep || shards_[shard].rung) continue;
      for (uint32_t other = 0; other < setting_.shards; ++other) {
        RC_ASSERT(InMailbox(other, shard) == 0);
        // What it has to send is flushed as far as it goes; where room was made, whoever made it
        // is about to tell.
        const bool room = InMailbox(shard, other) < boxes_.queue(shard, other).capacity();
        RC_ASSERT(mails_[shard].backlog(other) == 0 || !room || mails_[other].work_left());
        RC_ASSERT(PairOf(shard, other).posted_at_flush == PairOf(shard, other).posted);
      }
    }
  }

  const Setting& setting_;
  Mailboxes<uint64_t> boxes_;
  std::deque<Mail<uint64_t>> mails_;
  std::vector<Shard> shards_;
  std::vector<Pair> pairs_;
};

RC_GTEST_PROP(MailboxesProperty, NothingIsLostReorderedOrSleptOver, ()) {
  const Setting setting = *AnySetting();
  World(setting).Run();
}

}  // namespace
}  // namespace orrery

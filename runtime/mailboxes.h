// Messages between shards: a bounded queue for every ordered pair of them, and a waker for each.
//
// A shard posts as often as it likes; once a turn Flush() sends what was posted, one batch for each
// target, and tells the targets. A target that is awake finds the mail in its next turn without any
// system call; one that sleeps is rung, once. A turn of a shard that can sleep is
//
//     Drain(visit)    takes mail, so many messages of each source at most
//     ...             handles completions, posts
//     Flush(ring)     sends what was posted; ring(shard) ends the sleep of a shard
//     TryArm()        the last thing: false when there is mail or something is left to do
//     the wait        ends by a ring at the latest
//     Disarm()        after it, if TryArm() said true
//
// What has no room in a full mailbox stays with its poster, in order, and goes with a later
// Flush(); the poster is told (by its own waker) when there is room, so it need not look. So
// nothing is lost, nothing blocks, and shards that fill each other's mailboxes go on. How much a
// poster may have in there is its own business: backlog() says how much it is.
//
// Messages of one source to one target keep their order. A shard that posts to itself is a target
// like any other. A message is a few words, usually a pointer: what it points to is handed over
// with it, and whoever has taken it may write to it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/mark.h"
#include "runtime/atomics.h"
#include "runtime/spsc_queue.h"
#include "runtime/waker.h"

namespace orrery {

struct MailboxOptions {
  uint32_t shards = 1;
  uint32_t capacity = 512;           // Messages in one mailbox; rounded up to a power of two.
  uint32_t budget_per_source = 256;  // Messages that one Drain() takes of one source at most.
};

// All mailboxes and wakers. Outlives every Mail, and every ring of theirs.
template <typename Message, typename Atomics = StdAtomics>
class Mailboxes {
 public:
  static constexpr uint32_t kShardsMax = 1024;
  using Queue = SpscQueue<Message, Atomics>;
  using AnyWaker = BasicWaker<Atomics>;

  explicit Mailboxes(const MailboxOptions& options) : options_(options), wakers_(options.shards) {
    ORRERY_CHECK(options.shards >= 1 && options.shards <= kShardsMax);
    ORRERY_CHECK(options.budget_per_source >= 1);
    const size_t pairs = size_t{options.shards} * options.shards;
    for (size_t pair = 0; pair < pairs; ++pair) queues_.emplace_back(options.capacity);
  }
  Mailboxes(const Mailboxes&) = delete;
  Mailboxes& operator=(const Mailboxes&) = delete;

  const MailboxOptions& options() const { return options_; }
  uint32_t shards() const { return options_.shards; }

  // For Mail.
  Queue& queue(unsigned source, unsigned target) {
    return queues_[size_t{target} * options_.shards + source];
  }
  AnyWaker& waker(unsigned shard) { return wakers_[shard]; }

 private:
  const MailboxOptions options_;
  std::deque<Queue> queues_;
  std::deque<AnyWaker> wakers_;
};

// Counts since the start, for metrics and tests.
struct MailCounters {
  uint64_t posted = 0;       // Messages.
  uint64_t received = 0;     // The same.
  uint64_t batches = 0;      // In which they were sent.
  uint64_t rings = 0;        // Shards that slept when they were told.
  uint64_t full = 0;         // Batches of which a part stayed for want of room.
  uint64_t cut = 0;          // Drains that a budget ended.
  uint64_t backlog_max = 0;  // The most messages that stayed for one target.
};

// One shard's end of the mailboxes. Thread: the shard's, for everything.
template <typename Message, typename Atomics = StdAtomics>
class Mail {
 public:
  using Boxes = Mailboxes<Message, Atomics>;

  Mail(Boxes& boxes, unsigned self)
      : boxes_(boxes), self_(self), outboxes_(boxes.shards()), told_(boxes.shards(), false) {
    ORRERY_CHECK(self < boxes.shards());
    to_flush_.reserve(boxes.shards());
    to_tell_.reserve(boxes.shards());
  }
  Mail(const Mail&) = delete;
  Mail& operator=(const Mail&) = delete;

  unsigned self() const { return self_; }
  unsigned shards() const { return boxes_.shards(); }

  // --- Sending.

  // Goes with the next Flush(), behind what was posted to the same target before.
  void Post(unsigned target, Message message) {
    Outbox& outbox = outboxes_[target];
    if (outbox.messages.empty()) to_flush_.push_back(target);
    outbox.messages.push_back(message);
    unflushed_ = true;
    ++counters_.posted;
  }
  // Sends what was posted, as far as there is room, and tells whom it concerns. Calls
  // `ring(unsigned shard)` for each of them that sleeps: it must be woken, and may be at any time
  // from then on. Costs nothing for targets without mail.
  template <typename Ring>
  void Flush(Ring ring) {
    unflushed_ = false;
    std::erase_if(to_flush_, [this](unsigned target) { return Send(target); });
    for (const unsigned shard : to_tell_) {
      told_[shard] = false;
      if (!boxes_.waker(shard).Publish()) continue;
      ++counters_.rings;
      ring(shard);
    }
    to_tell_.clear();
  }
  // What was posted to the target and is not in its mailbox yet.
  size_t backlog(unsigned target) const {
    return outboxes_[target].messages.size() - outboxes_[target].sent;
  }

  // --- Receiving.

  // Calls `visit(unsigned source, Message message)` for mail that has come, oldest first, for at
  // most the budget of each source; who is served first goes round. Visitors may post. Returns how
  // many messages that were. Costs one load when nothing has been sent since the last call.
  template <typename Visit>
  size_t Drain(Visit visit) {
    // Before looking into the mailboxes, so that TryArm() notices what comes later.
    auto& waker = boxes_.waker(self_);
    (void)waker.Look();
    if (waker.looked() == drained_ && !left_) return 0;
    drained_ = waker.looked();
    left_ = false;
    unflushed_ |= !to_flush_.empty();  // What was published may be room for it.
    const unsigned shards = boxes_.shards();
    size_t received = 0;
    for (unsigned step = 0; step < shards; ++step) {
      const unsigned source = (first_ + step) % shards;
      const auto popped = boxes_.queue(source, self_)
                              .Pop(boxes_.options().budget_per_source,
                                   [&](const Message& message) { visit(source, message); });
      received += popped.count;
      left_ |= popped.left;
      ORRERY_MARK_IF(popped.room_wanted, "mail.room-for-a-backlog");
      if (popped.room_wanted) Tell(source);
    }
    first_ = (first_ + 1) % shards;
    counters_.received += received;
    ORRERY_MARK_IF(left_, "mail.cut-by-the-budget");
    counters_.cut += left_ ? 1 : 0;
    return received;
  }

  // --- Sleeping.

  // A budget ended the last Drain(), or something waits for Flush(): do not sleep. (A backlog that
  // has no room is no reason: its poster is told.)
  bool work_left() const { return left_ || unflushed_ || !to_tell_.empty(); }
  // Announces the sleep. False: there is work left, or something has come since Drain(); then there
  // is nothing to disarm. REQUIRES: not armed.
  [[nodiscard]] bool TryArm() { return !work_left() && boxes_.waker(self_).TryArm(); }
  // After the sleep, whatever ended it. A ring may still come.
  void Disarm() { boxes_.waker(self_).Disarm(); }

  const MailCounters& counters() const { return counters_; }

 private:
  struct Outbox {
    std::vector<Message> messages;
    size_t sent = 0;  // Of them, from the front.
  };

  // Whether all that was posted to the target has been sent.
  bool Send(unsigned target) {
    Outbox& outbox = outboxes_[target];
    const auto unsent = std::span<const Message>(outbox.messages).subspan(outbox.sent);
    const size_t sent = boxes_.queue(self_, target).Push(unsent);
    if (sent > 0) {
      ++counters_.batches;
      Tell(target);
    }
    outbox.sent += sent;
    if (outbox.sent == outbox.messages.size()) {
      outbox.messages.clear();
      outbox.sent = 0;
      return true;
    }
    ORRERY_MARK("mail.no-room");
    ++counters_.full;
    counters_.backlog_max = std::max<uint64_t>(counters_.backlog_max, backlog(target));
    // Now and then only: what is moved is less than what has been sent since.
    if (outbox.sent > outbox.messages.size() / 2) {
      outbox.messages.erase(outbox.messages.begin(),
                            outbox.messages.begin() + static_cast<ptrdiff_t>(outbox.sent));
      outbox.sent = 0;
    }
    return false;
  }

  // The next Flush() publishes to the shard.
  void Tell(unsigned shard) {
    if (told_[shard]) return;
    told_[shard] = true;
    to_tell_.push_back(shard);
  }

  Boxes& boxes_;
  const unsigned self_;
  std::vector<Outbox> outboxes_;    // By target.
  std::vector<unsigned> to_flush_;  // Targets with something unsent,
  std::vector<unsigned> to_tell_;   // and shards that have mail, or room for theirs.
  std::vector<bool> told_;          // Who is in to_tell_.
  bool unflushed_ = false;          // Flush() may have something to send.
  bool left_ = false;               // A budget ended the last Drain().
  unsigned first_ = 0;              // The source that the next Drain() begins with.
  uint64_t drained_ = 0;            // The publications that the last Drain() has looked for.
  MailCounters counters_;
};

}  // namespace orrery

// A message that is lost hangs a client, one that overtakes another breaks the order of replies,
// and a shard that sleeps over its mail answers when somebody else wakes it. Here the cases by
// hand, and real threads, for tsan; random ones are in //tests/property, every interleaving of
// small ones in //tests/interleaving.
#include "runtime/mailboxes.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

using Received = std::vector<std::pair<unsigned, int>>;  // Sources and messages.

// Shards that are turned by hand.
class MailboxesTest : public testing::Test {
 protected:
  void Make(const MailboxOptions& options) {
    boxes_ = std::make_unique<Mailboxes<int>>(options);
    for (unsigned shard = 0; shard < options.shards; ++shard) mails_.emplace_back(*boxes_, shard);
  }
  Mail<int>& mail(unsigned shard) { return mails_[shard]; }
  // Whom it rang.
  std::vector<unsigned> Flush(unsigned shard) {
    std::vector<unsigned> rung;
    mail(shard).Flush([&](unsigned target) { rung.push_back(target); });
    return rung;
  }
  Received Drain(unsigned shard) {
    Received received;
    const size_t count = mail(shard).Drain(
        [&](unsigned source, int message) { received.emplace_back(source, message); });
    EXPECT_EQ(count, received.size());
    return received;
  }
  void FallAsleep(unsigned shard) {
    (void)Drain(shard);
    ASSERT_TRUE(mail(shard).TryArm());
  }

  using Shards = std::vector<unsigned>;

 private:
  std::unique_ptr<Mailboxes<int>> boxes_;
  std::deque<Mail<int>> mails_;
};

TEST_F(MailboxesTest, MailComesWithTheFlushAndInItsOrder) {
  Make({.shards = 3});
  mail(0).Post(2, 1);
  mail(0).Post(1, 2);
  mail(0).Post(2, 3);
  EXPECT_TRUE(Drain(2).empty());
  EXPECT_EQ(Flush(0), Shards()) << "nobody sleeps";
  EXPECT_EQ(Drain(2), (Received{{0, 1}, {0, 3}}));
  EXPECT_EQ(Drain(1), (Received{{0, 2}}));
  EXPECT_TRUE(Drain(2).empty());
  EXPECT_EQ(mail(0).counters().posted, 3U);
  EXPECT_EQ(mail(0).counters().batches, 2U);
  EXPECT_EQ(mail(2).counters().received, 2U);
}

TEST_F(MailboxesTest, ASleeperIsRungOnceASleep) {
  Make({.shards = 3});
  FallAsleep(1);
  mail(0).Post(1, 1);
  mail(0).Post(1, 2);
  EXPECT_EQ(Flush(0), Shards{1});
  mail(2).Post(1, 3);
  EXPECT_EQ(Flush(2), Shards()) << "it has been rung";
  mail(1).Disarm();
  EXPECT_EQ(Drain(1).size(), 3U);
  FallAsleep(1);
  mail(2).Post(1, 4);
  EXPECT_EQ(Flush(2), Shards{1});
  EXPECT_EQ(mail(0).counters().rings, 1U);
}

TEST_F(MailboxesTest, NobodyFallsAsleepOverMailOrWork) {
  Make({.shards = 2, .budget_per_source = 2});
  (void)Drain(1);
  for (const int message : {1, 2, 3}) mail(0).Post(1, message);
  EXPECT_FALSE(mail(0).TryArm()) << "it has something to flush";
  (void)Flush(0);
  EXPECT_FALSE(mail(1).TryArm()) << "mail came after it had looked";
  EXPECT_EQ(Drain(1), (Received{{0, 1}, {0, 2}}));
  EXPECT_TRUE(mail(1).work_left());
  EXPECT_FALSE(mail(1).TryArm()) << "its budget left something";
  EXPECT_EQ(Drain(1), (Received{{0, 3}}));
  EXPECT_FALSE(mail(1).work_left());
  EXPECT_TRUE(mail(1).TryArm());
  EXPECT_EQ(mail(1).counters().cut, 1U);
}

TEST_F(MailboxesTest, WhatHasNoRoomStaysInOrderAndItsPosterIsTold) {
  Make({.shards = 2, .capacity = 2});
  for (const int message : {1, 2, 3, 4, 5}) mail(0).Post(1, message);
  (void)Flush(0);
  EXPECT_EQ(mail(0).backlog(1), 3U);
  // It can do nothing, so it sleeps.
  FallAsleep(0);
  EXPECT_EQ(Drain(1), (Received{{0, 1}, {0, 2}}));
  EXPECT_TRUE(mail(1).work_left()) << "it has something to tell";
  EXPECT_FALSE(mail(1).TryArm());
  EXPECT_EQ(Flush(1), Shards{0});
  mail(0).Disarm();
  (void)Drain(0);
  mail(0).Post(1, 6);
  (void)Flush(0);
  EXPECT_EQ(Drain(1), (Received{{0, 3}, {0, 4}}));
  (void)Flush(1);
  (void)Flush(0);
  EXPECT_EQ(Drain(1), (Received{{0, 5}, {0, 6}}));
  EXPECT_EQ(mail(0).backlog(1), 0U);
  EXPECT_EQ(mail(0).counters().backlog_max, 3U);
}

// Neither side blocks: each takes what the other sends.
TEST_F(MailboxesTest, ShardsThatFillEachOthersMailboxesGoOn) {
  constexpr int kMessages = 50;
  Make({.shards = 2, .capacity = 1});
  for (int message = 0; message < kMessages; ++message) {
    for (const unsigned shard : {0U, 1U}) mail(shard).Post(1 - shard, message);
  }
  int turns = 0;
  while (mail(0).counters().received + mail(1).counters().received < 2 * kMessages) {
    ASSERT_LT(++turns, 10 * kMessages);
    for (const unsigned shard : {0U, 1U}) {
      (void)Drain(shard);
      (void)Flush(shard);
    }
  }
  EXPECT_EQ(mail(0).backlog(1), 0U);
}

TEST_F(MailboxesTest, AShardPostsToItself) {
  Make({.shards = 1, .capacity = 2});
  for (const int message : {1, 2, 3}) mail(0).Post(0, message);
  EXPECT_EQ(Flush(0), Shards());
  EXPECT_FALSE(mail(0).TryArm());
  EXPECT_EQ(Drain(0), (Received{{0, 1}, {0, 2}}));
  EXPECT_EQ(Flush(0), Shards());
  EXPECT_FALSE(mail(0).TryArm());
  EXPECT_EQ(Drain(0), (Received{{0, 3}}));
  EXPECT_EQ(Flush(0), Shards());
}

// A source that always has more than its budget delays the others by that much, and who is first
// changes.
TEST_F(MailboxesTest, ABusySourceStarvesNobody) {
  Make({.shards = 3, .budget_per_source = 2});
  for (int message = 0; message < 100; ++message) mail(0).Post(2, message);
  mail(1).Post(2, 1000);
  (void)Flush(0);
  (void)Flush(1);
  EXPECT_EQ(Drain(2), (Received{{0, 0}, {0, 1}, {1, 1000}}));
  mail(1).Post(2, 1001);
  (void)Flush(1);
  EXPECT_EQ(Drain(2), (Received{{1, 1001}, {0, 2}, {0, 3}}));
}

TEST_F(MailboxesTest, VisitorsPost) {
  Make({.shards = 2});
  mail(0).Post(1, 20);
  mail(0).Post(1, 21);
  (void)Flush(0);
  (void)mail(1).Drain([&](unsigned source, int message) { mail(1).Post(source, message + 1); });
  EXPECT_TRUE(mail(1).work_left());
  (void)Flush(1);
  EXPECT_EQ(Drain(0), (Received{{1, 21}, {1, 22}}));
}

// --- Threads

// A message that goes to and fro: whoever has it writes to it.
struct Letter {
  unsigned from = 0;
  uint64_t number = 0;  // Of its sender's to this target.
  uint32_t hops_left = 0;
  bool reply = false;
};

// A shard on a thread: sends letters to random others, as many as may be under way; each comes back
// after some hops between the two.
class Correspondent {
 public:
  Correspondent(Mailboxes<Letter*>& boxes, unsigned self, const std::vector<int>& bells,
                std::atomic<unsigned>& busy, uint64_t letters)
      : mail_(boxes, self),
        bells_(bells),
        busy_(busy),
        prng_(self + 1),
        to_send_(letters),
        sent_(boxes.shards(), 0),
        seen_(boxes.shards(), 0) {
    for (uint32_t index = 0; index < kUnderWayMax; ++index) free_.push_back(&letters_[index]);
  }

  void Run() {
    while (busy_.load() > 0) {
      (void)mail_.Drain([this](unsigned source, Letter* letter) { Take(source, letter); });
      Send();
      mail_.Flush([this](unsigned shard) { kernel_.SignalEventFd(bells_[shard]); });
      if (!mail_.TryArm()) continue;
      ++sleeps_;
      pollfd poll{.fd = bells_[mail_.self()], .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&poll, 1, -1), 1);
      uint64_t count = 0;
      ASSERT_EQ(::read(poll.fd, &count, sizeof count), ssize_t{sizeof count});
      mail_.Disarm();
    }
  }

  uint64_t sleeps() const { return sleeps_; }
  uint64_t returned() const { return returned_; }
  const MailCounters& counters() const { return mail_.counters(); }

 private:
  static constexpr uint32_t kUnderWayMax = 64;

  void Send() {
    for (; to_send_ > 0 && !free_.empty(); --to_send_) {
      Letter* const letter = free_.back();
      free_.pop_back();
      const auto target = static_cast<unsigned>(prng_.Below(mail_.shards()));
      const auto hops = static_cast<uint32_t>(prng_.Below(4));
      *letter = {.from = mail_.self(), .number = sent_[target]++, .hops_left = hops};
      mail_.Post(target, letter);
    }
  }

  void Take(unsigned source, Letter* letter) {
    if (!letter->reply && letter->from == source) {
      // Its first arrival: in the order in which it was sent.
      EXPECT_EQ(letter->number, seen_[source]++);
    }
    letter->reply = true;
    if (letter->hops_left > 0) {
      --letter->hops_left;
      return mail_.Post(source, letter);
    }
    if (letter->from != mail_.self()) return mail_.Post(letter->from, letter);
    free_.push_back(letter);
    ++returned_;
    if (to_send_ > 0 || free_.size() < kUnderWayMax) return;
    // The last one tells the others that it is over.
    if (busy_.fetch_sub(1) > 1) return;
    for (const int bell : bells_) kernel_.SignalEventFd(bell);
  }

  Mail<Letter*> mail_;
  const std::vector<int>& bells_;
  std::atomic<unsigned>& busy_;
  LinuxKernel kernel_;
  Prng prng_;
  uint64_t to_send_;
  uint64_t returned_ = 0;
  uint64_t sleeps_ = 0;
  std::vector<uint64_t> sent_;  // By target,
  std::vector<uint64_t> seen_;  // by source.
  Letter letters_[kUnderWayMax];
  std::vector<Letter*> free_;
};

TEST(MailboxThreads, NothingIsLostAndNobodySleepsForEver) {
  constexpr unsigned kShards = 4;
  constexpr uint64_t kLetters = 20'000;
  LinuxKernel kernel;
  // Small ones, so that backlogs and budgets are met.
  Mailboxes<Letter*> boxes({.shards = kShards, .capacity = 8, .budget_per_source = 6});
  std::vector<int> bells;
  for (unsigned shard = 0; shard < kShards; ++shard) bells.push_back(kernel.MakeEventFd().value());
  std::atomic<unsigned> busy = kShards;
  std::deque<Correspondent> correspondents;
  for (unsigned shard = 0; shard < kShards; ++shard) {
    correspondents.emplace_back(boxes, shard, bells, busy, kLetters);
  }
  std::vector<std::thread> threads;
  for (Correspondent& each : correspondents) threads.emplace_back([&each] { each.Run(); });
  for (std::thread& thread : threads) thread.join();
  MailCounters all;
  uint64_t sleeps = 0;
  for (const Correspondent& each : correspondents) {
    EXPECT_EQ(each.returned(), kLetters);
    all.posted += each.counters().posted;
    all.received += each.counters().received;
    all.full += each.counters().full;
    all.cut += each.counters().cut;
    all.rings += each.counters().rings;
    sleeps += each.sleeps();
  }
  EXPECT_EQ(all.posted, all.received);
  EXPECT_GT(all.full, 0U);
  EXPECT_GT(all.cut, 0U);
  EXPECT_LE(all.rings, sleeps);
  std::printf(
      "%lu messages, %lu batches met a full mailbox, %lu budgets ended a drain, "
      "%lu sleeps, %lu rings\n",
      all.received, all.full, all.cut, sleeps, all.rings);
  for (const int bell : bells) kernel.Close(bell);
}

}  // namespace
}  // namespace orrery

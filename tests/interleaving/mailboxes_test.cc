// Shards that sleep by the protocol of runtime/mailboxes.h: every interleaving of small cases, in
// which mail, budgets, full mailboxes and sleeps meet. Lost mail shows as a deadlock: a shard that
// sleeps and that nobody rings.
#include "runtime/mailboxes.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/interleaving/expect.h"
#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {
namespace {

struct Setting {
  MailboxOptions boxes;
  // What each shard posts to each, in its first turn.
  std::vector<std::vector<int>> posts;
  // A shard answers every message but answers.
  bool answers = false;
};

// What is wrong with a shard's turn.
enum class Mistake : uint8_t {
  kNone,
  kArmsOverWork,  // Sleeps although a budget has left something (S5).
  kRoomIsKept,    // Does not tell who waits for room (X4).
};

template <Mistake kMistake>
class MailCase {
 public:
  explicit MailCase(const Setting& setting) : setting_(setting), shards_(setting.boxes.shards) {
    expected_.assign(shards_, 0);
    for (unsigned source = 0; source < shards_; ++source) {
      for (unsigned target = 0; target < shards_; ++target) {
        const int posts = setting.posts[source][target];
        expected_[target] += posts;
        if (setting.answers) expected_[source] += posts;
      }
    }
  }

  Explorer::Case Describe() {
    Explorer::Case described;
    described.prepare = [this] {
      mails_.clear();
      boxes_ = std::make_unique<Mailboxes<int, TracedAtomics>>(setting_.boxes);
      for (unsigned shard = 0; shard < shards_; ++shard) mails_.emplace_back(*boxes_, shard);
      rung_.assign(shards_, 0);
      received_.assign(shards_, {});
      problem_.clear();
    };
    for (unsigned shard = 0; shard < shards_; ++shard) {
      described.threads.push_back([this, shard] { Run(shard); });
    }
    described.verdict = [this] { return problem_; };
    return described;
  }

  uint64_t full = 0;
  uint64_t cut = 0;

 private:
  using TracedMail = Mail<int, TracedAtomics>;
  static constexpr int kAnswer = 1000;

  // Until it has received all, and sent all.
  bool Done(unsigned shard) const {
    if (received_[shard].size() < static_cast<size_t>(expected_[shard])) return false;
    for (unsigned target = 0; target < shards_; ++target) {
      if (mails_[shard].backlog(target) > 0) return false;
    }
    return !mails_[shard].work_left();
  }

  void Run(unsigned shard) {
    TracedMail& mail = mails_[shard];
    for (unsigned target = 0; target < shards_; ++target) {
      for (int number = 0; number < setting_.posts[shard][target]; ++number) {
        mail.Post(target, number);
      }
    }
    for (;;) {
      (void)mail.Drain([&](unsigned source, int message) { Take(shard, source, message); });
      Flush(shard);
      if (Done(shard)) break;
      const bool armed =
          kMistake == Mistake::kArmsOverWork ? boxes_->waker(shard).TryArm() : mail.TryArm();
      if (!armed) continue;
      Explorer::BlockUntil(&rung_[shard], [this, shard] { return rung_[shard] > 0; });
      rung_[shard] = 0;
      mail.Disarm();
    }
    full += mail.counters().full;
    cut += mail.counters().cut;
  }

  void Take(unsigned shard, unsigned source, int message) {
    // Messages and answers of one source, each in their order.
    int next = message >= kAnswer ? kAnswer : 0;
    for (const auto& [from, earlier] : received_[shard]) {
      if (from == source && (earlier >= kAnswer) == (message >= kAnswer)) ++next;
    }
    if (message != next) problem_ = "out of order";
    received_[shard].emplace_back(source, message);
    if (setting_.answers && message < kAnswer) mails_[shard].Post(source, message + kAnswer);
  }

  void Flush(unsigned shard) {
    mails_[shard].Flush([this](unsigned target) {
      if (kMistake == Mistake::kRoomIsKept && target == 0) return;
      Explorer::Step(&rung_[target], Explorer::Access::kDrainingWrite);
      Explorer::Drain();
      ++rung_[target];
    });
  }

  const Setting setting_;
  const unsigned shards_;
  std::vector<int> expected_;
  std::unique_ptr<Mailboxes<int, TracedAtomics>> boxes_;
  std::deque<TracedMail> mails_;
  std::vector<int> rung_;
  std::vector<std::vector<std::pair<unsigned, int>>> received_;
  std::string problem_;
};

struct Reached {
  bool full = false;
  bool cut = false;
};

void ExpectNothingLost(const char* what, const Setting& setting, Reached reached = {}) {
  MailCase<Mistake::kNone> threads(setting);
  ExpectAllRight(what, Explore(threads));
  EXPECT_EQ(threads.full > 0, reached.full) << what;
  EXPECT_EQ(threads.cut > 0, reached.cut) << what;
}

TEST(MailboxInterleavings, OneWay) {
  ExpectNothingLost("1 message", {.boxes = {.shards = 2}, .posts = {{0, 1}, {0, 0}}});
  ExpectNothingLost("2 messages, one by one",
                    {.boxes = {.shards = 2, .budget_per_source = 1}, .posts = {{0, 2}, {0, 0}}},
                    {.cut = true});
}
TEST(MailboxInterleavings, AFullMailbox) {
  ExpectNothingLost("2 messages, room for 1",
                    {.boxes = {.shards = 2, .capacity = 1}, .posts = {{0, 2}, {0, 0}}},
                    {.full = true});
  ExpectNothingLost("3 messages, room for 1",
                    {.boxes = {.shards = 2, .capacity = 1}, .posts = {{0, 3}, {0, 0}}},
                    {.full = true});
}
TEST(MailboxInterleavings, BothWays) {
  ExpectNothingLost("1 message each way", {.boxes = {.shards = 2}, .posts = {{0, 1}, {1, 0}}});
  ExpectNothingLost("1 message and its answer",
                    {.boxes = {.shards = 2}, .posts = {{0, 1}, {0, 0}}, .answers = true});
}
TEST(MailboxInterleavings, TwoSources) {
  ExpectNothingLost("1 message of each of 2",
                    {.boxes = {.shards = 3}, .posts = {{0, 0, 1}, {0, 0, 1}, {0, 0, 0}}});
}

template <Mistake kMistake>
void ExpectMistakeFound(const char* what, const Setting& setting) {
  ExpectFound(what, Explore(MailCase<kMistake>(setting)));
}

TEST(MailboxInterleavings, WrongTurnsAreFound) {
  ExpectMistakeFound<Mistake::kArmsOverWork>(
      "asleep over what a budget left",
      {.boxes = {.shards = 2, .budget_per_source = 1}, .posts = {{0, 2}, {0, 0}}});
  ExpectMistakeFound<Mistake::kRoomIsKept>(
      "room that nobody tells of",
      {.boxes = {.shards = 2, .capacity = 1}, .posts = {{0, 2}, {0, 0}}});
}

}  // namespace
}  // namespace orrery::interleaving

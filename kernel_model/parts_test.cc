// The small parts: what the model's order and bookkeeping rest on.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "base/prng.h"
#include "kernel_model/byte_queue.h"
#include "kernel_model/choice.h"
#include "kernel_model/memory_guard.h"
#include "kernel_model/memory_ledger.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/open_file.h"
#include "kernel_model/request.h"
#include "kernel_model/scripted_choice.h"
#include "kernel_model/timer_queue.h"

namespace orrery::model {
namespace {

TEST(Choice, EverySiteHasAName) {
  for (const SiteInfo& info : Sites()) {
    EXPECT_FALSE(info.source.empty());
    EXPECT_FALSE(info.entity.empty());
    EXPECT_FALSE(info.meaning.empty());
    EXPECT_EQ(FindSite(info.name), &info);
    EXPECT_EQ(&InfoOf(info.site), &info);
  }
  EXPECT_EQ(FindSite("nonsense"), nullptr);
}

TEST(Choice, OrdinalsCountBySiteAndEntity) {
  ScriptedChoice choice;
  Chooser chooser(choice);
  choice.Script(Site::kSendPartial, 5, 1, 2);
  EXPECT_EQ(chooser.Choose(Site::kSendPartial, 5, 3).answer, 0U);
  EXPECT_EQ(chooser.Choose(Site::kSendPartial, 4, 3).ordinal, 0U);
  EXPECT_EQ(chooser.Choose(Site::kWakeDelay, 5, 3).ordinal, 0U);
  EXPECT_EQ(chooser.Choose(Site::kSendPartial, 5, 1).answer, 0U);  // No freedom, not counted.
  const Chosen chosen = chooser.Choose(Site::kSendPartial, 5, 3);
  EXPECT_EQ(chosen.ordinal, 1U);
  EXPECT_EQ(chosen.answer, 2U);
}

TEST(TimerQueue, OrdersByTimeThenByArming) {
  std::array<Timer, 64> timers;
  TimerQueue queue;
  Prng prng(7);
  for (Timer& timer : timers) queue.Arm(timer, static_cast<Nanoseconds>(prng.Below(8)));
  for (size_t index = 0; index < timers.size(); index += 3) queue.Disarm(timers[index]);
  queue.Disarm(timers[0]);  // Twice is nothing.
  Nanoseconds last_due = -1;
  uint64_t last_sequence = 0;
  size_t count = 0;
  while (Timer* timer = queue.front()) {
    if (timer->due == last_due) {
      EXPECT_GT(timer->sequence, last_sequence);
    } else {
      EXPECT_GT(timer->due, last_due);
    }
    last_due = timer->due;
    last_sequence = timer->sequence;
    queue.Disarm(*timer);
    EXPECT_FALSE(timer->armed());
    ++count;
  }
  EXPECT_EQ(count, timers.size() - 22);
  EXPECT_EQ(queue.next_due(), kNever);
}

TEST(ByteQueue, KeepsTheStreamAcrossGrowthAndWrap) {
  ByteQueue queue;
  std::string in;
  std::string out;
  Prng prng(3);
  for (int round = 0; round < 500; ++round) {
    std::string piece(prng.Below(200), '\0');
    for (char& byte : piece) byte = static_cast<char>(prng.Below(256));
    queue.Append(reinterpret_cast<const std::byte*>(piece.data()), piece.size());
    in += piece;
    std::string taken(prng.Below(queue.size() + 1), '\0');
    queue.Take(reinterpret_cast<std::byte*>(taken.data()), taken.size());
    out += taken;
  }
  std::string rest(queue.size(), '\0');
  queue.Take(reinterpret_cast<std::byte*>(rest.data()), rest.size());
  EXPECT_EQ(in, out + rest);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueue, ForgetsTheNewest) {
  ByteQueue queue;
  const std::string text = "abcd";
  queue.Append(reinterpret_cast<const std::byte*>(text.data()), text.size());
  queue.DropNewest(3);
  std::byte byte{};
  queue.Take(&byte, 1);
  EXPECT_EQ(byte, std::byte{'a'});
  EXPECT_TRUE(queue.empty());
}

TEST(MemoryLedger, RefusesWhatIsOwned) {
  MemoryLedger ledger;
  std::array<MemoryLedger::Range, 4> ranges;
  EXPECT_TRUE(ledger.Claim(ranges[0], 100, 200));
  EXPECT_FALSE(ledger.Claim(ranges[0], 100, 200));
  EXPECT_FALSE(ledger.Claim(ranges[1], 199, 300));
  EXPECT_FALSE(ledger.Claim(ranges[1], 50, 101));
  EXPECT_FALSE(ledger.Claim(ranges[1], 120, 130));
  EXPECT_FALSE(ledger.Claim(ranges[1], 0, 1000));
  EXPECT_TRUE(ledger.Claim(ranges[1], 200, 300));
  ledger.HandOver(ranges[0]);
  EXPECT_TRUE(ledger.Claim(ranges[2], 150, 160));  // Ranges may change once they are free.
  EXPECT_FALSE(ledger.Claim(ranges[0], 100, 200));
  ledger.HandOver(ranges[2]);
  EXPECT_TRUE(ledger.Claim(ranges[0], 100, 200));
  EXPECT_TRUE(ledger.Claim(ranges[3], 100, 100));  // Nothing overlaps nothing.
}

TEST(MemoryGuard, PatternAndChecksum) {
  std::array<std::byte, 33> memory{};
  FillPattern(memory.data(), memory.size());
  EXPECT_TRUE(HoldsPattern(memory.data(), memory.size()));
  EXPECT_TRUE(HoldsPattern(memory.data(), 0));
  for (std::byte& byte : memory) {
    const iovec whole{memory.data(), memory.size()};
    const uint64_t before = Checksum({&whole, 1});
    byte ^= std::byte{1};
    EXPECT_FALSE(HoldsPattern(memory.data(), memory.size()));
    EXPECT_NE(Checksum({&whole, 1}), before);
    byte ^= std::byte{1};
    EXPECT_EQ(Checksum({&whole, 1}), before);
  }
}

TEST(RequestTable, FindsTheNewestFirst) {
  RequestTable table;
  std::vector<Request> requests(300);
  for (size_t index = 0; index < requests.size(); ++index) {
    requests[index].user_data = index % 100;
    table.Insert(requests[index]);
  }
  EXPECT_EQ(table.newest(), &requests[299]);
  Request* found = table.Find(42);
  EXPECT_EQ(found, &requests[242]);
  found = RequestTable::NextSame(*found);
  EXPECT_EQ(found, &requests[142]);
  table.Remove(requests[142]);
  table.Remove(requests[142]);  // Twice is nothing.
  EXPECT_EQ(RequestTable::NextSame(requests[242]), &requests[42]);
  EXPECT_EQ(RequestTable::NextSame(requests[42]), nullptr);
  for (Request& request : requests) table.Remove(request);
  EXPECT_EQ(table.newest(), nullptr);
  EXPECT_EQ(table.Find(42), nullptr);
}

TEST(WaitQueue, SharedNewestFirstThenExclusiveOldestFirst) {  // Facts R10, A2.
  std::array<Request, 5> requests;
  requests[1].exclusive = requests[3].exclusive = true;
  WaitQueue queue;
  for (Request& request : requests) queue.Add(request);
  std::vector<size_t> order;
  for (Request* request = queue.head(); request != nullptr; request = request->wait_next) {
    order.push_back(static_cast<size_t>(request - requests.data()));
  }
  EXPECT_EQ(order, (std::vector<size_t>{4, 2, 0, 1, 3}));
  for (Request& request : requests) queue.Remove(request);
  EXPECT_TRUE(queue.empty());
}

TEST(DescriptorTable, GivesOutTheLowestFree) {
  DescriptorTable table(6);
  std::array<OpenFile, 3> files;
  EXPECT_EQ(table.Insert(files[0]), 3);
  EXPECT_EQ(table.Insert(files[1]), 4);
  EXPECT_EQ(table.Insert(files[2]), 5);
  EXPECT_TRUE(table.full());
  EXPECT_EQ(table.Remove(5), &files[2]);
  EXPECT_EQ(table.Remove(3), &files[0]);
  EXPECT_EQ(table.Remove(3), nullptr);
  EXPECT_EQ(table.Remove(-1), nullptr);
  EXPECT_EQ(table.Insert(files[2]), 3);
  EXPECT_EQ(table.Insert(files[0]), 5);
  EXPECT_EQ(table.Find(5), &files[0]);
}

TEST(ModelKernel, ColdInterface) {
  BenignChoice choice;
  ModelKernel kernel({.descriptors_max = 5, .entropy_seed = 9}, choice, nullptr);
  EXPECT_EQ(*kernel.RaiseDescriptorLimit(), 5U);
  EXPECT_EQ(kernel.RealtimeNow() - kernel.MonotonicNow(), 1'700'000'000 * kSecond);
  const int event = *kernel.MakeEventFd();
  const int listener = *kernel.Listen({});
  EXPECT_EQ(kernel.MakeEventFd().error(), EMFILE);
  EXPECT_EQ(kernel.Listen({}).error(), EMFILE);
  EXPECT_EQ(kernel.LocalPort(event).error(), ENOTSOCK);
  EXPECT_EQ(kernel.LocalPort(99).error(), EBADF);
  EXPECT_EQ(*kernel.LocalPort(listener), 32768);
  EXPECT_EQ(kernel.SetSocketOption(event, 6, 1, 1).error(), ENOTSOCK);
  EXPECT_EQ(kernel.SetSocketOption(99, 6, 1, 1).error(), EBADF);
  EXPECT_TRUE(kernel.SetSocketOption(listener, 6, 1, 1).has_value());
  EXPECT_EQ(kernel.Ends(event).error(), ENOTSOCK);
  EXPECT_EQ(kernel.Ends(listener).error(), ENOTCONN);
  EXPECT_EQ(kernel.Ends(99).error(), EBADF);
  EXPECT_EQ(kernel.Usage().user, 0);
  std::array<std::byte, 11> first{};
  std::array<std::byte, 11> second{};
  kernel.Entropy(first);
  ModelKernel same({.entropy_seed = 9}, choice, nullptr);
  same.Entropy(second);
  EXPECT_EQ(first, second);
  EXPECT_EQ(kernel.open_descriptors(), 2U);
}

}  // namespace
}  // namespace orrery::model

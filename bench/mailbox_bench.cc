// What messages between two shards cost, and what it costs to wake a shard that sleeps: by its
// eventfd, or by a message of the sender's ring (IORING_OP_MSG_RING).
//
// Each shard is a thread with a ring, on a core of its own if there are two, and is turned as the
// reactor is: reap, drain, post, flush, arm, enter. Rounds of all variants take turns; printed are
// medians.
//
//   stream     one shard sends batches as fast as the other takes them, and enters the kernel once
//              a turn
//   trickle    it sends a batch, then works for 20 us: the other sleeps in between
//   ping-pong  one message goes to and fro; whoever waits for it sleeps, or looks so many times
//              before ("spins")
//
// ns/message: of wall time, and in ping-pong for the way there and back. ns/turn: of wall time, in
// which the sender sends and enters the kernel (ping-pong: its processor time a round trip).
// receiver ns: processor time for each time that it slept (ping-pong: a round trip).
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "runtime/mailboxes.h"
#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/shard_threads.h"

namespace orrery {
namespace {

constexpr int kRounds = 9;
constexpr Nanoseconds kRoundTime = 100 * kMillisecond;
constexpr Nanoseconds kTrickleWork = 20 * kMicrosecond;
constexpr UserData kBellTag{.operation = Operation::kTest, .slot = {}};

// Whatever has a value is a message; none ends the receiver.
using Message = uint64_t*;

enum class Bell : uint8_t { kEventFd, kMessage };

enum class Sleep : uint8_t { kNo, kYes, kIfFull };

Nanoseconds ThreadCpuTime() {
  rusage usage{};
  ORRERY_CHECK(::getrusage(RUSAGE_THREAD, &usage) == 0);
  const auto of = [](const timeval& time) {
    return time.tv_sec * kSecond + time.tv_usec * kMicrosecond;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// What the threads of a variant share.
struct Pair {
  Pair(const std::vector<unsigned>& usable_cores, Bell bell_kind, uint32_t turns)
      : cores(usable_cores), bell(bell_kind), spin_turns(turns) {}

  const std::vector<unsigned>& cores;
  const Bell bell;
  const uint32_t spin_turns;  // As in ReactorOptions.
  LinuxKernel kernel;
  Mailboxes<Message> boxes{{.shards = 2}};
  std::array<int, 2> eventfds{kernel.MakeEventFd().value(), kernel.MakeEventFd().value()};
  std::array<int, 2> rings{-1, -1};
  std::atomic<int> ready = 0;
};

class Shard {
 public:
  Shard(Pair& pair, unsigned self)
      : pair_(pair),
        mail_(pair.boxes, self),
        ring_(pair.kernel.MakeRing({}).value()),
        submission_(*ring_) {
    ORRERY_CHECK(PinToCore(pair.cores[self % pair.cores.size()]).has_value());
    pair.rings[self] = ring_->memory().ring_fd;
    if (pair.bell == Bell::kEventFd) {
      ORRERY_CHECK(
          submission_.PollMultishot(File::Descriptor(pair.eventfds[self]), POLLIN, kBellTag));
    }
    pair.ready.fetch_add(1);
    while (pair.ready.load() < 2) std::this_thread::yield();
  }

  // `act` posts, after the mail was taken; it answers whether the shard may sleep when that has
  // been flushed as far as it goes.
  template <typename Visit, typename Act>
  void Turn(Visit visit, Act act) {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe)++ count;
    io_uring_cq_advance(&ring_->memory(), count);
    const size_t received =
        mail_.Drain([&](unsigned source, Message message) { visit(source, message); });
    const Sleep sleep = act();
    mail_.Flush([this](unsigned shard) { Ring(shard); });
    bool may_sleep = sleep == Sleep::kYes || (sleep == Sleep::kIfFull && mail_.backlog(1) > 0);
    if (received > 0 || count > 0) spins_left_ = pair_.spin_turns;
    if (may_sleep && spins_left_ > 0) {
      --spins_left_;
      may_sleep = false;
    }
    const bool armed = may_sleep && mail_.TryArm();
    EnterRequest request{.to_submit = submission_.Publish(), .min_complete = armed ? 1U : 0U};
    if (armed) ++sleeps_;
    ORRERY_CHECK(ring_->Enter(request).has_value());
    if (armed) mail_.Disarm();
  }

  Mail<Message>& mail() { return mail_; }
  uint64_t sleeps() const { return sleeps_; }

 private:
  void Ring(unsigned shard) {
    if (pair_.bell == Bell::kEventFd) return pair_.kernel.SignalEventFd(pair_.eventfds[shard]);
    io_uring_sqe sqe{};
    io_uring_prep_msg_ring(&sqe, pair_.rings[shard], 0, kBellTag.Pack(), 0);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    ORRERY_CHECK(submission_.Push(sqe, kBellTag));
  }

  Pair& pair_;
  Mail<Message> mail_;
  std::unique_ptr<orrery::Ring> ring_;
  SubmissionQueue submission_;
  uint64_t sleeps_ = 0;
  uint32_t spins_left_ = 0;
};

struct Figures {
  double wall_ns = 0;      // A message, or a round trip.
  double sender_ns = 0;    // A turn.
  double receiver_ns = 0;  // A turn's processor time.
  double rings = 0;        // For each message.
};

// Runs a shard that takes whatever comes, on its own thread, until a null message.
template <typename Visit>
std::thread Receiver(Pair& pair, Nanoseconds& cpu, uint64_t& sleeps, Visit visit) {
  return std::thread([&pair, &cpu, &sleeps, visit] {
    Shard shard(pair, 1);
    const Nanoseconds before = ThreadCpuTime();
    for (bool end = false; !end;) {
      shard.Turn(
          [&](unsigned, Message message) {
            if (message == nullptr) {
              end = true;
            } else {
              visit(shard, message);
            }
          },
          [&] { return end ? Sleep::kNo : Sleep::kYes; });
    }
    cpu = ThreadCpuTime() - before;
    sleeps = shard.sleeps();
  });
}

void End(Shard& shard) {
  shard.mail().Post(1, nullptr);
  do {
    shard.Turn([](unsigned, Message) {}, [] { return Sleep::kNo; });
  } while (shard.mail().backlog(1) > 0);
}

// `work`: after each batch, while the receiver may fall asleep.
Figures OneWay(const std::vector<unsigned>& cores, Bell bell, size_t batch, Nanoseconds work) {
  Pair pair(cores, bell, 0);
  Nanoseconds receiver_cpu = 0;
  uint64_t receiver_sleeps = 0;
  std::thread receiver =
      Receiver(pair, receiver_cpu, receiver_sleeps, [](Shard&, Message message) { ++*message; });
  Shard shard(pair, 0);
  // Each message has a line of its own, as what it stands for would.
  constexpr size_t kMessages = 4096;
  struct alignas(64) Line {
    uint64_t value = 0;
  };
  std::vector<Line> lines(kMessages);
  size_t next = 0;
  uint64_t sent = 0;
  Nanoseconds sending = 0;
  uint64_t turns = 0;
  const Nanoseconds start = pair.kernel.MonotonicNow();
  Nanoseconds now = start;
  while (now - start < kRoundTime) {
    const bool full = shard.mail().backlog(1) > 0;
    shard.Turn([](unsigned, Message) {},
               [&] {
                 if (full) return Sleep::kIfFull;
                 for (size_t each = 0; each < batch; ++each) {
                   shard.mail().Post(1, &lines[next++ % kMessages].value);
                 }
                 sent += batch;
                 return Sleep::kNo;
               });
    ++turns;
    const Nanoseconds after = pair.kernel.MonotonicNow();
    sending += after - now;
    now = after;
    while (now - after < work) now = pair.kernel.MonotonicNow();
  }
  const MailCounters counters = shard.mail().counters();
  const auto messages = static_cast<double>(sent);
  End(shard);
  receiver.join();
  return {.wall_ns = static_cast<double>(now - start) / messages,
          .sender_ns = static_cast<double>(sending) / static_cast<double>(turns),
          .receiver_ns = static_cast<double>(receiver_cpu) /
                         static_cast<double>(std::max<uint64_t>(receiver_sleeps, 1)),
          .rings = static_cast<double>(counters.rings) / messages};
}

Figures PingPong(const std::vector<unsigned>& cores, Bell bell, uint32_t spin_turns) {
  Pair pair(cores, bell, spin_turns);
  Nanoseconds receiver_cpu = 0;
  uint64_t receiver_sleeps = 0;
  std::thread receiver =
      Receiver(pair, receiver_cpu, receiver_sleeps,
               [](Shard& shard, Message message) { shard.mail().Post(0, message); });
  Shard shard(pair, 0);
  uint64_t value = 0;
  uint64_t trips = 0;
  const Nanoseconds cpu = ThreadCpuTime();
  const Nanoseconds start = pair.kernel.MonotonicNow();
  Nanoseconds now = start;
  while (now - start < kRoundTime) {
    bool back = false;
    shard.mail().Post(1, &value);
    while (!back) {
      shard.Turn([&](unsigned, Message) { back = true; },
                 [&] { return back ? Sleep::kNo : Sleep::kYes; });
    }
    ++trips;
    now = pair.kernel.MonotonicNow();
  }
  const auto count = static_cast<double>(trips);
  const double sender = static_cast<double>(ThreadCpuTime() - cpu) / count;
  const double rings = static_cast<double>(shard.mail().counters().rings) / count;
  End(shard);
  receiver.join();
  return {.wall_ns = static_cast<double>(now - start) / count,
          .sender_ns = sender,
          .receiver_ns = static_cast<double>(receiver_cpu) / count,
          .rings = rings};
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Variant {
  const char* name;
  Bell bell;
  size_t batch;
  Nanoseconds work;
  uint32_t spin_turns;
  bool ping_pong;
  std::vector<Figures> rounds = {};
};

int Main() {
  const std::vector<unsigned> cores = UsableCores();  // Before this thread is pinned.
  std::vector<Variant> variants;
  for (const auto& [bell, name] :
       {std::pair(Bell::kEventFd, "eventfd"), std::pair(Bell::kMessage, "msg_ring")}) {
    for (const size_t batch : {1, 16, 64}) variants.push_back({name, bell, batch, 0, 0, false});
    for (const size_t batch : {1, 16, 64}) {
      variants.push_back({name, bell, batch, kTrickleWork, 0, false});
    }
    for (const uint32_t spin_turns : {0U, 100U}) {
      variants.push_back({name, bell, 1, 0, spin_turns, true});
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    for (Variant& variant : variants) {
      variant.rounds.push_back(variant.ping_pong
                                   ? PingPong(cores, variant.bell, variant.spin_turns)
                                   : OneWay(cores, variant.bell, variant.batch, variant.work));
    }
  }
  fmt::print("{:<10} {:<9} {:>5} {:>8} {:>10} {:>12} {:>14} {:>14}\n", "", "bell", "batch", "spins",
             "ns/message", "ns/turn", "receiver ns", "rings/message");
  for (const Variant& variant : variants) {
    const auto median = [&](double Figures::* field) {
      std::vector<double> values;
      for (const Figures& figures : variant.rounds) values.push_back(figures.*field);
      return Median(values);
    };
    fmt::print("{:<10} {:<9} {:>5} {:>8} {:>10.1f} {:>12.1f} {:>14.1f} {:>14.4f}\n",
               variant.ping_pong  ? "ping-pong"
               : variant.work > 0 ? "trickle"
                                  : "stream",
               variant.name, variant.batch, variant.spin_turns, median(&Figures::wall_ns),
               median(&Figures::sender_ns), median(&Figures::receiver_ns), median(&Figures::rings));
  }
  return 0;
}

}  // namespace
}  // namespace orrery

int main() { return orrery::Main(); }

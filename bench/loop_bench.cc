// What an operation costs through the submission loop, beside a plain liburing loop and beside the
// engine that the loop stands on, in one run: NOPs, and 4 KiB reads from a file in the page cache.
//
// "plain": one thread, liburing's own calls, a queue depth kept. "operations": one thread, the same
// through runtime/operations. "each" and "batch": a thread submits to a loop on another thread,
// waits for the oldest of so many futures, takes those that are ready, and submits as many again:
// each by itself, or all together. Rounds of the four take turns; printed are medians. Wall time
// and processor time (of all threads) an operation in nanoseconds; for those with a loop also how
// often the eventfd was rung, the caller woken and a thread switched out, for an operation.
#include <fcntl.h>
#include <fmt/core.h>
#include <liburing.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "runtime/loop/loop_thread.h"
#include "runtime/loop/port.h"
#include "runtime/loop/request.h"
#include "runtime/loop/shared_file.h"
#include "runtime/operations/operations.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

constexpr size_t kBlockBytes = 4 * kKiB;
constexpr size_t kBlocks = 256;
constexpr int kRounds = 7;
constexpr Nanoseconds kRoundTime = 150 * kMillisecond;

enum class Work : uint8_t { kNop, kRead };

// Of an operation.
struct Cost {
  double wall_ns = 0;
  double cpu_ns = 0;
  double rings = 0;
  double wakes = 0;
  double switches = 0;
};

rusage Usage() {
  rusage usage{};
  ORRERY_CHECK(::getrusage(RUSAGE_SELF, &usage) == 0);
  return usage;
}
Nanoseconds CpuTimeOf(const rusage& usage) {
  const auto of = [](const timeval& time) {
    return time.tv_sec * kSecond + time.tv_usec * kMicrosecond;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}
int64_t SwitchesOf(const rusage& usage) { return usage.ru_nvcsw + usage.ru_nivcsw; }

// A round: calls `some`, which does a number of operations and says how many, until the time is up.
template <typename Some>
Cost Measure(LinuxKernel& kernel, Some some) {
  const rusage before = Usage();
  const Nanoseconds start = kernel.MonotonicNow();
  Nanoseconds now = start;
  uint64_t operations = 0;
  while (now - start < kRoundTime) {
    for (int batch = 0; batch < 16; ++batch) operations += some();
    now = kernel.MonotonicNow();
  }
  const rusage after = Usage();
  const auto each = [operations](int64_t all) {
    return static_cast<double>(all) / static_cast<double>(operations);
  };
  return {.wall_ns = each(now - start),
          .cpu_ns = each(CpuTimeOf(after) - CpuTimeOf(before)),
          .switches = each(SwitchesOf(after) - SwitchesOf(before))};
}

void Prepare(io_uring_sqe* sqe, Work work, int fd, std::byte* buffer, uint64_t number) {
  if (work == Work::kNop) return io_uring_prep_nop(sqe);
  io_uring_prep_read(sqe, fd, buffer, kBlockBytes, number % kBlocks * kBlockBytes);
}

// --- The four

class Plain {
 public:
  Plain(Work work, unsigned depth, int fd) : work_(work), fd_(fd), buffers_(depth * kBlockBytes) {
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    ORRERY_CHECK(io_uring_queue_init_params(std::max(depth, 4U), &ring_, &parameters) == 0);
    for (unsigned slot = 0; slot < depth; ++slot) Submit(slot);
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  ~Plain() { io_uring_queue_exit(&ring_); }

  uint64_t Some() {
    ORRERY_CHECK(io_uring_submit_and_wait(&ring_, 1) >= 0);
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ORRERY_CHECK(cqe->res >= 0);
      ++count;
      Submit(io_uring_cqe_get_data64(cqe));
    }
    io_uring_cq_advance(&ring_, count);
    return count;
  }

 private:
  void Submit(uint64_t slot) {
    io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
    ORRERY_CHECK(sqe != nullptr);
    Prepare(sqe, work_, fd_, buffers_.data() + slot * kBlockBytes, number_++);
    io_uring_sqe_set_data64(sqe, slot);
  }

  const Work work_;
  const int fd_;
  io_uring ring_{};
  std::vector<std::byte> buffers_;
  uint64_t number_ = 0;
};

class Engine {
 public:
  Engine(LinuxKernel& kernel, Work work, unsigned depth, int fd)
      : ring_(kernel.MakeRing({.sq_entries = std::max(depth, 4U), .cq_entries = 4 * depth + 8})
                  .value()),
        operations_(*ring_, kernel, {.in_flight_max = depth}) {
    for (unsigned slot = 0; slot < depth; ++slot) {
      slots_.push_back(std::make_unique<Slot>(*this, work, fd));
      slots_.back()->Start();
    }
  }
  // What is in flight ends.
  ~Engine() {
    stopping_ = true;
    while (operations_.active() > 0) (void)Some();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  uint64_t Some() {
    const uint64_t before = done_;
    operations_.BeginTurn();
    const EnterRequest request = operations_.EndTurn(operations_.active() == 0);
    ORRERY_CHECK(operations_.OnEntered(ring_->Enter(request)).has_value());
    return done_ - before;
  }

 private:
  class Slot final : public RingOperation {
   public:
    Slot(Engine& engine, Work work, int fd)
        : engine_(engine), work_(work), fd_(fd), buffer_(kBlockBytes) {}
    void Start() {
      Prepare(&sqe(), work_, fd_, buffer_.data(), engine_.number_++);
      engine_.operations_.Start(*this);
    }

   private:
    void OnDone(Outcome, const std::expected<uint32_t, Errno>& result) override {
      ORRERY_CHECK(result.has_value());
      ++engine_.done_;
      if (!engine_.stopping_) Start();
    }

    Engine& engine_;
    const Work work_;
    const int fd_;
    std::vector<std::byte> buffer_;
  };

  std::unique_ptr<Ring> ring_;
  Operations operations_;
  std::vector<std::unique_ptr<Slot>> slots_;
  uint64_t number_ = 0;
  uint64_t done_ = 0;
  bool stopping_ = false;
};

class Loop {
 public:
  Loop(LinuxKernel& kernel, Work work, unsigned depth, const SharedFile& file, bool batch)
      : work_(work),
        file_(file),
        batch_(batch),
        thread_(LoopThread::Start(kernel, {.entries = depth}, 2 * depth).value()),
        submitter_(thread_->submitter()) {
    for (unsigned count = 0; count < depth; ++count) Prepare(Buffer(kBlockBytes));
    Submit();
  }

  // Takes what is there, and submits as much again.
  uint64_t Some() {
    futures_.front().Wait();
    while (!futures_.empty() && futures_.front().ready()) {
      Result result = futures_.front().Take();
      futures_.pop_front();
      ORRERY_CHECK(result.ok());
      Prepare(std::move(result.buffer));
    }
    const uint64_t count = requests_.size();
    Submit();
    return count;
  }

  const LoopCounters& counters() { return submitter_.port().counters(); }

 private:
  void Prepare(Buffer buffer) {
    if (work_ == Work::kRead) {
      const uint64_t offset = number_++ % kBlocks * kBlockBytes;
      requests_.push_back(Request::ReadAt(file_, std::move(buffer), offset));
    } else {
      io_uring_sqe sqe{};
      io_uring_prep_nop(&sqe);
      requests_.push_back(Request::Raw(sqe, nullptr, true));
    }
  }
  void Submit() {
    if (batch_) {
      for (Future& future : submitter_.SubmitAll(requests_)) futures_.push_back(std::move(future));
    } else {
      for (Request& each : requests_) futures_.push_back(submitter_.Submit(std::move(each)));
    }
    requests_.clear();
  }

  const Work work_;
  const SharedFile& file_;
  const bool batch_;
  std::unique_ptr<LoopThread> thread_;
  Submitter submitter_;
  std::deque<Future> futures_;
  std::vector<Request> requests_;
  uint64_t number_ = 0;
};

// --- The table

double MedianOf(std::vector<Cost> costs, double Cost::* what) {
  std::sort(costs.begin(), costs.end(),
            [what](const Cost& left, const Cost& right) { return left.*what < right.*what; });
  return costs[costs.size() / 2].*what;
}

Cost MeasureLoop(LinuxKernel& kernel, Work work, unsigned depth, const SharedFile& file,
                 bool batch) {
  Loop subject(kernel, work, depth, file, batch);
  const LoopCounters& counters = subject.counters();
  const uint64_t rings = counters.wakes_rung.load();
  const uint64_t wakes = counters.callers_woken.load();
  uint64_t count = 0;
  Cost cost = Measure(kernel, [&] {
    const uint64_t some = subject.Some();
    count += some;
    return some;
  });
  cost.rings = static_cast<double>(counters.wakes_rung.load() - rings) / static_cast<double>(count);
  cost.wakes =
      static_cast<double>(counters.callers_woken.load() - wakes) / static_cast<double>(count);
  return cost;
}

void Compare(LinuxKernel& kernel, Work work, unsigned depth, const SharedFile& file) {
  std::vector<Cost> plain;
  std::vector<Cost> operations;
  std::vector<Cost> each;
  std::vector<Cost> batch;
  for (int round = 0; round < kRounds; ++round) {
    {
      Plain subject(work, depth, file.descriptor());
      plain.push_back(Measure(kernel, [&subject] { return subject.Some(); }));
    }
    {
      Engine subject(kernel, work, depth, file.descriptor());
      operations.push_back(Measure(kernel, [&subject] { return subject.Some(); }));
    }
    each.push_back(MeasureLoop(kernel, work, depth, file, false));
    batch.push_back(MeasureLoop(kernel, work, depth, file, true));
  }
  fmt::print("| {} | {} |", work == Work::kNop ? "NOP" : "4 KiB read", depth);
  for (const auto* costs : {&plain, &operations, &each, &batch}) {
    fmt::print(" {:.0f} | {:.0f} |", MedianOf(*costs, &Cost::wall_ns),
               MedianOf(*costs, &Cost::cpu_ns));
  }
  for (const auto* costs : {&each, &batch}) {
    fmt::print(" {:.3f} | {:.3f} | {:.3f} |", MedianOf(*costs, &Cost::rings),
               MedianOf(*costs, &Cost::wakes), MedianOf(*costs, &Cost::switches));
  }
  fmt::print("\n");
}

int Run() {
  LinuxKernel kernel;
  std::string path = "/tmp/orrery_loop_bench_XXXXXX";
  const int fd = ::mkstemp(path.data());
  ORRERY_CHECK(fd >= 0);
  ORRERY_CHECK(::unlink(path.c_str()) == 0);
  const SharedFile file(kernel, fd);
  const std::vector<std::byte> block(kBlockBytes);
  for (size_t number = 0; number < kBlocks; ++number) {
    ORRERY_CHECK(::write(fd, block.data(), block.size()) == ssize_t{kBlockBytes});
  }
  fmt::print(
      "| what | depth | plain, wall ns | CPU ns | operations, wall ns | CPU ns |"
      " each, wall ns | CPU ns | batch, wall ns | CPU ns |"
      " each, rings | wakes | switches | batch, rings | wakes | switches |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const Work work : {Work::kNop, Work::kRead}) {
    for (const unsigned depth : {1U, 32U, 256U}) Compare(kernel, work, depth, file);
  }
  return 0;
}

}  // namespace
}  // namespace orrery

int main() { return orrery::Run(); }

#include "kernel_model/program/program.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "kernel_model/machine.h"

namespace orrery::model {
namespace {

// The one that runs. A C interface has no place for it.
thread_local Program* current = nullptr;  // lint: allow(thread-local): calls of C name nobody

constexpr int kKilled = 128;  // As a shell tells it.
// A program that only looks, or calls without end, takes time as on any machine.
constexpr Nanoseconds kMoment = kMicrosecond;
constexpr unsigned kCallsInAMomentMax = 1000;

}  // namespace

Program* Program::Current() { return current; }

Program::Program(ModelKernel& kernel, std::function<int()> main)
    : kernel_(kernel),
      machine_(*kernel.machine_),
      system_(*kernel.machine_),
      fiber_([this, entry = std::move(main)] {
        status_ = entry();
        exiting_ = true;
      }) {}

Program::~Program() {
  if (!finished_) End(kKilled + SIGKILL);
}

int Program::status() const {
  ORRERY_CHECK(finished_);
  return status_;
}

bool Program::Ready() {
  if (finished_) return false;
  switch (wait_) {
    case Wait::kNothing:
      return machine_.now >= not_before_;
    case Wait::kClock:
      return machine_.now >= not_before_ || !signals_.empty();
    case Wait::kFile:
      return (system_.Readiness(wait_fd_) & wait_events_) != 0 || !signals_.empty();
    case Wait::kRing:
      return wait_ring_->CanFinish();
  }
  return false;
}

Nanoseconds Program::wake_at() const {
  if (finished_) return kNever;
  switch (wait_) {
    case Wait::kNothing:
    case Wait::kClock:
      return not_before_;
    case Wait::kFile:
      return kNever;
    case Wait::kRing:
      return wait_ring_->deadline();
  }
  return kNever;
}

void Program::Step() {
  ORRERY_CHECK(Ready());
  ORRERY_CHECK_MSG(current == nullptr, "a program runs inside a program");
  current = this;
  fiber_.Resume();
  current = nullptr;
  if (exiting_) End(status_);
}

void Program::Signal(int number) {
  if (finished_) return;
  const struct sigaction& taken = action(number);
  const bool informed = (taken.sa_flags & SA_SIGINFO) != 0;
  if (!informed && taken.sa_handler == SIG_IGN) return;
  if (!informed && taken.sa_handler == SIG_DFL) {
    End(kKilled + number);
    return;
  }
  signals_.push_back(number);
  if (wait_ == Wait::kRing) wait_ring_->Signal();
}

struct sigaction& Program::action(int signal_number) {
  ORRERY_CHECK(signal_number > 0 && signal_number < NSIG);
  return actions_[static_cast<size_t>(signal_number)];
}

void Program::End(int status) {
  status_ = status;
  finished_ = true;
  rings_.clear();
  for (int fd = 0; fd < machine_.descriptors.end(); ++fd) {
    const OpenFile* const file = machine_.descriptors.Find(fd);
    if (file != nullptr && file->kind != FileKind::kRing) machine_.CloseDescriptor(fd);
  }
}

void Program::Exit(int status) {
  status_ = status;
  exiting_ = true;
  fiber_.Suspend();
  ORRERY_CHECK_MSG(false, "a program goes on after its end");
  std::abort();
}

// --- Handing over

void Program::HandOver() {
  const int saved = errno;  // Of the thread: the world has calls of its own.
  fiber_.Suspend();
  errno = saved;
}

bool Program::RunHandlers() {
  bool ends_call = false;
  while (!signals_.empty()) {
    const int number = signals_.front();
    signals_.erase(signals_.begin());
    const struct sigaction taken = action(number);
    if ((taken.sa_flags & SA_RESTART) == 0) ends_call = true;
    if ((taken.sa_flags & SA_SIGINFO) != 0) {
      siginfo_t info{};
      info.si_signo = number;
      taken.sa_sigaction(number, &info, nullptr);
    } else if (taken.sa_handler != SIG_IGN && taken.sa_handler != SIG_DFL) {
      taken.sa_handler(number);
    }
  }
  return ends_call;
}

void Program::BeginCall() {
  ++calls_;
  if (machine_.now != busy_since_) busy_calls_ = 0;
  busy_since_ = machine_.now;
  const bool busy = ++busy_calls_ >= kCallsInAMomentMax;
  wait_ = Wait::kNothing;
  not_before_ = busy ? machine_.now + kMoment : machine_.now;
  HandOver();
  (void)RunHandlers();  // Before the call did anything: it goes on.
}

void Program::EndCall() {
  for (const auto& [fd, ring] : rings_) ring->Interrupt();
  (void)RunHandlers();
}

void Program::LookAgain() {
  wait_ = Wait::kNothing;
  not_before_ = machine_.now + kMoment;
  HandOver();
  for (const auto& [fd, ring] : rings_) {
    if (machine_.Choose(Site::kInterrupt, ring->number(), 2) == 0) ring->Interrupt();
  }
  (void)RunHandlers();
}

bool Program::Await(int fd, uint32_t events) {
  for (;;) {
    wait_ = Wait::kFile;
    wait_fd_ = fd;
    wait_events_ = events;
    HandOver();
    if (RunHandlers()) return false;
    if ((system_.Readiness(fd) & events) != 0) return true;
  }
}

bool Program::SleepUntil(Nanoseconds time) {
  while (machine_.now < time) {
    wait_ = Wait::kClock;
    not_before_ = time;
    HandOver();
    // nanosleep(2) does not start again, whatever SA_RESTART says.
    const bool signalled = !signals_.empty();
    (void)RunHandlers();
    if (signalled) return false;
  }
  return true;
}

// --- Rings

int Program::SetUpRing(unsigned entries, io_uring_params* parameters) {
  BeginCall();
  int result = -EFAULT;
  if (parameters != nullptr) {
    auto ring = kernel_.SetUpRing(entries, *parameters);
    result = ring ? (*ring)->memory().ring_fd : -ring.error().value();
    if (ring) rings_[result] = *std::move(ring);
  }
  EndCall();
  return result;
}

ModelRing* Program::FindRing(int fd) {
  const auto found = rings_.find(fd);
  return found == rings_.end() ? nullptr : found->second.get();
}

void Program::CloseRing(int fd) {
  BeginCall();
  rings_.erase(fd);
  EndCall();
}

int Program::EnterRing(int fd, const EnterCall& call) {
  BeginCall();
  ModelRing* const ring = FindRing(fd);
  if (ring == nullptr) {
    EndCall();
    return system_.open(fd) ? -EOPNOTSUPP : -EBADF;  // Fact U10.
  }
  std::optional<EnterResult> result = ring->BeginAs(call);
  if (!result) {
    wait_ = Wait::kRing;
    wait_ring_ = ring;
    HandOver();
    // Even one that restarts other calls ends this one (fact W1): the ring knows of it.
    result = ring->Finish();
  }
  EndCall();
  return *result ? static_cast<int>(**result) : -result->error().value();
}

}  // namespace orrery::model

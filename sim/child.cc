#include "sim/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include "base/check.h"

namespace orrery::sim {
namespace {

// What is kept of what a child prints: the end, where a sanitizer says what it was.
constexpr size_t kErrorsKept = 256 * 1024;
// How much is read at once.
constexpr size_t kReadBytes = 64 * 1024;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe MakePipe() {
  std::array<int, 2> ends{};
  ORRERY_CHECK_MSG(pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe for a child");
  return {.read_end = ends[0], .write_end = ends[1]};
}

void SetNonblocking(int descriptor) {
  ORRERY_CHECK(fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0);
}

// Appends what is there. False at the end of the stream.
bool ReadInto(std::string& text, int descriptor) {
  std::array<char, kReadBytes> bytes;
  while (true) {
    const ssize_t count = read(descriptor, bytes.data(), bytes.size());
    if (count > 0) {
      text.append(bytes.data(), static_cast<size_t>(count));
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

Nanoseconds NanosecondsOf(const timeval& time) {
  return time.tv_sec * kSecond + time.tv_usec * kMicrosecond;
}

void CloseIfOpen(int& descriptor) {
  if (descriptor >= 0) close(std::exchange(descriptor, -1));
}

[[noreturn]] void RunBody(const Child::Body& body, const Pipe& output, const Pipe& errors,
                          pid_t parent, const ChildLimits& limits) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // It died before it could be asked to take us along.
  signal(SIGINT, SIG_IGN);
  signal(SIGPROF, SIG_DFL);
  dup2(errors.write_end, STDOUT_FILENO);
  dup2(errors.write_end, STDERR_FILENO);
  const ChildSide side(output.write_end, limits.processor_time_max);
  side.RestartClock();
  body(side);
  std::fflush(nullptr);
  _exit(0);
}

}  // namespace

void ChildSide::Write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = write(output_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) _exit(1);  // Nobody is there to read it.
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void ChildSide::RestartClock() const {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(processor_time_max_ / kSecond);
  timer.it_value.tv_usec = static_cast<suseconds_t>(processor_time_max_ % kSecond / kMicrosecond);
  ORRERY_CHECK(setitimer(ITIMER_PROF, &timer, nullptr) == 0);
}

std::unique_ptr<Child> Child::Start(const Body& body, const ChildLimits& limits) {
  const Pipe output = MakePipe();
  const Pipe errors = MakePipe();
  // What is buffered would be printed by both.
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t process = fork();
  ORRERY_CHECK_MSG(process >= 0, "a child process could not be started");
  if (process == 0) RunBody(body, output, errors, parent, limits);
  close(output.write_end);
  close(errors.write_end);
  SetNonblocking(output.read_end);
  SetNonblocking(errors.read_end);
  const int clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  ORRERY_CHECK_MSG(clock >= 0, "no timer for a child");
  return std::unique_ptr<Child>(
      new Child(process, output.read_end, errors.read_end, clock, limits));
}

Child::Child(pid_t process, int output, int errors, int clock, const ChildLimits& limits)
    : process_(process),
      output_descriptor_(output),
      errors_descriptor_(errors),
      clock_(clock),
      silence_max_(limits.silence_max) {
  RestartSilence();
}

Child::~Child() {
  if (end_ == End::kRunning) {
    kill(process_, SIGKILL);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  CloseIfOpen(output_descriptor_);
  CloseIfOpen(errors_descriptor_);
  CloseIfOpen(clock_);
}

void Child::RestartSilence() {
  itimerspec timer{};
  timer.it_value.tv_sec = static_cast<time_t>(silence_max_ / kSecond);
  timer.it_value.tv_nsec = static_cast<long>(silence_max_ % kSecond);
  ORRERY_CHECK(timerfd_settime(clock_, 0, &timer, nullptr) == 0);
}

// poll() leaves out what is negative: a stream that has ended.
void Child::AddDescriptors(std::vector<pollfd>& descriptors) const {
  for (const int descriptor : {output_descriptor_, errors_descriptor_, clock_}) {
    descriptors.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  }
}

void Child::WaitForAny(std::span<const Child* const> children, Nanoseconds timeout) {
  std::vector<pollfd> descriptors;
  for (const Child* child : children) child->AddDescriptors(descriptors);
  // An interrupted wait is over, too.
  (void)poll(descriptors.data(), descriptors.size(), static_cast<int>(timeout / kMillisecond));
}

bool Child::Pump() {
  if (end_ != End::kRunning) return false;
  const size_t output_before = output_.size();
  const size_t errors_before = errors_.size();
  if (output_descriptor_ >= 0 && !ReadInto(output_, output_descriptor_)) {
    CloseIfOpen(output_descriptor_);
  }
  if (errors_descriptor_ >= 0 && !ReadInto(errors_, errors_descriptor_)) {
    CloseIfOpen(errors_descriptor_);
  }
  if (output_.size() != output_before || errors_.size() != errors_before) RestartSilence();
  if (errors_.size() > kErrorsKept) errors_.erase(0, errors_.size() - kErrorsKept);
  uint64_t expirations = 0;
  if (read(clock_, &expirations, sizeof(expirations)) > 0) {
    kill(process_, SIGKILL);
    end_ = End::kOutOfTime;
  }
  if ((output_descriptor_ >= 0 || errors_descriptor_ >= 0) && end_ == End::kRunning) return true;
  Finish();
  return false;
}

void Child::Finish() {
  int status = 0;
  rusage usage{};
  while (wait4(process_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  processor_time_ = NanosecondsOf(usage.ru_utime) + NanosecondsOf(usage.ru_stime);
  if (end_ == End::kOutOfTime) return;
  if (WIFSIGNALED(status)) {
    code_ = WTERMSIG(status);
    end_ = code_ == SIGPROF ? End::kOutOfTime : End::kSignalled;
  } else {
    code_ = WEXITSTATUS(status);
    end_ = code_ == 0 ? End::kReturned : End::kExited;
  }
}

void Child::PumpToTheEnd() {
  while (Pump()) {
    std::vector<pollfd> descriptors;
    AddDescriptors(descriptors);
    (void)poll(descriptors.data(), descriptors.size(), -1);
  }
}

}  // namespace orrery::sim

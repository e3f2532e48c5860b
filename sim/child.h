// A piece of work in a child process, so that a crash, a hang or a leak in it is a result instead
// of the end of everything.
//
// The child writes bytes to its parent whenever it likes; what it prints to stderr (and stdout) is
// kept as well. It is killed when it has used its time, counted as time on a processor, so that a
// busy machine changes nothing; a much longer time on the wall catches a child that sleeps. It dies
// with its parent, and leaves Ctrl-C to it.
//
// Used by one thread of a process without others. Invariant: a Child that is destroyed has no
// process left.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace orrery::sim {

struct ChildLimits {
  // On a processor, since its start or the last RestartClock().
  Nanoseconds processor_time_max = 60 * kSecond;
  // On the wall, since the parent last heard of it.
  Nanoseconds silence_max = 600 * kSecond;
};

// What the body of a child is given.
class ChildSide {
 public:
  ChildSide(int output, Nanoseconds processor_time_max)
      : output_(output), processor_time_max_(processor_time_max) {}

  // Reaches the parent at once, also if the child crashes right after.
  void Write(std::string_view bytes) const;
  // The time that may be used is counted from now.
  void RestartClock() const;

 private:
  int output_;
  Nanoseconds processor_time_max_;
};

class Child {
 public:
  using Body = std::function<void(const ChildSide&)>;

  enum class End : uint8_t {
    kRunning,
    kReturned,  // The body returned.
    kExited,    // Something called exit() with code().
    kSignalled,
    kOutOfTime,
  };

  // `body` runs in a copy of this process; what it changes is seen by nobody else.
  static std::unique_ptr<Child> Start(const Body& body, const ChildLimits& limits);
  // Kills it if it runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Waits until one of `children` has something to Pump(), a signal comes, or the time is over.
  static void WaitForAny(std::span<const Child* const> children, Nanoseconds timeout);

  // Takes in what has arrived, without waiting. False once it has ended and all has been taken in.
  bool Pump();
  void PumpToTheEnd();

  // What it has written; the caller may take bytes away.
  std::string& output() { return output_; }
  // The end of what it has printed.
  const std::string& errors() const { return errors_; }
  End end() const { return end_; }
  // The exit code (kExited) or the signal (kSignalled).
  int code() const { return code_; }
  // What it and its own children have used of processors, once it has ended.
  Nanoseconds processor_time() const { return processor_time_; }

 private:
  Child(pid_t process, int output, int errors, int clock, const ChildLimits& limits);
  void AddDescriptors(std::vector<pollfd>& descriptors) const;
  void RestartSilence();
  void Finish();

  pid_t process_;
  int output_descriptor_;
  int errors_descriptor_;
  int clock_;  // Readable when the child has been silent for too long.
  Nanoseconds silence_max_;
  std::string output_;
  std::string errors_;
  End end_ = End::kRunning;
  int code_ = 0;
  Nanoseconds processor_time_ = 0;
};

}  // namespace orrery::sim

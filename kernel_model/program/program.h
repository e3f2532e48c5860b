// A program that was not written for us, on the fake kernel: it calls liburing and the system, and
// waits as it pleases.
//
// It runs on a stack of its own, and one of us runs at a time: at every system call it hands over
// to the world, which goes on, and resumes it when what it waits for has come. So a run is a
// function of the program, of the world's steps, and of the choices; there is no thread.
//
// The world's half: while Ready(), Step() runs it to its next call; at wake_at() the clock alone
// makes it ready. The other half is for the calls that are linked instead of liburing and of the
// system's sockets (liburing.cc, posix.cc); it needs the program to be running. Results there are
// as a kernel's: -errno.
//
// Dies before its kernel. One process: its signal handlers and its exit are its own, its memory is
// not, so that what it keeps in globals is there in the next run.
#pragma once

#include <liburing.h>
#include <signal.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/program/fiber.h"
#include "kernel_model/program/system_calls.h"

namespace orrery::model {

class Program {
 public:
  // `main` begins with the first Step().
  Program(ModelKernel& kernel, std::function<int()> main);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  // Kills it where it stands: nothing on its stack is destroyed.
  ~Program();

  // --- For the world.
  // It has returned, called exit(), or was killed. Its rings and descriptors are closed then.
  bool finished() const { return finished_; }
  // What it returned or passed to exit(); 128 + n when signal n killed it. REQUIRES: finished().
  int status() const;
  bool Ready();
  // When it becomes ready by the clock alone; kNever when it does not.
  Nanoseconds wake_at() const;
  // REQUIRES: Ready().
  void Step();
  // What kill(2) does: its handler runs next, and what it waits for ends with EINTR; without a
  // handler it dies.
  void Signal(int number);
  // System calls made so far.
  uint64_t calls() const { return calls_; }

  // --- For its calls.
  // The one that runs; null outside of programs.
  static Program* Current();
  ModelKernel& kernel() { return kernel_; }
  // Every system call begins with it: others may run before it does anything.
  void BeginCall();
  // The way back to the program, on which late completions of prompt rings appear (fact V2).
  void EndCall();
  // It looks at shared memory, finds nothing, and will look again: a moment passes.
  void LookAgain();

  int SetUpRing(unsigned entries, io_uring_params* parameters);
  // Null when `fd` is none of its rings.
  ModelRing* FindRing(int fd);
  void CloseRing(int fd);
  int EnterRing(int fd, const EnterCall& call);

  SystemCalls& system() { return system_; }
  // Waits until a descriptor shows one of `events`. False: a signal came, and the call is not one
  // that starts again.
  bool Await(int fd, uint32_t events);
  // False: a signal came before `time`.
  bool SleepUntil(Nanoseconds time);
  [[noreturn]] void Exit(int status);
  struct sigaction& action(int signal_number);

 private:
  enum class Wait : uint8_t {
    kNothing,  // Goes on, from not_before_ on.
    kClock,
    kFile,
    kRing,
  };

  void HandOver();
  // Runs the handlers of what has come. True: a call that waits is over.
  bool RunHandlers();
  void End(int status);

  ModelKernel& kernel_;
  Machine& machine_;
  SystemCalls system_;
  std::map<int, std::unique_ptr<ModelRing>> rings_;  // By descriptor.
  std::array<struct sigaction, NSIG> actions_{};
  std::vector<int> signals_;  // That have come, and are not handled.

  Wait wait_ = Wait::kNothing;
  Nanoseconds not_before_ = 0;  // Or until when it waits.
  int wait_fd_ = -1;
  uint32_t wait_events_ = 0;
  ModelRing* wait_ring_ = nullptr;

  uint64_t calls_ = 0;
  Nanoseconds busy_since_ = 0;
  unsigned busy_calls_ = 0;
  bool finished_ = false;
  bool exiting_ = false;
  int status_ = 0;
  Fiber fiber_;
};

}  // namespace orrery::model

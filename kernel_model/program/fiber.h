// A function on a stack of its own, which runs until it suspends itself: strictly one after the
// other with whoever resumes it, on one thread.
//
// For programs that were not written to be driven: they call and wait, and the world has to go on
// meanwhile. The sanitizers are told of every switch. Owned by one thread, which makes all calls.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace orrery::model {

class Fiber {
 public:
  // As a main thread has it: address space that costs nothing until it is touched.
  static constexpr size_t kStackBytes = size_t{8} << 20;

  // `body` begins with the first Resume().
  explicit Fiber(std::function<void()> body);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  // A body that has not returned never will: nothing on its stack is destroyed, as when a process
  // is killed.
  ~Fiber();

  // Runs the body until it suspends or returns. REQUIRES: !finished(), and called from outside.
  void Resume();
  // Back to whoever resumed. REQUIRES: called by the body.
  void Suspend();
  bool finished() const;

 private:
  struct State;
  static void Enter();

  std::unique_ptr<State> state_;
};

}  // namespace orrery::model

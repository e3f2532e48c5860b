// Coverage marks: a name at a place in the code where something rare happens, counted while the
// simulation runs, so that a run can say which rare things no seed has reached.
//
//   ORRERY_MARK("receive.starved");
//   ORRERY_MARK_IF(connection.output().size_bytes() > 0, "send.continued");
//
// Compiled in when ORRERY_DCHECKS is defined (every build but --config=bench); otherwise nothing is
// left of it, and the condition is not evaluated. Every mark of a program is known from its start,
// also one that is never reached; two places of one name are one mark. Any thread may pass a mark;
// hits that meet on two threads may be counted once.
//
// Invariant: marks are written here and read by tests alone (base/mark_counts.h): no code that the
// server is built from can ask what was counted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace orrery {

// A string literal as an argument of a template.
template <size_t kSize>
struct MarkName {
  // NOLINTNEXTLINE(google-explicit-constructor): the literal stands where the name is wanted.
  constexpr MarkName(const char (&literal)[kSize]) {
    for (size_t index = 0; index < kSize; ++index) text[index] = literal[index];
  }
  char text[kSize];
};

class Mark {
 public:
  // Registers itself for the rest of the process; made before main() only. `name` is not copied.
  explicit Mark(const char* name);
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  void Hit() {
    // Not one addition: a lost count is no loss, and this costs no locked instruction.
    hits_.store(hits_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  friend class MarkReader;  // base/mark_counts.cc
  // The list of all marks: complete before main(). Constant-initialised, so that it is there before
  // the first mark is.
  static constinit const Mark* first_;

  const char* name_;
  const Mark* next_;
  std::atomic<uint64_t> hits_{0};
};

// Constructed before main(), because somebody names it.
template <MarkName kName>
inline Mark registered_mark{kName.text};

}  // namespace orrery

#ifdef ORRERY_DCHECKS
#define ORRERY_MARK(name) (::orrery::registered_mark<name>.Hit())
#define ORRERY_MARK_IF(condition, name) ((condition) ? ORRERY_MARK(name) : static_cast<void>(0))
#else
#define ORRERY_MARK(name) static_cast<void>(0)
#define ORRERY_MARK_IF(condition, name) static_cast<void>(sizeof(static_cast<bool>(condition)))
#endif

// Checks of the programmer's own errors: a failed check ends the process.
//
// ORRERY_CHECK is on in every build and must cost O(1). ORRERY_DCHECK is for checks that cost more;
// it is compiled in when ORRERY_DCHECKS is defined (every build but --config=bench). Errors of
// operation are values, never checks: see base/errno.h.
#pragma once

#include <cstdint>

namespace orrery {

// Prints "file:line: check failed: condition (message)" to stderr and aborts. `message` may be
// null.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const char* message);

// The same, with the two integer values that were compared.
[[noreturn]] void CheckFailedCompare(const char* file, int line, const char* condition,
                                     int64_t left, int64_t right);

// What to do right before the abort, e.g. to print the seed of a simulation. One hook a process,
// set and called on the thread that runs the simulation; null clears it.
using CheckFailureHook = void (*)(void* context);
void SetCheckFailureHook(CheckFailureHook hook, void* context);

}  // namespace orrery

#define ORRERY_CHECK(condition)                         \
  (__builtin_expect(static_cast<bool>(condition), true) \
       ? static_cast<void>(0)                           \
       : ::orrery::CheckFailed(__FILE__, __LINE__, #condition, nullptr))

#define ORRERY_CHECK_MSG(condition, message)            \
  (__builtin_expect(static_cast<bool>(condition), true) \
       ? static_cast<void>(0)                           \
       : ::orrery::CheckFailed(__FILE__, __LINE__, #condition, message))

// Compares two integers and prints both when the comparison fails.
#define ORRERY_CHECK_OP(left, op, right)                                         \
  do {                                                                           \
    const auto orrery_left = (left);                                             \
    const auto orrery_right = (right);                                           \
    if (__builtin_expect(!(orrery_left op orrery_right), false)) {               \
      ::orrery::CheckFailedCompare(__FILE__, __LINE__, #left " " #op " " #right, \
                                   static_cast<int64_t>(orrery_left),            \
                                   static_cast<int64_t>(orrery_right));          \
    }                                                                            \
  } while (false)

#ifdef ORRERY_DCHECKS
#define ORRERY_DCHECK(condition) ORRERY_CHECK(condition)
#else
#define ORRERY_DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#endif

#include "base/check.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace orrery {
namespace {

struct HookSlot {
  CheckFailureHook hook = nullptr;
  void* context = nullptr;
};

// The one piece of mutable state that a process shares: a failing check has no other way to its
// simulation.
HookSlot hook_slot;

[[noreturn]] void Finish() {
  const HookSlot slot = hook_slot;
  hook_slot = {};  // A check that fails inside the hook must not call it again.
  if (slot.hook != nullptr) slot.hook(slot.context);
  std::fflush(nullptr);
  std::abort();
}

}  // namespace

void CheckFailed(const char* file, int line, const char* condition, const char* message) {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%s%s\n", file, line, condition,
               message != nullptr ? " (" : "", message != nullptr ? message : "",
               message != nullptr ? ")" : "");
  Finish();
}

void CheckFailedCompare(const char* file, int line, const char* condition, int64_t left,
                        int64_t right) {
  std::fprintf(stderr, "%s:%d: check failed: %s (%" PRId64 " against %" PRId64 ")\n", file, line,
               condition, left, right);
  Finish();
}

void SetCheckFailureHook(CheckFailureHook hook, void* context) {
  hook_slot = {.hook = hook, .context = context};
}

}  // namespace orrery

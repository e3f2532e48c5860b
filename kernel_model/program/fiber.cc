#include "kernel_model/program/fiber.h"

#include <sys/mman.h>
#include <unistd.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#include <utility>

#include "base/check.h"

// gcc has the macros, clang the features.
#if defined(__SANITIZE_ADDRESS__)
#define ORRERY_FIBER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define ORRERY_FIBER_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ORRERY_FIBER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define ORRERY_FIBER_TSAN 1
#endif
#endif

#ifdef ORRERY_FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef ORRERY_FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// A switch of stacks. swapcontext() is one, and sets the signal mask besides, by a system call that
// takes ten times as long as the rest; explorations switch hundreds of millions of times.
#ifdef __x86_64__
// Pushes what a call must preserve (rbp, rbx, r12 to r15), puts the stack's top into *from, and
// goes on where `to` left off.
asm(R"(
.pushsection .text
.type orrery_switch_stacks, @function
orrery_switch_stacks:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size orrery_switch_stacks, . - orrery_switch_stacks
.popsection
)");
extern "C" void orrery_switch_stacks(void** from, void* to);
#endif

namespace orrery::model {
namespace {

#ifdef __x86_64__
// What runs on a stack while that is not running.
class Context {
 public:
  void Prepare(std::byte* memory, size_t bytes, void (*entry)()) {
    // As if `entry` had been called, and would return to 0; and under it six registers.
    auto** const end = reinterpret_cast<void**>(memory + bytes);  // Aligned: whole pages.
    end[-1] = nullptr;
    end[-2] = reinterpret_cast<void*>(entry);
    top_ = static_cast<void*>(end - 8);
  }
  void SwitchTo(const Context& other) { orrery_switch_stacks(&top_, other.top_); }

 private:
  void* top_ = nullptr;
};
#else
class Context {
 public:
  void Prepare(std::byte* memory, size_t bytes, void (*entry)()) {
    ORRERY_CHECK(::getcontext(&context_) == 0);
    context_.uc_stack.ss_sp = memory;
    context_.uc_stack.ss_size = bytes;
    context_.uc_link = nullptr;  // The body ends with a switch of its own.
    ::makecontext(&context_, entry, 0);
  }
  void SwitchTo(const Context& other) {
    ORRERY_CHECK(::swapcontext(&context_, &other.context_) == 0);
  }

 private:
  ucontext_t context_{};
};
#endif

}  // namespace

struct Fiber::State {
  std::function<void()> body;
  Context inside;
  Context outside;
  std::byte* memory = nullptr;  // A guard page, then the stack.
  size_t guard_bytes = 0;
  bool running = false;
  bool finished = false;
#ifdef ORRERY_FIBER_ASAN
  void* inside_fake_stack = nullptr;
  const void* outside_stack = nullptr;
  size_t outside_bytes = 0;
#endif
#ifdef ORRERY_FIBER_TSAN
  void* inside_fiber = nullptr;
  void* outside_fiber = nullptr;
#endif
};

namespace {

// An entry takes no arguments; the one that starts is handed over here.
thread_local void* starting = nullptr;  // lint: allow(thread-local): see above

}  // namespace

Fiber::Fiber(std::function<void()> body) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.body = std::move(body);
  state.guard_bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory = ::mmap(nullptr, state.guard_bytes + kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  ORRERY_CHECK_MSG(memory != MAP_FAILED, "no memory for a stack");
  ORRERY_CHECK(::mprotect(memory, state.guard_bytes, PROT_NONE) == 0);
  state.memory = static_cast<std::byte*>(memory);
  state.inside.Prepare(state.memory + state.guard_bytes, kStackBytes, &Fiber::Enter);
#ifdef ORRERY_FIBER_TSAN
  state.inside_fiber = ::__tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  ORRERY_CHECK_MSG(!state_->running, "a fiber destroys itself");
#ifdef ORRERY_FIBER_TSAN
  ::__tsan_destroy_fiber(state_->inside_fiber);
#endif
#ifdef ORRERY_FIBER_ASAN
  if (!state_->finished) {
    // What a killed program had allocated is not a leak of the test: its stack stays, as a root.
    ::__lsan_register_root_region(state_->memory + state_->guard_bytes, kStackBytes);
    return;
  }
  __asan_unpoison_memory_region(state_->memory, state_->guard_bytes + kStackBytes);
#endif
  ORRERY_CHECK(::munmap(state_->memory, state_->guard_bytes + kStackBytes) == 0);
}

void Fiber::Resume() {
  State& state = *state_;
  ORRERY_CHECK(!state.finished);
  ORRERY_CHECK_MSG(!state.running, "a fiber is resumed from inside");
  state.running = true;
  starting = &state;
#ifdef ORRERY_FIBER_ASAN
  void* fake_stack = nullptr;
  ::__sanitizer_start_switch_fiber(&fake_stack, state.memory + state.guard_bytes, kStackBytes);
#endif
#ifdef ORRERY_FIBER_TSAN
  state.outside_fiber = ::__tsan_get_current_fiber();
  ::__tsan_switch_to_fiber(state.inside_fiber, 0);
#endif
  state.outside.SwitchTo(state.inside);
#ifdef ORRERY_FIBER_ASAN
  ::__sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  state.running = false;
}

void Fiber::Enter() {
  State& state = *static_cast<State*>(starting);
#ifdef ORRERY_FIBER_ASAN
  ::__sanitizer_finish_switch_fiber(nullptr, &state.outside_stack, &state.outside_bytes);
#endif
  state.body();
  state.finished = true;
#ifdef ORRERY_FIBER_ASAN
  ::__sanitizer_start_switch_fiber(nullptr, state.outside_stack, state.outside_bytes);
#endif
#ifdef ORRERY_FIBER_TSAN
  ::__tsan_switch_to_fiber(state.outside_fiber, 0);
#endif
  state.inside.SwitchTo(state.outside);
}

void Fiber::Suspend() {
  State& state = *state_;
  ORRERY_CHECK_MSG(state.running, "only a fiber that runs can suspend");
#ifdef ORRERY_FIBER_ASAN
  ::__sanitizer_start_switch_fiber(&state.inside_fake_stack, state.outside_stack,
                                   state.outside_bytes);
#endif
#ifdef ORRERY_FIBER_TSAN
  ::__tsan_switch_to_fiber(state.outside_fiber, 0);
#endif
  state.inside.SwitchTo(state.outside);
#ifdef ORRERY_FIBER_ASAN
  ::__sanitizer_finish_switch_fiber(state.inside_fake_stack, &state.outside_stack,
                                    &state.outside_bytes);
#endif
}

bool Fiber::finished() const { return state_->finished; }

}  // namespace orrery::model

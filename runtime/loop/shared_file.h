// A descriptor that is open as long as anybody uses it.
//
// A request that waits in a queue names its file by one of these, so the number cannot be closed,
// and given to somebody else's file, before the kernel has seen the request. The last user closes
// it, on its thread. Copies may be used by different threads; one copy by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/check.h"
#include "runtime/ring/kernel.h"

namespace orrery {

class SharedFile {
 public:
  // No file.
  SharedFile() = default;
  // Takes the descriptor over. `kernel` outlives it.
  SharedFile(Kernel& kernel, int descriptor) : state_(new State(kernel, descriptor)) {
    ORRERY_CHECK(descriptor >= 0);
  }
  SharedFile(const SharedFile& other) : state_(other.state_) {
    // Relaxed: whoever copies has one already.
    if (state_ != nullptr) state_->users.fetch_add(1, std::memory_order_relaxed);
  }
  SharedFile(SharedFile&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  SharedFile& operator=(SharedFile other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~SharedFile() {
    // Acquire and release: what every user did comes before the close.
    if (state_ == nullptr || state_->users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (state_->descriptor >= 0) state_->kernel.Close(state_->descriptor);
    delete state_;
  }

  explicit operator bool() const { return state_ != nullptr; }
  // -1 of none.
  int descriptor() const { return state_ == nullptr ? -1 : state_->descriptor; }
  // Whether this is the only user.
  bool unique() const {
    return state_ != nullptr && state_->users.load(std::memory_order_acquire) == 1;
  }
  // The descriptor is the caller's, or has been closed by other means. REQUIRES: unique().
  void Forget() {
    ORRERY_CHECK(unique());
    state_->descriptor = -1;
  }

 private:
  struct State {
    State(Kernel& its_kernel, int its_descriptor)
        : kernel(its_kernel), descriptor(its_descriptor) {}
    Kernel& kernel;
    int descriptor;
    std::atomic<uint32_t> users{1};
  };

  State* state_ = nullptr;
};

}  // namespace orrery

// The eventfds by which shards are woken: one for each, made before the first shard and closed
// after the last, because anybody may ring until then.
//
// A reactor watches its own (Reactor::Watch(), lent). Ring() may be called on any thread.
#pragma once

#include <expected>
#include <memory>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "runtime/ring/kernel.h"

namespace orrery {

class Bells {
 public:
  // `kernel` outlives them. Errors are those of Kernel::MakeEventFd().
  static std::expected<std::unique_ptr<Bells>, Errno> Create(Kernel& kernel, unsigned shards) {
    std::unique_ptr<Bells> bells(new Bells(kernel));
    for (unsigned shard = 0; shard < shards; ++shard) {
      const auto eventfd = kernel.MakeEventFd();
      if (!eventfd) return std::unexpected(eventfd.error());
      bells->eventfds_.push_back(*eventfd);
    }
    return bells;
  }
  Bells(const Bells&) = delete;
  Bells& operator=(const Bells&) = delete;
  ~Bells() {
    for (const int eventfd : eventfds_) kernel_.Close(eventfd);
  }

  // Ends the sleep of the shard's ring, or the next one.
  void Ring(unsigned shard) { kernel_.SignalEventFd(eventfds_[shard]); }
  // For the shard's reactor, and for signal handlers, which write to it.
  int eventfd(unsigned shard) const { return eventfds_[shard]; }

 private:
  explicit Bells(Kernel& kernel) : kernel_(kernel) {}

  Kernel& kernel_;
  std::vector<int> eventfds_;
};

}  // namespace orrery

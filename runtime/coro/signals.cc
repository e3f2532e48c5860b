#include "runtime/coro/signals.h"

#include <liburing.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace orrery::coro {
namespace {

// For the handler, which may run between any two instructions. -1: there is no set.
std::atomic<int> handler_eventfd = -1;
// Bit n - 1 is signal n.
std::atomic<uint64_t> arrived = 0;

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free,
              "a handler may not wait for a lock");

extern "C" void OnSignal(int signal) {
  const int error = errno;
  arrived.fetch_or(uint64_t{1} << (signal - 1));
  const uint64_t one = 1;
  (void)!::write(handler_eventfd.load(), &one, sizeof one);  // A full counter wakes as well.
  errno = error;
}

class ReadCounter final : public CountAwaiter {
 public:
  explicit ReadCounter(Descriptor& eventfd) : CountAwaiter(eventfd, Lane::kInput, kNever) {
    io_uring_prep_read(&sqe(), number(), &counter_, sizeof counter_, 0);
  }

 private:
  uint64_t counter_ = 0;
};

}  // namespace

std::expected<SignalSet, Errno> SignalSet::Catch(IoContext& io,
                                                 std::initializer_list<int> signals) {
  ORRERY_CHECK_MSG(handler_eventfd.load() < 0, "one set of signals at a time");
  const std::expected<int, Errno> eventfd = io.kernel().MakeEventFd();
  if (!eventfd) return std::unexpected(eventfd.error());
  SignalSet set(Descriptor(io, *eventfd));
  arrived.store(0);
  handler_eventfd.store(*eventfd);
  for (const int signal : signals) {
    struct sigaction action{};
    action.sa_handler = OnSignal;
    struct sigaction before{};
    ORRERY_CHECK_OP(::sigaction(signal, &action, &before), ==, 0);
    set.before_.emplace_back(signal, before);
  }
  return set;
}

SignalSet::~SignalSet() {
  if (before_.empty()) return;
  for (const auto& [signal, action] : before_) {
    ORRERY_CHECK_OP(::sigaction(signal, &action, nullptr), ==, 0);
  }
  handler_eventfd.store(-1);
}

Task<std::expected<int, Errno>> SignalSet::Wait() {
  for (;;) {
    const uint64_t set = arrived.load();
    if (set != 0) {
      const int bit = std::countr_zero(set);
      arrived.fetch_and(~(uint64_t{1} << bit));
      co_return bit + 1;
    }
    const std::expected<size_t, Errno> rung = co_await ReadCounter(eventfd_);
    if (!rung) co_return std::unexpected(rung.error());
  }
}

}  // namespace orrery::coro

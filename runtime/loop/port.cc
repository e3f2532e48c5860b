#include "runtime/loop/port.h"

#include <cerrno>

#include "base/check.h"
#include "runtime/loop/pending.h"

namespace orrery {

PortShare::PortShare(Port& port) : port_(&port) {
  // Relaxed: whoever copies has one already.
  port.shares_.fetch_add(1, std::memory_order_relaxed);
}

PortShare::PortShare(const PortShare& other) : port_(other.port_) {
  if (port_ != nullptr) port_->shares_.fetch_add(1, std::memory_order_relaxed);
}

PortShare::~PortShare() {
  // Acquire and release: what each user did comes before the end.
  if (port_ != nullptr && port_->shares_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete port_;
}

std::expected<PortShare, Errno> Port::Make(Kernel& kernel, size_t queue_capacity) {
  const auto eventfd = kernel.MakeEventFd();
  if (!eventfd) return std::unexpected(eventfd.error());
  return PortShare(*new Port(kernel, *eventfd, queue_capacity));
}

Port::Port(Kernel& kernel, int eventfd, size_t queue_capacity)
    : kernel_(kernel), eventfd_(eventfd), queue_(queue_capacity) {}

Port::~Port() {
  // What was asked after the loop had ended.
  for (Pending* pending = TakeAsked(); pending != nullptr;) {
    Pending* const next = pending->next_asked;
    pending->Drop();
    pending = next;
  }
  kernel_.Close(eventfd_);
}

uint64_t Port::queued() const {
  const uint64_t pushed = queue_.pushed();
  const uint64_t popped = popped_.load(std::memory_order_relaxed);
  return pushed > popped ? pushed - popped : 0;
}

uint64_t Port::wakes_saved() const {
  const uint64_t rung = counters_.wakes_rung.load(std::memory_order_relaxed);
  const uint64_t published = waker_.published();
  return published > rung ? published - rung : 0;
}

void Port::Register(Metrics& metrics) const {
  const auto count = [](const std::atomic<uint64_t>& value) {
    return [&value] { return value.load(std::memory_order_relaxed); };
  };
  metrics.AddGauge("orrery_loop_pending", "Requests that the loop has taken and not ended.",
                   count(counters_.pending));
  metrics.AddGauge("orrery_loop_queued", "Requests that wait for the loop to take them.",
                   [this] { return queued(); });
  metrics.AddCounter("orrery_loop_completed_total", "Requests that ended with the kernel's result.",
                     count(counters_.completed));
  metrics.AddCounter("orrery_loop_timed_out_total", "Requests that their deadline ended.",
                     count(counters_.timed_out));
  metrics.AddCounter("orrery_loop_cancelled_total", "Requests that were cancelled.",
                     count(counters_.cancelled));
  metrics.AddCounter(
      "orrery_loop_given_up_total",
      "Requests that ended, in whatever way, when nobody wanted the result any more.",
      count(counters_.given_up));
  metrics.AddCounter("orrery_loop_leaked_total",
                     "Requests whose memory was left to the kernel for ever.",
                     count(counters_.leaked));
  metrics.AddCounter("orrery_loop_wakes_rung_total", "Rings of the eventfd.",
                     count(counters_.wakes_rung));
  metrics.AddCounter("orrery_loop_callers_woken_total",
                     "Callers that were blocked until their result was there.",
                     count(counters_.callers_woken));
  metrics.AddCounter("orrery_loop_wakes_saved_total",
                     "Publications that found the loop awake, or rung already.",
                     [this] { return wakes_saved(); });
}

// --- Submitters and futures

void Port::DropSubmitter() {
  if (submitters_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (waker_.Disconnect()) {
    counters_.wakes_rung.fetch_add(1, std::memory_order_relaxed);
    kernel_.SignalEventFd(eventfd_);
  }
}

void Port::Published() {
  if (!waker_.Publish()) return;
  counters_.wakes_rung.fetch_add(1, std::memory_order_relaxed);
  kernel_.SignalEventFd(eventfd_);
}

void Port::Ask(Pending& pending, uint32_t what) {
  const uint32_t before = pending.asks.fetch_or(what | Pending::kListed, std::memory_order_acq_rel);
  if ((before & Pending::kListed) != 0) return;
  pending.AddUser();  // The list.
  Pending* first = asked_.load(std::memory_order_relaxed);
  do {
    pending.next_asked = first;
    // Release: who takes the list sees the link.
  } while (!asked_.compare_exchange_weak(first, &pending, std::memory_order_release,
                                         std::memory_order_relaxed));
  Published();
}

void Port::RequestShutdown(const ShutdownLimits& limits) {
  finish_limit_.store(limits.finish, std::memory_order_relaxed);
  cancel_limit_.store(limits.cancel, std::memory_order_relaxed);
  shutdown_requested_.store(true, std::memory_order_release);
  Published();
}

// --- The loop

Pending* Port::TryPop() {
  const std::optional<Pending*> pending = queue_.TryPop();
  if (!pending.has_value()) return nullptr;
  popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return *pending;
}

void Port::AnnounceRoom() {
  // Release: who sees the number finds the room. Who saw the old one has not slept yet, or is
  // woken.
  room_epoch_.fetch_add(1, std::memory_order_release);
  room_epoch_.notify_all();
}

// --- Future

Future::~Future() {
  if (pending_ == nullptr) return;
  if (!pending_->ready()) port_->Ask(*pending_, Pending::kGiveUp);
  pending_->Drop();
}

bool Future::ready() const { return pending_->ready(); }
void Future::Wait() const { pending_->Wait(); }

Result Future::Take() {
  ORRERY_CHECK_MSG(valid() && ready(), "a result is taken before it is there, or twice");
  Result result = std::move(pending_->result());
  std::exchange(pending_, nullptr)->Drop();
  port_ = PortShare();
  return result;
}

void Future::Cancel() {
  if (!pending_->ready()) port_->Ask(*pending_, Pending::kCancel);
}

// --- Submitter

Submitter::Submitter(Port& port) : port_(port) { port_->AddSubmitter(); }

Submitter::Submitter(const Submitter& other) : port_(other.port_) {
  if (port_) port_->AddSubmitter();
}

Submitter::~Submitter() {
  if (port_) port_->DropSubmitter();
}

std::optional<Future> Submitter::TryEnqueue(Request& request, bool& untold) {
  auto* const pending = new Pending(std::move(request), port_->kernel());
  switch (port_->TryPush(*pending)) {
    case Pushed::kYes:
      untold = true;
      break;
    case Pushed::kFull:
      request = pending->TakeBack();
      pending->Drop();
      pending->Drop();
      return std::nullopt;
    case Pushed::kClosed:
      pending->EndAs(Outcome::kCancelled, Errno(ECANCELED));
      pending->Drop();  // The loop's share.
      break;
  }
  return Future(port_, *pending);
}

Future Submitter::Enqueue(Request& request, bool& untold) {
  for (;;) {
    // Before the attempt: room that comes after it changes the number.
    const uint32_t epoch = port_->room_epoch();
    if (std::optional<Future> future = TryEnqueue(request, untold)) return *std::move(future);
    // A loop that sleeps over a full queue makes no room.
    if (std::exchange(untold, false)) port_->Published();
    port_->AwaitRoom(epoch);
  }
}

std::optional<Future> Submitter::TrySubmit(Request& request) {
  bool untold = false;
  std::optional<Future> future = TryEnqueue(request, untold);
  if (untold) port_->Published();
  return future;
}

Future Submitter::Submit(Request request) {
  bool untold = false;
  Future future = Enqueue(request, untold);
  if (untold) port_->Published();
  return future;
}

std::vector<Future> Submitter::SubmitAll(std::span<Request> requests) {
  std::vector<Future> futures;
  futures.reserve(requests.size());
  bool untold = false;
  for (Request& request : requests) futures.push_back(Enqueue(request, untold));
  if (untold) port_->Published();
  return futures;
}

}  // namespace orrery

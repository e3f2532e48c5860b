#include "kernel_model/machine.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/check.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

void StopUnknown(std::string_view what, uint64_t value) {
  const std::string message = "the model does not know " + std::string(what) + " " +
                              std::to_string(value) + "; it never invents a result";
  CheckFailed(__FILE__, __LINE__, "known to the model", message.c_str());
}

Nanoseconds AddTime(Nanoseconds time, Nanoseconds duration) {
  Nanoseconds sum = 0;
  if (!__builtin_add_overflow(time, duration, &sum)) return sum;
  return duration > 0 ? kNever : std::numeric_limits<Nanoseconds>::min();
}

Nanoseconds DurationOf(int64_t seconds, int64_t nanoseconds) {
  Nanoseconds whole = 0;
  if (__builtin_mul_overflow(seconds, kSecond, &whole)) {
    return seconds > 0 ? kNever : std::numeric_limits<Nanoseconds>::min();
  }
  return AddTime(whole, nanoseconds);
}

Machine::Machine(const ModelOptions& machine_options, Choice& choice, Observer* machine_observer)
    : options(machine_options),
      realtime_offset(machine_options.realtime_at_start),
      descriptors(machine_options.descriptors_max),
      tcp(*this),
      datagrams(*this),
      entropy(machine_options.entropy_seed),
      chooser_(choice),
      observer_(machine_observer) {
  ORRERY_CHECK(options.socket_buffer_bytes >= 1);
  ORRERY_CHECK(!options.delays.empty() && options.delays.front() == 0);
}

Machine::~Machine() {
  for (const ModelRing* ring : rings) {
    ORRERY_CHECK_MSG(ring == nullptr, "a ring outlives its ModelKernel");
  }
  observer_ = nullptr;  // Nothing more happens in the simulation.
  for (int fd = 0; fd < descriptors.end(); ++fd) CloseDescriptor(fd);
  ORRERY_CHECK_OP(files_alive, ==, size_t{0});
}

void Machine::Violate(std::string_view invariant, const std::string& detail) {
  if (observer_ != nullptr) {
    observer_->OnViolation(invariant, detail);
    return;
  }
  CheckFailed(__FILE__, __LINE__, std::string(invariant).c_str(), detail.c_str());
}

uint64_t Machine::Choose(Site site, uint64_t entity, uint64_t alternatives) {
  return Note(site, entity, chooser_.Choose(site, entity, alternatives));
}

uint64_t Machine::ChooseAmong(Site site, uint64_t entity, std::span<const uint64_t> names) {
  return Note(site, entity, chooser_.ChooseAmong(site, entity, names));
}

uint64_t Machine::Note(Site site, uint64_t entity, const Chosen& chosen) {
  if (chosen.answer != 0) {
    Emit(EventKind::kFault, entity, static_cast<int64_t>(site),
         static_cast<int64_t>(chosen.ordinal), static_cast<int64_t>(chosen.answer));
  }
  return chosen.answer;
}

Nanoseconds Machine::ChooseDelay(uint64_t entity, Site site) {
  return options.delays[Choose(site, entity, options.delays.size())];
}

Nanoseconds Machine::ChooseWorkerDelay(uint64_t entity) {
  const uint64_t answer = Choose(Site::kWorkerDelay, entity, 1 + options.delays.size());
  return answer == 0 ? kAfterBatch : options.delays[answer - 1];
}

Nanoseconds Machine::ChooseDiskDelay(uint64_t entity) {
  const uint64_t answer = Choose(Site::kReadCold, entity, 1 + options.delays.size());
  return answer == 0 ? kAfterBatch : options.delays[answer - 1];
}

Nanoseconds Machine::ChooseInterrupt(uint64_t entity) {
  const uint64_t answer = Choose(Site::kEnterInterrupted, entity, 1 + options.delays.size());
  return answer == 0 ? kNever : now + options.delays[answer - 1];
}

// --- Files

OpenFile& Machine::NewFile(FileKind kind) {
  auto* const file = new OpenFile();
  file->kind = kind;
  file->number = kind == FileKind::kStream ? 0 : next_file_number++;
  file->references = 1;
  ++files_alive;
  return *file;
}

OpenFile& Machine::NewStream(Connection& connection) {
  OpenFile& file = NewFile(FileKind::kStream);
  file.number = connection.number;
  file.connection = &connection;
  connection.file = &file;
  return file;
}

OpenFile& Machine::NewDiskFile(Inode& inode, uint32_t open_flags) {
  OpenFile& file = NewFile(inode.directory ? FileKind::kDirectory : FileKind::kRegular);
  file.inode = &inode;
  file.open_flags = open_flags;
  file_system.AddOpen(inode);
  return file;
}

int Machine::InsertDescriptor(OpenFile& file, uint32_t flags) {
  const int fd = descriptors.Insert(file);
  if ((flags & O_CLOEXEC) != 0) descriptors.SetCloseOnExec(fd, true);
  return fd;
}

void Machine::DropReference(OpenFile& file) {
  ORRERY_CHECK(file.references > 0);
  if (--file.references > 0) return;
  const bool seen_from_afar = file.kind == FileKind::kStream && file.connection->other == nullptr;
  if (in_enter_ && !seen_from_afar) {
    to_close_.push_back(&file);
  } else {
    CloseForGood(file);
  }
}

void Machine::CloseFiles() {
  for (OpenFile* const file : std::exchange(to_close_, {})) CloseForGood(*file);
}

void Machine::EndEnter() {
  CloseFiles();
  in_enter_ = false;
}

void Machine::CloseForGood(OpenFile& file) {
  ORRERY_CHECK(file.waiters.empty());
  if (file.kind == FileKind::kStream) tcp.CloseStream(*file.connection);
  if (file.kind == FileKind::kListener) tcp.CloseListener(file);
  if (file.kind == FileKind::kDatagram) datagrams.Close(file);
  if (file.kind == FileKind::kPipe) ClosePipe(*this, file);
  if (file.on_disk()) file_system.DropOpen(*file.inode);
  if (file.kind == FileKind::kSocket) tcp.CloseSocket(file);
  --files_alive;
  delete &file;
}

bool Machine::CloseDescriptor(int fd) {
  OpenFile* const file = descriptors.Remove(fd);
  if (file == nullptr) return false;
  DropReference(*file);
  return true;
}

std::expected<ModelRing*, Errno> Machine::FindRing(int fd) const {
  const OpenFile* const file = descriptors.Find(fd);
  if (file == nullptr) return std::unexpected(Errno(EBADF));
  if (file->ring == nullptr) return std::unexpected(Errno(EOPNOTSUPP));
  return rings[file->ring->number];
}

// --- Waiting

uint32_t Machine::Readiness(const OpenFile& file) const {
  if (file.kind == FileKind::kEventFd) {
    return (file.event_count > 0 ? POLLIN : 0) | (file.event_count < UINT64_MAX - 1 ? POLLOUT : 0);
  }
  if (file.kind == FileKind::kRing) return file.ring != nullptr ? file.ring->Readiness() : 0;
  if (file.kind == FileKind::kPipe) return PipeReadiness(file);
  if (file.on_disk()) return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;  // DEFAULT_POLLMASK
  if (file.kind == FileKind::kDatagram) return datagrams.Readiness(*file.datagrams);
  return tcp.Readiness(file);
}

void Machine::Wake(OpenFile& file, uint32_t mask) {
  Request* next = nullptr;
  for (Request* request = file.waiters.head(); request != nullptr; request = next) {
    next = request->wait_next;
    // IO_ASYNC_POLL_COMMON: urgent data wakes nobody by itself.
    if (mask != 0 && (mask & request->wait_events & ~uint32_t{POLLPRI}) == 0) continue;
    const bool exclusive = request->exclusive;
    WakeRequest(*request, mask);
    // One exclusive waiter takes a wake-up (fact A2); a change of state wakes all.
    if (exclusive && mask != 0) return;
  }
}

void Machine::WakeRequest(Request& request, uint32_t mask) {
  if (request.wakes++ > 0) return;
  // io_poll_wake(): a single-shot leaves the queue at once when it knows what happened.
  if (mask != 0 && !request.multishot) request.file->waiters.Remove(request);
  request.wake_mask = mask;
  request.ring->QueueTaskWork(request, request.exclusive);
}

// --- Time

void Machine::AdvanceTo(Nanoseconds time) {
  ORRERY_CHECK(time >= now);
  while (timers.next_due() <= time) {
    now = std::max(now, timers.next_due());
    FireDueTimers();
  }
  now = time;
}

void Machine::JumpRealtime(Nanoseconds by) {
  realtime_offset += by;
  // As clock_was_set(): what is due by now fires as soon as the clock is looked at.
  for (Timer* const timer : timers.Armed()) {
    const Request* const request = timer->request;
    if (request == nullptr || !request->realtime || !request->absolute_time) continue;
    timers.Disarm(*timer);
    timers.Arm(*timer, std::max(now, request->time - realtime_offset));
  }
}

void Machine::FireDueTimers() {
  const Nanoseconds due = timers.next_due();
  std::vector<Timer*> batch;
  while (timers.next_due() == due) {
    Timer* const timer = timers.front();
    const bool timeout = timer->request != nullptr && timer->request->state == RequestState::kTimed;
    // Timeouts that were armed in a row are fired in any order; nothing overtakes them.
    if (!timeout && !batch.empty()) break;
    timers.Disarm(*timer);
    if (!timeout) {
      Fire(*timer);
      return;
    }
    batch.push_back(timer);
  }
  while (!batch.empty()) {
    const uint64_t index = Choose(Site::kTimerOrder, 0, batch.size());
    Timer* const timer = batch[index];
    batch.erase(batch.begin() + static_cast<ptrdiff_t>(index));
    Fire(*timer);
  }
}

void Machine::Fire(Timer& timer) {
  if (timer.connection != nullptr) {
    tcp.OnTimer(timer);
  } else if (timer.datagrams != nullptr) {
    timer.datagrams->OnArrival();
  } else {
    timer.request->ring->OnTimer(*timer.request);
  }
}

}  // namespace orrery::model

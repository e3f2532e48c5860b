// What all families of operations share: the clock, choices, reports, files and descriptors, and
// the list of rings. Private to kernel_model; ModelKernel is its public face.
//
// Invariant: nothing here runs by itself. A wake-up only queues task work on a ring; it never posts
// a completion.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "kernel_model/choice.h"
#include "kernel_model/datagram.h"
#include "kernel_model/file_system.h"
#include "kernel_model/memory_ledger.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "kernel_model/open_file.h"
#include "kernel_model/tcp.h"
#include "kernel_model/timer_queue.h"

namespace orrery::model {

class Machine;

// Ends the run: the program asked for something that the model does not know. It never invents
// EINVAL.
[[noreturn]] void StopUnknown(std::string_view what, uint64_t value);

// What is too long lasts for ever, as timespec64_to_ktime() and ktime_add_safe() have it.
Nanoseconds DurationOf(int64_t seconds, int64_t nanoseconds);
Nanoseconds AddTime(Nanoseconds time, Nanoseconds duration);

// pipe.cc
uint32_t PipeReadiness(const OpenFile& file);
void ClosePipe(Machine& machine, OpenFile& file);

class Machine {
 public:
  Machine(const ModelOptions& machine_options, Choice& choice, Observer* machine_observer);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  // --- Reports.
  void Emit(EventKind kind, uint64_t entity, int64_t a = 0, int64_t b = 0, int64_t c = 0) {
    if (observer_ != nullptr)
      observer_->OnEvent({.kind = kind, .entity = entity, .a = a, .b = b, .c = c});
  }
  // See Observer::OnSqe() and OnBytes().
  void EmitSqe(const io_uring_sqe& sqe) {
    if (observer_ != nullptr) observer_->OnSqe(sqe);
  }
  void EmitBytes(std::span<const std::byte> bytes) {
    if (observer_ != nullptr) observer_->OnBytes(bytes);
  }
  // Ends the run when nobody observes it.
  void Violate(std::string_view invariant, const std::string& detail);
  // Reports every answer but the benign one.
  uint64_t Choose(Site site, uint64_t entity, uint64_t alternatives);
  // See Choice::ChooseAmong().
  uint64_t ChooseAmong(Site site, uint64_t entity, std::span<const uint64_t> names);
  // One of a few delays; benign: 0.
  Nanoseconds ChooseDelay(uint64_t entity, Site site = Site::kWakeDelay);
  // When a worker runs, by kWorkerDelay: benign after the batch that started it, else at once or
  // after one of the delays.
  static constexpr Nanoseconds kAfterBatch = -1;
  Nanoseconds ChooseWorkerDelay(uint64_t entity);
  // The same for a read that waits for the disk, by kReadCold; benign: it need not.
  Nanoseconds ChooseDiskDelay(uint64_t entity);
  // The moment of a signal, by kEnterInterrupted; benign: never.
  Nanoseconds ChooseInterrupt(uint64_t entity);

  // --- Files.
  // With one reference and the next number.
  OpenFile& NewFile(FileKind kind);
  // The program's end of an accepted connection; its number is the connection's.
  OpenFile& NewStream(Connection& connection);
  // A file or directory of the file system, as it was opened.
  OpenFile& NewDiskFile(Inode& inode, uint32_t open_flags);
  void AddReference(OpenFile& file) { ++file.references; }
  // The last one closes the file for good: now, or, inside io_uring_enter(2), with CloseFiles().
  void DropReference(OpenFile& file);
  // As fput() does, which leaves closing to the task work of the thread (fact X8). A stream to a
  // peer closes at once, because such a peer cannot tell.
  void BeginEnter() { in_enter_ = true; }
  void CloseFiles();
  void EndEnter();
  // A descriptor for the file, which takes over one reference. REQUIRES: !descriptors.full().
  // `flags`: O_CLOEXEC, or SOCK_CLOEXEC, which is the same.
  int InsertDescriptor(OpenFile& file, uint32_t flags = 0);
  // False when it was not open.
  bool CloseDescriptor(int fd);
  // EBADF: not open. EOPNOTSUPP: not a ring's (fact U10).
  std::expected<ModelRing*, Errno> FindRing(int fd) const;

  // --- Waiting.
  // The poll(2) mask of a file now.
  uint32_t Readiness(const OpenFile& file) const;
  // Wakes the requests that wait for `mask`; 0 wakes all, as a change of state does.
  void Wake(OpenFile& file, uint32_t mask);
  // Counts a wake-up of a request that waits; the first queues its task work.
  void WakeRequest(Request& request, uint32_t mask);

  // --- Time.
  void AdvanceTo(Nanoseconds time);
  // Sets CLOCK_REALTIME by so much; timers that wait for a time of it follow.
  void JumpRealtime(Nanoseconds by);

  const ModelOptions options;
  Nanoseconds now = 0;
  Nanoseconds realtime_offset = 0;  // CLOCK_REALTIME less CLOCK_MONOTONIC.
  unsigned thread = 0;              // Of the program: who calls.
  uint64_t next_file_number = 1;
  TimerQueue timers;
  FileSystem file_system;
  DescriptorTable descriptors;
  MemoryLedger ledger;
  Tcp tcp;
  Datagrams datagrams;
  Prng entropy;
  Bystander* bystander = nullptr;
  bool handles_broken_pipes = false;       // The program does not die of SIGPIPE.
  size_t broken_pipes = 0;                 // How often that was.
  uint64_t file_bytes_limit = UINT64_MAX;  // RLIMIT_FSIZE
  std::vector<ModelRing*> rings;           // In order of creation; null where one is gone.
  size_t ring_descriptors = 0;
  size_t files_alive = 0;

 private:
  void FireDueTimers();
  void Fire(Timer& timer);
  void CloseForGood(OpenFile& file);

  uint64_t Note(Site site, uint64_t entity, const Chosen& chosen);

  Chooser chooser_;
  Observer* observer_;
  bool in_enter_ = false;
  std::vector<OpenFile*> to_close_;  // Without references.
};

}  // namespace orrery::model

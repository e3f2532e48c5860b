// One group of provided buffers: the kernel's side of a buffer ring. Private to kernel_model.
//
// The program publishes entries in shared memory; the model takes note of them when it is entered
// and owns their memory until the CQE that hands one over is in the CQ. What a group is for shows
// with its first use. Invariant: of a group that is received into, what is owned holds the pattern,
// and is poisoned under AddressSanitizer; of others it is what the program wrote.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "kernel_model/memory_ledger.h"

namespace orrery::model {

class Machine;

// A provided buffer on its way to the program; empty for completions without one.
struct HandedBuffer {
  std::byte* address = nullptr;
  uint32_t length = 0;
  uint32_t flags = 0;  // Its CQE's: F_BUFFER and the id, F_BUF_MORE.
};

class BufferGroup {
 public:
  static constexpr uint32_t kEntriesMax = 32768;

  // `incremental`: transfers take what they need of a buffer, and it stays in front (fact I1).
  BufferGroup(Machine& machine, uint16_t group, io_uring_buf* entries, uint32_t entry_count,
              bool incremental);
  BufferGroup(const BufferGroup&) = delete;
  BufferGroup& operator=(const BufferGroup&) = delete;
  ~BufferGroup();

  uint16_t group() const { return group_; }
  bool incremental() const { return incremental_; }
  uint16_t head() const { return head_; }
  // Takes note of what the program has published since.
  void Look();
  // Published and not handed over yet.
  size_t owned() const { return static_cast<uint16_t>(seen_tail_ - head_); }
  bool empty() const { return owned() == 0; }

  struct Buffer {
    std::byte* address = nullptr;
    uint32_t length = 0;
    uint16_t id = 0;
  };
  // The next one (fact B2). REQUIRES: !empty().
  Buffer front() const { return At(0); }
  // The one that many behind it. REQUIRES: ahead < owned().
  Buffer At(size_t ahead) const { return slots_[(head_ + ahead) & mask_]; }
  // Takes the next one for writing into it: its memory is checked and open to the model.
  // REQUIRES: !empty(), and it has an address.
  void Open();
  // Takes the next one to be sent: its bytes are the program's, and it is handed over at once (fact
  // D8). REQUIRES: !empty().
  HandedBuffer TakeToSend();
  // After Open(): closes it again (nothing came), or hands it over with so many bytes in it. Of an
  // incremental group only these bytes are handed over. REQUIRES: bytes > 0, if it is one.
  void PutBack();
  HandedBuffer HandOver(size_t bytes);

 private:
  enum class Use : uint8_t { kUnknown, kReceiving, kSending };

  void Publish(const io_uring_buf& entry, Buffer& slot);
  void UseFor(Use use);
  void CheckEntry() const;
  uint16_t SharedTail() const;

  Machine& machine_;
  const uint16_t group_;
  io_uring_buf* const entries_;  // The program's memory.
  const uint16_t mask_;
  const bool incremental_;
  Use use_ = Use::kUnknown;
  uint16_t head_ = 0;
  uint16_t seen_tail_ = 0;
  std::vector<Buffer> slots_;  // As they were when they were seen.
  // Grows to the highest id that occurs; a deque, because the ledger knows the elements.
  std::deque<MemoryLedger::Range> ranges_by_id_;
};

}  // namespace orrery::model

// The send path of one connection: bytes and borrowed bodies that wait to be sent, cut into chunks
// for the kernel.
//
// The stream is what was appended, in order. Bytes are copied once, into blocks that never move; a
// body is borrowed by reference and never copied. Gather() describes the front of the stream as
// iovecs, at most `iovecs_max` of them (IOV_MAX, or the kernel refuses the whole call), ending on
// an exact byte; Advance() says how many bytes of it the kernel took, which may end inside a header
// or inside a body.
//
// Invariant: memory that Gather() described stays where it is until Advance() or Retire() has
// passed it, so a chunk that the kernel holds is safe while more is appended. A body is released
// exactly when its last byte is done. Owned by a connection; used by the shard's thread only.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/shared_bytes.h"

namespace orrery {

// What one submission carries.
struct Chunk {
  uint32_t iovecs = 0;
  size_t bytes = 0;
};

// A chunk that does not depend on the output it is of.
struct PinnedChunk : Chunk {
  uint32_t bodies = 0;
  size_t body_bytes_max = 0;  // Of the longest part of a body in it.
};

// The bodies that an output borrows, in the order of the stream.
struct BodyQueue {
  struct Body {
    uint64_t position;  // How many copied bytes of the whole stream stand before it.
    SharedBytes bytes;
  };
  std::vector<Body> bodies;  // Those before `done` are released and empty.
  size_t done = 0;
  size_t front_done_bytes = 0;
};

// The blocks that copied bytes live in, and the queues of bodies. One pool serves all connections
// of a shard, so that an idle connection holds none of them and a busy one allocates none. Must
// outlive every PendingOutput made from it.
class OutputBlockPool {
 public:
  // A block's payload. One block holds the replies of a usual turn; a longer reply takes several.
  static constexpr size_t kBlockBytes = 4096 - 16;
  // Free blocks kept for reuse, unless told otherwise; the rest go back to the allocator.
  static constexpr size_t kFreeBlocksMax = 4096;
  // The same of queues, and the room for bodies that one may keep.
  static constexpr size_t kFreeQueuesMax = 256;
  static constexpr size_t kBodiesKept = 1024;

  // Lives at one address from Take() to Give(); linked in stream order by its owner.
  struct Block {
    Block* next = nullptr;
    uint32_t used_bytes = 0;
    char bytes[kBlockBytes];
  };

  explicit OutputBlockPool(size_t free_blocks_max = kFreeBlocksMax)
      : free_blocks_max_(free_blocks_max) {}
  OutputBlockPool(const OutputBlockPool&) = delete;
  OutputBlockPool& operator=(const OutputBlockPool&) = delete;
  ~OutputBlockPool();

  // An empty block, owned by the caller until Give().
  Block* Take();
  void Give(Block* block);

  // An empty queue, until Give().
  std::unique_ptr<BodyQueue> TakeQueue();
  void Give(std::unique_ptr<BodyQueue> queue);

  // Blocks taken and not given back.
  size_t blocks_in_use() const { return blocks_in_use_; }

 private:
  const size_t free_blocks_max_;
  Block* free_ = nullptr;
  size_t free_count_ = 0;
  size_t blocks_in_use_ = 0;
  std::vector<std::unique_ptr<BodyQueue>> free_queues_;
};

class PendingOutput {
 public:
  static constexpr size_t kBlockBytes = OutputBlockPool::kBlockBytes;

  explicit PendingOutput(OutputBlockPool& pool) : pool_(pool) {}
  PendingOutput(const PendingOutput&) = delete;
  PendingOutput& operator=(const PendingOutput&) = delete;
  ~PendingOutput();

  // Copies `bytes` behind everything appended so far.
  void Append(std::string_view bytes);

  // Borrows `body` behind everything appended so far. An empty body adds nothing.
  void AppendBody(SharedBytes body);

  // Moves all of `other` behind everything appended so far: its bytes are copied, its bodies are
  // not. `other` is empty then.
  void TakeAll(PendingOutput& other);

  // Calls visit(SharedBytes&) for each body that is held, in order. It may be replaced by another
  // one with the same bytes.
  template <typename Visit>
  void ForEachBody(Visit visit) {
    if (queue_ == nullptr) return;
    for (size_t body = queue_->done; body < queue_->bodies.size(); ++body) {
      visit(queue_->bodies[body].bytes);
    }
  }

  // Room for at least `bytes_min` contiguous bytes, to write into; follow with Commit() before
  // anything else. REQUIRES: bytes_min <= kBlockBytes.
  std::span<char> Reserve(size_t bytes_min) {
    ORRERY_DCHECK(bytes_min <= kBlockBytes);
    if (last_ == nullptr || kBlockBytes - last_->used_bytes < bytes_min) [[unlikely]]
      AddBlock();
    return {last_->bytes + last_->used_bytes, kBlockBytes - last_->used_bytes};
  }
  // Makes the first `bytes` of the last Reserve() part of the stream.
  void Commit(size_t bytes) {
    ORRERY_CHECK(last_ != nullptr && bytes <= kBlockBytes - last_->used_bytes);
    last_->used_bytes += static_cast<uint32_t>(bytes);
    copied_position_ += bytes;
    size_bytes_ += bytes;
    if (size_bytes_ == 0) [[unlikely]]
      GiveBlocks();  // Reserved, and not used after all.
  }

  // Makes `bytes` contiguous bytes, which the caller writes right now, part of the stream.
  // REQUIRES: 0 < bytes <= kBlockBytes.
  char* Extend(size_t bytes) {
    ORRERY_DCHECK(bytes > 0);
    char* const to = Reserve(bytes).data();
    last_->used_bytes += static_cast<uint32_t>(bytes);
    copied_position_ += bytes;
    size_bytes_ += bytes;
    return to;
  }

  // Describes the front of the stream in `iovecs`: as much as fits, but ends before a body of which
  // `body_bytes_end` or more are left, unless that is the front. No iovec is empty. An empty stream
  // gives {0, 0}; otherwise the chunk makes progress. REQUIRES: !iovecs.empty().
  Chunk Gather(std::span<iovec> iovecs,
               size_t body_bytes_end = std::numeric_limits<size_t>::max()) const;

  // All of the stream where it is one piece of copied bytes, as most replies are; empty otherwise.
  std::span<const char> OnlyPiece() const {
    if (first_ == nullptr || first_ != last_ || queue_ != nullptr) return {};
    return std::span(first_->bytes, first_->used_bytes).subspan(first_done_bytes_);
  }

  // The same as Gather() for memory that outlives the output: copied bytes are copied into
  // `copies`, and the bodies are referred to by `bodies`. The chunk ends where one of the three is
  // used up.
  PinnedChunk GatherPinned(std::span<iovec> iovecs, std::span<SharedBytes> bodies,
                           std::span<char> copies) const;

  // Whether a body of which `body_bytes_min` or more are left is among the first `bodies_max`, with
  // at most `copied_bytes_max` copied bytes before it. Looks at no bytes.
  bool BorrowsNearFront(size_t body_bytes_min, size_t bodies_max, size_t copied_bytes_max) const;

  // The first `bytes` of the stream are done: their blocks and bodies are released.
  // REQUIRES: bytes <= size_bytes().
  void Advance(size_t bytes);

  // Bytes appended and not yet advanced over: what is queued and what is in flight.
  size_t size_bytes() const { return size_bytes_; }
  bool empty() const { return size_bytes_ == 0; }

  // Bodies still held.
  size_t bodies() const { return Bodies().size(); }
  // Bytes copied by Append() and Commit() since construction; a body never counts.
  uint64_t copied_bytes() const { return copied_position_; }
  // Bytes of bodies borrowed since construction.
  uint64_t borrowed_bytes() const { return borrowed_bytes_; }

 private:
  using Block = OutputBlockPool::Block;

  // Calls visit(pointer, length, body) for the non-empty parts of the stream in order, until it
  // returns false. `body` is what the part belongs to, or null.
  template <typename Visit>
  void ForEachPart(Visit visit) const;

  void AddBlock();
  // Those that are held.
  std::span<const BodyQueue::Body> Bodies() const {
    if (queue_ == nullptr) return {};
    return std::span(queue_->bodies).subspan(queue_->done);
  }
  // How many copied bytes of the whole stream stand before the front body; all, without one.
  uint64_t FrontRunEnd() const {
    return queue_ == nullptr ? copied_position_ : Bodies().front().position;
  }
  // Moves past `bytes` copied bytes at the front and gives finished blocks back.
  void AdvanceCopied(size_t bytes);
  void PopFrontBody();
  // An idle connection holds no block. REQUIRES: empty(), or the end of its life.
  void GiveBlocks();

  OutputBlockPool& pool_;
  Block* first_ = nullptr;
  Block* last_ = nullptr;
  // Copied bytes ever appended: the stream position behind the last block.
  uint64_t copied_position_ = 0;
  uint64_t done_position_ = 0;  // Copied bytes ever advanced over.
  uint64_t borrowed_bytes_ = 0;
  size_t size_bytes_ = 0;
  std::unique_ptr<BodyQueue> queue_;  // Null while no body is held.
  uint32_t first_done_bytes_ = 0;     // Bytes of the first block that are done.
};

}  // namespace orrery

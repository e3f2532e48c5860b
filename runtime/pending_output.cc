#include "runtime/pending_output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/mark.h"

namespace orrery {

OutputBlockPool::~OutputBlockPool() {
  ORRERY_CHECK_MSG(blocks_in_use_ == 0, "the block pool died before its blocks came back");
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

OutputBlockPool::Block* OutputBlockPool::Take() {
  ++blocks_in_use_;
  if (free_ == nullptr) return new Block;
  --free_count_;
  Block* block = std::exchange(free_, free_->next);
  block->next = nullptr;
  block->used_bytes = 0;
  return block;
}

void OutputBlockPool::Give(Block* block) {
  ORRERY_CHECK(blocks_in_use_ > 0);
  --blocks_in_use_;
  if (free_count_ >= free_blocks_max_) {
    delete block;
    return;
  }
  block->next = free_;
  free_ = block;
  ++free_count_;
}

std::unique_ptr<BodyQueue> OutputBlockPool::TakeQueue() {
  if (free_queues_.empty()) return std::make_unique<BodyQueue>();
  std::unique_ptr<BodyQueue> queue = std::move(free_queues_.back());
  free_queues_.pop_back();
  return queue;
}

void OutputBlockPool::Give(std::unique_ptr<BodyQueue> queue) {
  if (free_queues_.size() >= kFreeQueuesMax || queue->bodies.capacity() > kBodiesKept) return;
  queue->bodies.clear();
  queue->done = 0;
  free_queues_.push_back(std::move(queue));
}

PendingOutput::~PendingOutput() { GiveBlocks(); }

void PendingOutput::AddBlock() {
  Block* block = pool_.Take();
  if (last_ == nullptr) {
    first_ = block;
  } else {
    last_->next = block;
  }
  last_ = block;
}

void PendingOutput::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->used_bytes == kBlockBytes) AddBlock();
    const size_t part = std::min<size_t>(bytes.size(), kBlockBytes - last_->used_bytes);
    std::memcpy(last_->bytes + last_->used_bytes, bytes.data(), part);
    Commit(part);
    bytes.remove_prefix(part);
  }
}

void PendingOutput::AppendBody(SharedBytes body) {
  if (body.empty()) return;
  size_bytes_ += body.size();
  borrowed_bytes_ += body.size();
  if (queue_ == nullptr) queue_ = pool_.TakeQueue();
  queue_->bodies.push_back({.position = copied_position_, .bytes = std::move(body)});
}

template <typename Visit>
void PendingOutput::ForEachPart(Visit visit) const {
  const Block* block = first_;
  size_t block_offset = first_done_bytes_;
  uint64_t position = done_position_;
  const std::span<const BodyQueue::Body> bodies = Bodies();
  size_t body = 0;
  size_t body_offset = queue_ == nullptr ? 0 : queue_->front_done_bytes;
  for (;;) {
    const uint64_t run_end = body < bodies.size() ? bodies[body].position : copied_position_;
    while (position < run_end) {
      const size_t part = std::min<uint64_t>(block->used_bytes - block_offset, run_end - position);
      const SharedBytes* none = nullptr;
      if (part > 0 && !visit(block->bytes + block_offset, part, none)) return;
      position += part;
      block_offset += part;
      if (block_offset == block->used_bytes && block->next != nullptr) {
        block = block->next;
        block_offset = 0;
      }
    }
    if (body == bodies.size()) return;
    const SharedBytes& bytes = bodies[body].bytes;
    if (!visit(bytes.data() + body_offset, bytes.size() - body_offset, &bytes)) return;
    ++body;
    body_offset = 0;
  }
}

void PendingOutput::TakeAll(PendingOutput& other) {
  other.ForEachPart([this](const char* bytes, size_t length, const SharedBytes* body) {
    if (body == nullptr) {
      Append({bytes, length});
    } else {
      ORRERY_CHECK(length == body->size());  // Nothing of it has been sent.
      AppendBody(*body);
    }
    return true;
  });
  other.Advance(other.size_bytes());
}

Chunk PendingOutput::Gather(std::span<iovec> iovecs, size_t body_bytes_end) const {
  ORRERY_CHECK(!iovecs.empty());
  Chunk chunk;
  ForEachPart([&](const char* bytes, size_t length, const SharedBytes* body) {
    if (chunk.iovecs == iovecs.size()) return false;
    if (body != nullptr && length >= body_bytes_end && chunk.iovecs > 0) return false;
    ORRERY_DCHECK(length > 0);
    // iovec is shared by reads and writes, so its base is not const; a send only reads it.
    iovecs[chunk.iovecs++] = {.iov_base = const_cast<char*>(bytes), .iov_len = length};
    chunk.bytes += length;
    return true;
  });
  return chunk;
}

PinnedChunk PendingOutput::GatherPinned(std::span<iovec> iovecs, std::span<SharedBytes> bodies,
                                        std::span<char> copies) const {
  PinnedChunk chunk;
  ForEachPart([&](const char* bytes, size_t length, const SharedBytes* body) {
    if (chunk.iovecs == iovecs.size()) return false;
    size_t part = length;
    if (body != nullptr) {
      if (chunk.bodies == bodies.size()) return false;
      bodies[chunk.bodies++] = *body;
      chunk.body_bytes_max = std::max(chunk.body_bytes_max, length);
    } else {
      part = std::min(length, copies.size());
      if (part == 0) return false;
      std::memcpy(copies.data(), bytes, part);
      bytes = copies.data();
      copies = copies.subspan(part);
    }
    iovecs[chunk.iovecs++] = {.iov_base = const_cast<char*>(bytes), .iov_len = part};
    chunk.bytes += part;
    return part == length;
  });
  return chunk;
}

bool PendingOutput::BorrowsNearFront(size_t body_bytes_min, size_t bodies_max,
                                     size_t copied_bytes_max) const {
  const std::span<const BodyQueue::Body> bodies = Bodies();
  size_t body_offset = queue_ == nullptr ? 0 : queue_->front_done_bytes;
  for (const BodyQueue::Body& body : bodies.first(std::min(bodies_max, bodies.size()))) {
    if (body.position - done_position_ > copied_bytes_max) return false;
    if (body.bytes.size() - body_offset >= body_bytes_min) return true;
    body_offset = 0;
  }
  return false;
}

void PendingOutput::AdvanceCopied(size_t bytes) {
  done_position_ += bytes;
  while (bytes > 0) {
    const size_t part = std::min<size_t>(bytes, first_->used_bytes - first_done_bytes_);
    first_done_bytes_ += static_cast<uint32_t>(part);
    bytes -= part;
    const bool block_done = first_done_bytes_ == first_->used_bytes;
    if (block_done && first_ != last_) {
      pool_.Give(std::exchange(first_, first_->next));
      first_done_bytes_ = 0;
    } else {
      ORRERY_CHECK(bytes == 0);
    }
  }
}

void PendingOutput::PopFrontBody() {
  auto& [bodies, done, front_done_bytes] = *queue_;
  bodies[done++].bytes = {};
  front_done_bytes = 0;
  if (done == bodies.size()) return pool_.Give(std::move(queue_));
  // Amortised O(1): released entries are dropped when they are at least half of all.
  if (done * 2 >= bodies.size()) {
    bodies.erase(bodies.begin(), bodies.begin() + static_cast<std::ptrdiff_t>(done));
    done = 0;
  }
}

void PendingOutput::Advance(size_t bytes) {
  ORRERY_CHECK_OP(bytes, <=, size_bytes_);
  if (bytes == size_bytes_ && queue_ == nullptr) {  // The usual end of a reply.
    done_position_ = copied_position_;
    size_bytes_ = 0;
    return GiveBlocks();
  }
  size_bytes_ -= bytes;
  while (bytes > 0) {
    const size_t copied = std::min<uint64_t>(bytes, FrontRunEnd() - done_position_);
    AdvanceCopied(copied);
    bytes -= copied;
    if (bytes == 0) break;
    const size_t body_left = Bodies().front().bytes.size() - queue_->front_done_bytes;
    const size_t part = std::min(bytes, body_left);
    queue_->front_done_bytes += part;
    bytes -= part;
    if (part == body_left) PopFrontBody();
  }
  const bool inside_body = queue_ != nullptr && queue_->front_done_bytes > 0;
  ORRERY_MARK_IF(inside_body, "output.stops-inside-a-body");
  ORRERY_MARK_IF(!inside_body && first_done_bytes_ > 0 && size_bytes_ > 0,
                 "output.stops-inside-copied-bytes");
  if (size_bytes_ == 0) GiveBlocks();
}

void PendingOutput::GiveBlocks() {
  while (first_ != nullptr) pool_.Give(std::exchange(first_, first_->next));
  last_ = nullptr;
  first_done_bytes_ = 0;
}

}  // namespace orrery

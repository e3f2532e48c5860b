#include "tests/acceptor/buffers.h"

#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"
#include "tests/acceptor/program.h"

namespace orrery::acceptor {
namespace {

constexpr size_t kSharedBytes = Program::kBuffers * sizeof(io_uring_buf);
// Of a buffer ring's registration; younger than our liburing.
constexpr uint16_t kBuffersIncremental = 2;

}  // namespace

Buffers::Buffers(Ring& ring, bool incremental)
    : incremental_(incremental), memory_(size_t{Program::kBuffers} * Program::kBufferBytes) {
  void* shared =
      ::mmap(nullptr, kSharedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ORRERY_CHECK(shared != MAP_FAILED);
  shared_ = static_cast<io_uring_buf_ring*>(shared);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(shared);  // The ABI carries a pointer so.
  registration.ring_entries = Program::kBuffers;
  registration.bgid = kGroup;
  if (incremental) registration.pad = kBuffersIncremental;
  ORRERY_CHECK(ring.Register(IORING_REGISTER_PBUF_RING, &registration, 1).has_value());
  for (unsigned id = 0; id < Program::kBuffers; ++id) held_.push_back(static_cast<uint16_t>(id));
}

Buffers::~Buffers() { ::munmap(shared_, kSharedBytes); }

void Buffers::Publish(size_t count) {
  for (; count > 0 && !held_.empty(); --count) {
    const uint16_t id = held_.front();
    held_.pop_front();
    published_.push_back({.id = id});
    ::io_uring_buf_ring_add(shared_, memory_.data() + size_t{id} * Program::kBufferBytes,
                            Program::kBufferBytes, id, static_cast<int>(Program::kBuffers - 1), 0);
    ::io_uring_buf_ring_advance(shared_, 1);
  }
}

std::string Buffers::Take(uint16_t id, int32_t bytes, bool more) {
  if (published_.empty() || published_.front().id != id) return "(a buffer out of turn)";
  std::string taken;
  auto left = static_cast<size_t>(std::max(bytes, 0));
  do {
    if (published_.empty()) return "(more than there are buffers)";
    Published& buffer = published_.front();
    const size_t room = Program::kBufferBytes - buffer.used;
    const size_t part = std::min(room, left);
    const auto* start = reinterpret_cast<const char*>(  // Received bytes are text to us.
        memory_.data() + size_t{buffer.id} * Program::kBufferBytes + buffer.used);
    taken.append(start, part);
    left -= part;
    buffer.used += part;
    if (left == 0 && incremental_ && more) break;
    held_.push_back(buffer.id);
    published_.pop_front();
  } while (left > 0);
  return taken;
}

}  // namespace orrery::acceptor

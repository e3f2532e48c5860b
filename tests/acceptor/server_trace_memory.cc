#include "tests/acceptor/server_trace_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <variant>

#include "base/check.h"

namespace orrery::acceptor {
namespace {

constexpr uint64_t kPageBytes = 4096;

}  // namespace

Pages::Pages(uint64_t bytes) : bytes_((bytes + kPageBytes - 1) / kPageBytes * kPageBytes) {
  ORRERY_CHECK_OP(bytes, <=, kBytesMax);
  if (bytes_ == 0) return;
  void* const memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ORRERY_CHECK_MSG(memory != MAP_FAILED, "no address space for the trace's memory");
  memory_ = static_cast<std::byte*>(memory);
}

Pages::~Pages() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

BufferArena::BufferArena(const ServerTrace& trace)
    : extent_(ExtentOf(trace)), pages_(fits() ? extent_.end - extent_.begin : 0) {}

BufferArena::Extent BufferArena::ExtentOf(const ServerTrace& trace) {
  Extent extent{.begin = ~uint64_t{0}, .end = 0};
  for (const TraceEvent& event : trace.events) {
    const auto* const publication = std::get_if<TracedPublication>(&event);
    if (publication == nullptr) continue;
    for (const TracedBuffer& buffer : publication->buffers) {
      extent.begin = std::min(extent.begin, buffer.address);
      extent.end = std::max(extent.end, buffer.address + buffer.bytes);
    }
  }
  return extent.begin <= extent.end ? extent : Extent{};
}

uint64_t LongestSend(const ServerTrace& trace) {
  uint64_t longest = 0;
  for (const TraceEvent& event : trace.events) {
    const auto* const enter = std::get_if<TracedEnter>(&event);
    if (enter == nullptr) continue;
    for (const TracedSubmission& submission : enter->submissions) {
      longest = std::max(longest, submission.payload.hash.bytes());
    }
  }
  return longest;
}

}  // namespace orrery::acceptor

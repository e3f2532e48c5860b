// Reading and writing an eventfd. Its position is ignored, as the kernel does.
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {

Attempt TryEventFdRead(RingCore& ring, Request& request) {
  OpenFile& file = *request.file;
  if (request.total_bytes < sizeof file.event_count) return Attempt::Done(-EINVAL);  // Fact P8.
  if (file.event_count == 0) return Attempt::Wait();
  const auto* value = reinterpret_cast<const std::byte*>(&file.event_count);  // Its bytes.
  ForEachPiece(request, sizeof file.event_count, [&](std::byte* address, size_t count) {
    std::memcpy(address, value, count);
    value += count;
  });
  file.event_count = 0;
  ring.machine.Wake(file, POLLOUT);
  return Attempt::Done(static_cast<int64_t>(request.done_bytes));
}

Attempt TryEventFdReadMultishot(RingCore& ring, Request& request) {
  OpenFile& file = *request.file;
  for (;;) {
    BufferGroup* const group = ring.FindGroup(request.buffer_group);
    if (group == nullptr || group->empty()) return Attempt::Done(-ENOBUFS);
    const BufferGroup::Buffer buffer = group->front();
    if (buffer.length < sizeof file.event_count) return Attempt::Done(-EINVAL);  // Fact P8.
    if (file.event_count == 0) return Attempt::Wait();
    group->Open();
    std::memcpy(buffer.address, &file.event_count, sizeof file.event_count);
    const HandedBuffer handed = group->HandOver(sizeof file.event_count);
    file.event_count = 0;
    ring.machine.Wake(file, POLLOUT);
    constexpr auto kResult = static_cast<int32_t>(sizeof file.event_count);
    if (!ring.PostMore(request, kResult, handed.flags, handed)) {
      return Attempt::Done(kResult, handed.flags, handed);
    }
    // It tries again only when it is woken, or finds that there is more when it comes to wait.
    if (file.event_count == 0 || request.state != RequestState::kArmed) return Attempt::Wait();
  }
}

Attempt TryEventFdWrite(RingCore& ring, Request& request) {
  OpenFile& file = *request.file;
  uint64_t value = 0;
  if (request.total_bytes < sizeof value) return Attempt::Done(-EINVAL);
  size_t copied = 0;
  for (const iovec& part : request.iovecs) {
    const size_t count = std::min(part.iov_len, sizeof value - copied);
    if (count > 0) std::memcpy(reinterpret_cast<std::byte*>(&value) + copied, part.iov_base, count);
    copied += count;
  }
  if (value == UINT64_MAX) return Attempt::Done(-EINVAL);
  if (UINT64_MAX - file.event_count <= value) return Attempt::Wait();
  file.event_count += value;
  ring.machine.Wake(file, POLLIN);
  return Attempt::Done(sizeof value);
}

void AddToEventFd(Machine& machine, OpenFile& file) {
  if (file.event_count == UINT64_MAX - 1) return;  // eventfd(2), EAGAIN
  ++file.event_count;
  machine.Wake(file, POLLIN);
}

}  // namespace orrery::model

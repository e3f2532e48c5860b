// PIPE, and reading, writing and polling what it makes.
#include "kernel_model/pipe.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr uint32_t kReadable = POLLIN | POLLRDNORM;
constexpr uint32_t kWritable = POLLOUT | POLLWRNORM;
constexpr uint32_t kClosed = 0;  // pipe_release() wakes everybody.

bool Reads(const Request& request) {
  switch (request.opcode) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case kOpReadvFixed:
    case kOpReadMultishot:
      return true;
    default:
      return false;
  }
}

// What a read of so many bytes would move now; -EAGAIN: wait.
int64_t Readable(const Pipe& pipe, size_t wanted) {
  if (!pipe.empty() || wanted == 0) return static_cast<int64_t>(std::min(wanted, pipe.size()));
  return pipe.writer == nullptr ? 0 : -EAGAIN;
}

void WakeWriter(Machine& machine, const Pipe& pipe) {
  if (pipe.writer != nullptr) machine.Wake(*pipe.writer, kWritable);
}

// One read into the next buffer of the group. Fact B5: the end takes one as well, but not of a
// multishot (fact M15).
Attempt ReadIntoBuffer(RingCore& ring, Request& request) {
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) return Attempt::Done(-ENOBUFS);
  if (group->incremental()) StopUnknown("incremental buffers with a pipe, group", group->group());
  const BufferGroup::Buffer buffer = group->front();
  const uint32_t asked = AskedFor(request);
  const size_t room = asked != 0 ? std::min(asked, buffer.length) : buffer.length;
  Pipe& pipe = *request.file->pipe;
  const int64_t bytes = Readable(pipe, room);
  if (bytes == -EAGAIN) {
    NoteChosen(request, room);
    return Attempt::Wait();
  }
  if (bytes == 0 && request.multishot) return Attempt::Done(0);
  request.total_bytes = room;
  group->Open();
  const bool room_again = pipe.Read(buffer.address, static_cast<size_t>(bytes));
  const HandedBuffer handed = group->HandOver(static_cast<size_t>(bytes));
  if (room_again) WakeWriter(ring.machine, pipe);
  return Attempt::Done(bytes, handed.flags, handed);
}

Attempt ReadMultishot(RingCore& ring, Request& request) {
  for (;;) {
    const Attempt attempt = ReadIntoBuffer(ring, request);
    if (attempt.kind != Attempt::Kind::kDone || attempt.result <= 0 ||
        !ring.PostMore(request, attempt.result, attempt.flags, attempt.buffer)) {
      return attempt;
    }
    // What is more is for its task work, which looks before it tries (io_poll_check_events()).
    if (request.state != RequestState::kArmed) return Attempt::Wait();
    if ((PipeReadiness(*request.file) & request.wait_events) == 0) return Attempt::Wait();
  }
}

Attempt Read(RingCore& ring, Request& request) {
  if (request.multishot) return ReadMultishot(ring, request);
  if (request.buffer_select) return ReadIntoBuffer(ring, request);
  Pipe& pipe = *request.file->pipe;
  const int64_t bytes = Readable(pipe, request.total_bytes);
  if (bytes == -EAGAIN) return Attempt::Wait();
  if (Faults(request, static_cast<size_t>(bytes))) return Attempt::Done(-EFAULT);
  bool room_again = false;
  ForEachPiece(request, static_cast<size_t>(bytes),
               [&](std::byte* address, size_t count) { room_again |= pipe.Read(address, count); });
  if (room_again) WakeWriter(ring.machine, pipe);
  return Attempt::Done(bytes);
}

Attempt Write(RingCore& ring, Request& request) {
  Pipe& pipe = *request.file->pipe;
  if (request.total_bytes == 0) return Attempt::Done(0);
  if (pipe.reader == nullptr) return Broken(ring, request, -EPIPE);
  if (Faults(request, request.total_bytes)) return Attempt::Done(-EFAULT);
  const size_t moved = pipe.Write(request);
  // pipe_write(): whoever polls hears of each attempt.
  ring.machine.Wake(*pipe.reader, kReadable);
  return moved == 0 ? Attempt::Wait() : Attempt::Done(static_cast<int64_t>(moved));
}

// Puts one end where the request says: its descriptor or slot, or -errno.
int32_t Install(RingCore& ring, OpenFile& end, uint32_t file_index, uint32_t flags) {
  end.open_flags |= flags & O_NONBLOCK;
  Machine& machine = ring.machine;
  if (file_index != 0) {
    const int32_t slot = ring.InstallFixed(end, file_index);
    const bool chosen = file_index == IORING_FILE_INDEX_ALLOC;
    return slot < 0 || chosen ? slot : static_cast<int32_t>(file_index - 1);
  }
  if (!machine.descriptors.full()) return machine.InsertDescriptor(end, flags);
  machine.DropReference(end);
  return -EMFILE;
}

void Uninstall(RingCore& ring, int32_t number, uint32_t file_index) {
  if (file_index == 0) {
    ring.machine.CloseDescriptor(number);
  } else if (OpenFile* const file =
                 ring.fixed_files->Replace(static_cast<size_t>(number), nullptr)) {
    ring.machine.DropReference(*file);
  }
}

}  // namespace

size_t Pipe::Write(Request& request) {
  // As in pipe_write().
  const size_t wanted = request.total_bytes;
  const size_t tail = wanted % kPageBytes;
  size_t moved = 0;
  if (tail > 0 && !pages_.empty() && pages_.back().end + tail <= kPageBytes) {
    pages_.back().end += tail;
    pages_.back().left += tail;
    moved = tail;
  }
  while (moved < wanted && !full()) {
    const size_t count = std::min(kPageBytes, wanted - moved);
    pages_.push_back({.end = count, .left = count});
    moved += count;
  }
  ForEachPiece(request, moved,
               [&](const std::byte* address, size_t count) { bytes_.Append(address, count); });
  return moved;
}

bool Pipe::Read(std::byte* bytes, size_t count) {
  bytes_.Take(bytes, count);
  bool was_full = false;
  while (count > 0) {
    Page& page = pages_.front();
    const size_t taken = std::min(count, page.left);
    page.left -= taken;
    count -= taken;
    if (page.left > 0) break;
    was_full |= full();
    pages_.pop_front();
  }
  return was_full;
}

Attempt TryPipe(RingCore& ring, Request& request) {
  if (request.address == nullptr) return Attempt::Done(-EFAULT);
  Machine& machine = ring.machine;
  auto* const pipe = new Pipe();
  std::array<OpenFile*, 2> files{};
  for (OpenFile*& file : files) {
    file = &machine.NewFile(FileKind::kPipe);
    file->pipe = pipe;
  }
  pipe->reader = files[0];
  pipe->writer = files[1];
  std::array<int32_t, 2> numbers{};
  for (size_t end = 0; end < files.size(); ++end) {
    const bool named = request.file_index != 0 && request.file_index != IORING_FILE_INDEX_ALLOC;
    const uint32_t index = request.file_index + (named ? static_cast<uint32_t>(end) : 0);
    numbers[end] = Install(ring, *files[end], index, static_cast<uint32_t>(request.argument));
    if (numbers[end] >= 0) continue;
    if (end == 0) {
      machine.DropReference(*files[1]);
    } else {
      Uninstall(ring, numbers[0], request.file_index);
    }
    return Attempt::Done(numbers[end]);
  }
  std::memcpy(request.address, numbers.data(), sizeof numbers);
  return Attempt::Done(0);
}

Attempt TryPipeTransfer(RingCore& ring, Request& request) {
  const bool is_reader = request.file->pipe->reader == request.file;
  if (Reads(request) != is_reader) {  // Fact J4; a buffer is chosen before.
    const BufferGroup* const group =
        request.buffer_select ? ring.FindGroup(request.buffer_group) : nullptr;
    const bool none = request.buffer_select && (group == nullptr || group->empty());
    return Attempt::Done(none ? -ENOBUFS : -EBADF);
  }
  return is_reader ? Read(ring, request) : Write(ring, request);
}

uint32_t PipeReadiness(const OpenFile& file) {
  // As in pipe_poll().
  const Pipe& pipe = *file.pipe;
  if (pipe.reader == &file) {
    return (pipe.empty() ? 0 : kReadable) | (pipe.writer == nullptr ? POLLHUP : 0);
  }
  return (pipe.full() ? 0 : kWritable) | (pipe.reader == nullptr ? POLLERR : 0);
}

void ClosePipe(Machine& machine, OpenFile& file) {
  Pipe* const pipe = file.pipe;
  OpenFile*& end = pipe->reader == &file ? pipe->reader : pipe->writer;
  end = nullptr;
  OpenFile* const other = pipe->reader != nullptr ? pipe->reader : pipe->writer;
  if (other == nullptr) {
    delete pipe;
  } else {
    machine.Wake(*other, kClosed);
  }
}

}  // namespace orrery::model

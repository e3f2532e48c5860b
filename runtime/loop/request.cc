#include "runtime/loop/request.h"

#include <utility>

namespace orrery {
namespace {

Request WithBuffer(Request::Kind kind, SharedFile file, Buffer buffer, uint64_t offset) {
  Request request;
  request.kind = kind;
  request.file = std::move(file);
  request.buffer = std::move(buffer);
  request.offset = offset;
  // Bytes that were received or read are there, or in the file, for whoever asks next.
  request.cancel_if_given_up = kind != Request::Kind::kSend && kind != Request::Kind::kWriteAt;
  return request;
}

Request WithFlags(Request::Kind kind, SharedFile file, uint32_t flags, bool cancel_if_given_up) {
  Request request;
  request.kind = kind;
  request.file = std::move(file);
  request.flags = flags;
  request.cancel_if_given_up = cancel_if_given_up;
  return request;
}

}  // namespace

Request Request::Receive(SharedFile socket, Buffer buffer) {
  return WithBuffer(Kind::kReceive, std::move(socket), std::move(buffer), 0);
}
Request Request::ReceiveExactly(SharedFile socket, Buffer buffer) {
  return WithBuffer(Kind::kReceiveExactly, std::move(socket), std::move(buffer), 0);
}
Request Request::Send(SharedFile socket, Buffer buffer) {
  return WithBuffer(Kind::kSend, std::move(socket), std::move(buffer), 0);
}
Request Request::ReadAt(SharedFile file, Buffer buffer, uint64_t offset) {
  return WithBuffer(Kind::kReadAt, std::move(file), std::move(buffer), offset);
}
Request Request::WriteAt(SharedFile file, Buffer buffer, uint64_t offset) {
  return WithBuffer(Kind::kWriteAt, std::move(file), std::move(buffer), offset);
}
Request Request::Sync(SharedFile file, bool data_only) {
  return WithFlags(Kind::kSync, std::move(file), data_only ? IORING_FSYNC_DATASYNC : 0, false);
}
Request Request::Accept(SharedFile listener, int flags) {
  return WithFlags(Kind::kAccept, std::move(listener), static_cast<uint32_t>(flags), true);
}
Request Request::Connect(SharedFile socket, std::span<const std::byte> address) {
  Request request = WithFlags(Kind::kConnect, std::move(socket), 0, true);
  // Bytes are bytes.
  request.name.assign(reinterpret_cast<const char*>(address.data()), address.size());
  return request;
}
Request Request::Open(std::string path, int flags, mode_t mode) {
  Request request = WithFlags(Kind::kOpen, {}, static_cast<uint32_t>(flags), false);
  request.name = std::move(path);
  request.mode = mode;
  return request;
}
Request Request::Close(SharedFile file) {
  return WithFlags(Kind::kClose, std::move(file), 0, false);
}
Request Request::Poll(SharedFile file, uint32_t events) {
  return WithFlags(Kind::kPoll, std::move(file), events, true);
}
Request Request::Timeout(Nanoseconds time) {
  Request request;
  request.kind = Kind::kTimeout;
  request.time = time;
  return request;
}
Request Request::Raw(const io_uring_sqe& sqe, std::unique_ptr<RequestMemory> memory,
                     bool cancel_if_given_up) {
  Request request;
  request.kind = Kind::kRaw;
  request.sqe = sqe;
  request.memory = std::move(memory);
  request.cancel_if_given_up = cancel_if_given_up;
  return request;
}

std::string_view NameOf(Request::Kind kind) {
  switch (kind) {
    case Request::Kind::kReceive:
      return "receive";
    case Request::Kind::kReceiveExactly:
      return "receive_exactly";
    case Request::Kind::kSend:
      return "send";
    case Request::Kind::kReadAt:
      return "read_at";
    case Request::Kind::kWriteAt:
      return "write_at";
    case Request::Kind::kSync:
      return "sync";
    case Request::Kind::kAccept:
      return "accept";
    case Request::Kind::kConnect:
      return "connect";
    case Request::Kind::kOpen:
      return "open";
    case Request::Kind::kClose:
      return "close";
    case Request::Kind::kPoll:
      return "poll";
    case Request::Kind::kTimeout:
      return "timeout";
    case Request::Kind::kRaw:
      return "raw";
  }
  return "?";
}

}  // namespace orrery

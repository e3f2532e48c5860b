#include "runtime/coro/socket.h"

#include <liburing.h>

#include <cerrno>

#include "base/check.h"

namespace orrery::coro {
namespace {

// Not in the headers of liburing 2.3; kernel ABI since Linux 6.11.
constexpr uint8_t kOpBind = 56;

// Makes a socket.
class SocketAwaiter final : public IoAwaiter {
 public:
  SocketAwaiter(IoContext& context, int family, int type) : IoAwaiter(context) {
    io_uring_prep_socket(&sqe(), family, type | SOCK_CLOEXEC, 0, 0);
  }
  std::expected<Descriptor, Errno> await_resume() {
    if (!result()) return std::unexpected(result().error());
    return Descriptor(io(), static_cast<int>(*result()));
  }

 private:
  void Start() override { io().operations().Start(*this); }
};

class ConnectAwaiter final : public DoneAwaiter {
 public:
  ConnectAwaiter(Descriptor& descriptor, const SocketAddress& address, Nanoseconds deadline)
      : DoneAwaiter(descriptor, Lane::kAny, deadline), address_(address) {
    io_uring_prep_connect(&sqe(), number(), address_.data(), address_.bytes());
  }

 private:
  SocketAddress address_;
};

class BindAwaiter final : public DoneAwaiter {
 public:
  BindAwaiter(Descriptor& descriptor, const SocketAddress& address)
      : DoneAwaiter(descriptor, Lane::kAny, kNever), address_(address) {
    io_uring_prep_rw(kOpBind, &sqe(), number(), address_.data(), 0, address_.bytes());
  }

 private:
  SocketAddress address_;
};

uint16_t PortOf(const Descriptor& descriptor) {
  const std::expected<uint16_t, Errno> port =
      descriptor.io().kernel().LocalPort(descriptor.number());
  ORRERY_CHECK_MSG(port.has_value(), "a bound socket has a port");
  return *port;
}

}  // namespace

// --- Streams

ReceiveAwaiter::ReceiveAwaiter(Descriptor& descriptor, std::span<char> buffer, Nanoseconds deadline)
    : CountAwaiter(descriptor, Lane::kInput, deadline) {
  ORRERY_CHECK_MSG(!buffer.empty(), "nothing cannot be told from the end");
  io_uring_prep_recv(&sqe(), number(), buffer.data(), buffer.size(), 0);
}

ReceiveExactlyAwaiter::ReceiveExactlyAwaiter(Descriptor& descriptor, std::span<char> buffer,
                                             Nanoseconds deadline)
    : DescriptorAwaiter(descriptor, Lane::kInput, deadline), buffer_(buffer) {
  ORRERY_CHECK_MSG(!buffer.empty(), "nothing cannot be told from the end");
  io_uring_prep_recv(&sqe(), number(), buffer.data(), buffer.size(), 0);
}

RingOperation::Next ReceiveExactlyAwaiter::OnProgress(const Completion& completion) {
  if (!completion.ok() || completion.value() == 0) return Next::kDone;
  done_ += completion.value();
  if (done_ == buffer_.size()) return Next::kDone;
  const std::span<char> rest = buffer_.subspan(done_);
  io_uring_prep_recv(&sqe(), number(), rest.data(), rest.size(), 0);
  return Next::kAgain;
}

std::expected<size_t, Errno> ReceiveExactlyAwaiter::await_resume() const {
  if (!result()) return std::unexpected(result().error());
  return done_;
}

SendAllAwaiter::SendAllAwaiter(Descriptor& descriptor, std::string_view bytes, Nanoseconds deadline)
    : DescriptorAwaiter(descriptor, Lane::kOutput, deadline), left_(bytes) {
  io_uring_prep_send(&sqe(), number(), left_.data(), left_.size(), MSG_NOSIGNAL);
}

RingOperation::Next SendAllAwaiter::OnProgress(const Completion& completion) {
  if (!completion.ok()) return Next::kDone;
  left_.remove_prefix(completion.value());
  if (left_.empty()) return Next::kDone;
  io_uring_prep_send(&sqe(), number(), left_.data(), left_.size(), MSG_NOSIGNAL);
  return Next::kAgain;
}

std::expected<void, Errno> SendAllAwaiter::await_resume() const {
  if (!result()) return std::unexpected(result().error());
  return {};
}

ShutdownAwaiter::ShutdownAwaiter(Descriptor& descriptor, int how)
    : DoneAwaiter(descriptor, Lane::kAny, kNever) {
  io_uring_prep_shutdown(&sqe(), number(), how);
}

std::expected<Listener, Errno> Listener::Bind(IoContext& io, const ListenOptions& options) {
  const std::expected<int, Errno> listener = io.kernel().Listen(options);
  if (!listener) return std::unexpected(listener.error());
  return Listener(Descriptor(io, *listener));
}

uint16_t Listener::port() const { return PortOf(descriptor_); }

AcceptAwaiter::AcceptAwaiter(Descriptor& listener, Nanoseconds deadline)
    : DescriptorAwaiter(listener, Lane::kAny, deadline) {
  io_uring_prep_accept(&sqe(), number(), nullptr, nullptr, SOCK_CLOEXEC);
}

std::expected<Connection, Errno> AcceptAwaiter::await_resume() {
  if (!result()) return std::unexpected(result().error());
  return Connection(Descriptor(io(), static_cast<int>(*result())));
}

Task<std::expected<Connection, Errno>> Connect(IoContext& io, SocketAddress address,
                                               Nanoseconds deadline) {
  std::expected<Descriptor, Errno> socket =
      co_await SocketAwaiter(io, address.family(), SOCK_STREAM);
  if (!socket) co_return std::unexpected(socket.error());
  const std::expected<void, Errno> connected = co_await ConnectAwaiter(*socket, address, deadline);
  // A socket whose connect was cancelled is good for nothing any more (fact A13): it is closed.
  if (!connected) co_return std::unexpected(connected.error());
  co_return Connection(*std::move(socket));
}

// --- Datagrams

ReceiveFromAwaiter::ReceiveFromAwaiter(Descriptor& descriptor, std::span<char> buffer,
                                       Nanoseconds deadline)
    : DescriptorAwaiter(descriptor, Lane::kInput, deadline),
      part_{.iov_base = buffer.data(), .iov_len = buffer.size()} {
  message_.msg_name = from_.data();
  message_.msg_namelen = SocketAddress::kBytesMax;
  message_.msg_iov = &part_;
  message_.msg_iovlen = 1;
  io_uring_prep_recvmsg(&sqe(), number(), &message_, 0);
}

std::expected<Received, Errno> ReceiveFromAwaiter::await_resume() {
  if (!result()) return std::unexpected(result().error());
  from_.set_bytes(message_.msg_namelen);
  return Received{
      .bytes = *result(), .truncated = (message_.msg_flags & MSG_TRUNC) != 0, .from = from_};
}

SendToAwaiter::SendToAwaiter(Descriptor& descriptor, std::string_view bytes,
                             const SocketAddress& to, Nanoseconds deadline)
    : CountAwaiter(descriptor, Lane::kAny, deadline),
      to_(to),
      // The kernel only reads it; iovec serves both directions.
      part_{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()} {
  message_.msg_name = to_.data();
  message_.msg_namelen = to_.bytes();
  message_.msg_iov = &part_;
  message_.msg_iovlen = 1;
  io_uring_prep_sendmsg(&sqe(), number(), &message_, MSG_NOSIGNAL);
}

Task<std::expected<DatagramSocket, Errno>> DatagramSocket::Bind(IoContext& io,
                                                                SocketAddress address) {
  std::expected<Descriptor, Errno> socket =
      co_await SocketAwaiter(io, address.family(), SOCK_DGRAM);
  if (!socket) co_return std::unexpected(socket.error());
  const std::expected<void, Errno> bound = co_await BindAwaiter(*socket, address);
  if (!bound) co_return std::unexpected(bound.error());
  co_return DatagramSocket(*std::move(socket));
}

uint16_t DatagramSocket::port() const { return PortOf(descriptor_); }

}  // namespace orrery::coro

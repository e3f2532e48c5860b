// Streams and datagrams for tasks: Connection, Listener, Connect, DatagramSocket.
//
//   Task<> Serve(Connection connection) {
//     std::array<char, 4096> buffer;
//     while (const auto count = co_await connection.ReadSome(buffer)) {
//       if (*count == 0) break;  // The peer has ended its stream.
//       const std::string_view data(buffer.data(), *count);
//       if (const auto sent = co_await connection.WriteAll(data); !sent) break;
//     }
//   }  // Closed here.
//
// Each function starts when it is awaited, and what it was given must be there until then; a frame
// keeps it. `deadline`, ETIME and ECANCELED are as in io_context.h. Other errors are the kernel's:
// after one, only closing makes sense. Buffers are read and written until the await is over, not
// longer. One task may read and another write at the same time; two of a kind are a programmer's
// error. Objects are closed by their destructors, which nothing may be in flight of.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>
#include <utility>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/address.h"
#include "runtime/coro/descriptor.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/task.h"
#include "runtime/ring/kernel.h"

namespace orrery::coro {

// --- What the functions below return. Results as in their comments.

class ReceiveAwaiter final : public CountAwaiter {
 public:
  ReceiveAwaiter(Descriptor& descriptor, std::span<char> buffer, Nanoseconds deadline);
};

class ReceiveExactlyAwaiter final : public DescriptorAwaiter {
 public:
  ReceiveExactlyAwaiter(Descriptor& descriptor, std::span<char> buffer, Nanoseconds deadline);
  std::expected<size_t, Errno> await_resume() const;

 private:
  Next OnProgress(const Completion& completion) override;
  std::span<char> buffer_;
  size_t done_ = 0;
};

class SendAllAwaiter final : public DescriptorAwaiter {
 public:
  SendAllAwaiter(Descriptor& descriptor, std::string_view bytes, Nanoseconds deadline);
  std::expected<void, Errno> await_resume() const;

 private:
  Next OnProgress(const Completion& completion) override;
  std::string_view left_;
};

class ShutdownAwaiter final : public DoneAwaiter {
 public:
  ShutdownAwaiter(Descriptor& descriptor, int how);
};

class AcceptAwaiter;

// --- Streams

class Connection {
 public:
  explicit Connection(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  // A std::expected<size_t, Errno>: how many bytes came, one at least; 0 at the stream's end.
  // REQUIRES: !buffer.empty().
  ReceiveAwaiter ReadSome(std::span<char> buffer, Nanoseconds deadline = kNever) {
    return ReceiveAwaiter(descriptor_, buffer, deadline);
  }
  // A std::expected<size_t, Errno>: buffer.size(), or fewer if the stream ended before. With an
  // error, it is unknown how many have come.
  ReceiveExactlyAwaiter ReadExactly(std::span<char> buffer, Nanoseconds deadline = kNever) {
    return ReceiveExactlyAwaiter(descriptor_, buffer, deadline);
  }
  // A std::expected<void, Errno>: the kernel has taken all of them. With an error, it is unknown
  // how many. EPIPE, ECONNRESET: the peer reads no more. Never a SIGPIPE.
  SendAllAwaiter WriteAll(std::string_view bytes, Nanoseconds deadline = kNever) {
    return SendAllAwaiter(descriptor_, bytes, deadline);
  }
  // A std::expected<void, Errno>. Ends the stream to the peer, which reads it after all that was
  // written; reading goes on. ENOTCONN: the peer has reset it.
  ShutdownAwaiter ShutdownWrite() { return ShutdownAwaiter(descriptor_, SHUT_WR); }
  // Also ends a read and a write in flight, of other tasks: with 0, and with EPIPE.
  ShutdownAwaiter ShutdownBoth() { return ShutdownAwaiter(descriptor_, SHUT_RDWR); }

  Descriptor& descriptor() { return descriptor_; }

 private:
  Descriptor descriptor_;
};

class Listener {
 public:
  // Bound and listening. EADDRINUSE; EINVAL: not a numeric address.
  static std::expected<Listener, Errno> Bind(IoContext& io, const ListenOptions& options);

  // A std::expected<Connection, Errno>: the next one. EMFILE, ENFILE, ENOBUFS and ENOMEM: a limit
  // was met, the connection waits; try again later. Several tasks may accept.
  AcceptAwaiter Accept(Nanoseconds deadline = kNever);
  // That was chosen, where the options said 0.
  uint16_t port() const;

 private:
  explicit Listener(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}
  Descriptor descriptor_;
};

class AcceptAwaiter final : public DescriptorAwaiter {
 public:
  AcceptAwaiter(Descriptor& listener, Nanoseconds deadline);
  std::expected<Connection, Errno> await_resume();
};

inline AcceptAwaiter Listener::Accept(Nanoseconds deadline) {
  return AcceptAwaiter(descriptor_, deadline);
}

// A connection to `address`. ECONNREFUSED; ETIMEDOUT and others of connect(2).
Task<std::expected<Connection, Errno>> Connect(IoContext& io, SocketAddress address,
                                               Nanoseconds deadline = kNever);

// --- Datagrams

// What ReceiveFrom() got.
struct Received {
  size_t bytes = 0;        // In the buffer,
  bool truncated = false;  // of a datagram that had more.
  SocketAddress from;
};

class ReceiveFromAwaiter final : public DescriptorAwaiter {
 public:
  ReceiveFromAwaiter(Descriptor& descriptor, std::span<char> buffer, Nanoseconds deadline);
  std::expected<Received, Errno> await_resume();

 private:
  // The kernel writes to these at the end.
  SocketAddress from_;
  iovec part_;
  msghdr message_{};
};

class SendToAwaiter final : public CountAwaiter {
 public:
  SendToAwaiter(Descriptor& descriptor, std::string_view bytes, const SocketAddress& to,
                Nanoseconds deadline);

 private:
  SocketAddress to_;
  iovec part_;
  msghdr message_{};
};

class DatagramSocket {
 public:
  // UDP, at an address of this machine; port 0 lets the kernel choose. EADDRINUSE. Needs Linux 6.11
  // (an older one answers EINVAL).
  static Task<std::expected<DatagramSocket, Errno>> Bind(IoContext& io, SocketAddress address);

  // A std::expected<Received, Errno>: the oldest datagram. ECONNREFUSED: an earlier one that was
  // sent found nobody.
  ReceiveFromAwaiter ReceiveFrom(std::span<char> buffer, Nanoseconds deadline = kNever) {
    return ReceiveFromAwaiter(descriptor_, buffer, deadline);
  }
  // A std::expected<size_t, Errno>: the datagram is on its way as a whole. EMSGSIZE: too large.
  SendToAwaiter SendTo(std::string_view bytes, const SocketAddress& to,
                       Nanoseconds deadline = kNever) {
    return SendToAwaiter(descriptor_, bytes, to, deadline);
  }
  uint16_t port() const;

 private:
  explicit DatagramSocket(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}
  Descriptor descriptor_;
};

}  // namespace orrery::coro

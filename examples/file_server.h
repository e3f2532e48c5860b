// A static-file server over HTTP/1.1, for browsers and curl: GET and HEAD, ranges, keep-alive.
//
// A file is sent piece by piece from one buffer, and a request is limited, so a connection costs
// the same whatever it asks for. A slow or silent client meets a deadline. Names with ".." are
// refused; links are followed.
#pragma once

#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/units.h"
#include "examples/http.h"
#include "runtime/coro/file.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/server.h"
#include "runtime/coro/signals.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::examples::file_server {

// From the last answer to a request's end; and for the client to take a piece.
inline constexpr Nanoseconds kRequestMax = 30 * kSecond;
inline constexpr Nanoseconds kPieceMax = 30 * kSecond;
inline constexpr Nanoseconds kLinger = 2 * kSecond;

// The next request, out of `input`, which keeps what came after it. The error is the status to
// answer; empty: the stream has ended, or time is up.
inline coro::Task<std::expected<http::Request, std::string_view>> ReadRequest(
    coro::IoContext& io, coro::Connection& connection, std::string& input) {
  const Nanoseconds deadline = io.now() + kRequestMax;
  std::array<char, 2 * kKiB> buffer;
  for (;;) {
    auto request = http::Request::Take(input);
    if (!request) co_return std::unexpected(request.error());
    if (request->has_value()) co_return **std::move(request);
    const auto count = co_await connection.ReadSome(buffer, deadline);
    if (!count || *count == 0) co_return std::unexpected(std::string_view());
    input.append(buffer.data(), *count);
  }
}

// An answer without a file. Whether it was sent.
inline coro::Task<bool> SendStatus(coro::IoContext& io, coro::Connection& connection,
                                   std::string_view status, std::string_view more_headers = "") {
  std::string text = "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 0\r\n";
  text.append(more_headers).append("\r\n");
  const auto sent = co_await connection.WriteAll(text, io.now() + kPieceMax);
  co_return sent.has_value();
}

// Sends bytes [from, from + count) of the file. Whether all of them were.
inline coro::Task<bool> SendPart(coro::IoContext& io, coro::Connection& connection,
                                 coro::File& file, uint64_t from, uint64_t count) {
  std::array<char, 16 * kKiB> buffer;
  while (count > 0) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), count);
    const auto read = co_await file.ReadAt(std::span(buffer).first(wanted), from);
    if (!read || *read == 0) co_return false;  // The disk failed, or the file became shorter.
    const std::string_view piece(buffer.data(), *read);
    const auto sent = co_await connection.WriteAll(piece, io.now() + kPieceMax);
    if (!sent) co_return false;
    from += *read;
    count -= *read;
  }
  co_return true;
}

// Answers one request. Whether another one may follow on this connection.
inline coro::Task<bool> Answer(coro::IoContext& io, coro::Connection& connection,
                               const std::string& root, const http::Request& request) {
  auto file = co_await coro::File::Open(io, root + request.path, O_RDONLY);
  if (!file) {
    const bool missing = file.error() == ENOENT || file.error() == ENOTDIR ||
                         file.error() == EACCES || file.error() == ENAMETOOLONG;
    const bool sent =
        co_await SendStatus(io, connection, missing ? "404 Not Found" : "503 Service Unavailable");
    co_return sent;
  }
  const auto status = co_await file->Status();
  if (!status || !status->is_regular) {
    const bool sent = co_await SendStatus(io, connection, "404 Not Found");
    co_return sent;
  }
  const std::optional<http::Part> part = request.range.PartOf(status->bytes);
  if (!part) {
    const std::string size = "Content-Range: bytes */" + std::to_string(status->bytes) + "\r\n";
    const bool sent = co_await SendStatus(io, connection, "416 Range Not Satisfiable", size);
    co_return sent;
  }
  const std::string head = http::FileHead(request, *part, status->bytes);
  const auto sent = co_await connection.WriteAll(head, io.now() + kPieceMax);
  if (!sent) co_return false;
  if (request.method == "HEAD") co_return true;
  const bool all = co_await SendPart(io, connection, *file, part->from, part->count);
  co_return all;
}

inline coro::Task<> ServeOne(coro::IoContext& io, const std::string& root,
                             coro::Connection connection) {
  std::string input;
  for (bool again = true; again;) {
    const auto request = co_await ReadRequest(io, connection, input);
    if (!request && request.error().empty()) break;
    if (!request) {
      (void)co_await SendStatus(io, connection, request.error(), "Connection: close\r\n");
      break;
    }
    const bool answered = co_await Answer(io, connection, root, *request);
    if (!answered) co_return;  // The client must notice that something is missing.
    again = request->keep_alive;
  }
  co_await coro::EndGently(connection, io.now() + kLinger);
}

// Until it is asked to stop.
inline coro::Task<> Serve(coro::IoContext& io, coro::Listener& listener, std::string root) {
  const auto serve = [&io, &root](coro::Connection connection) {
    return ServeOne(io, root, std::move(connection));
  };
  co_await coro::ServeAll(io, listener, {}, serve);
}

inline coro::Task<int> Main(coro::IoContext& io, uint16_t port, std::string root) {
  auto listener = coro::Listener::Bind(io, {.port = port});
  if (!listener) {
    io.Log("cannot listen: " + listener.error().ToString());
    co_return 1;
  }
  auto signals = coro::SignalSet::Catch(io, {SIGINT, SIGTERM});
  if (!signals) co_return 1;
  std::printf("file_server: %s at http://127.0.0.1:%d/; Ctrl-C stops it\n", root.c_str(),
              listener->port());
  std::fflush(stdout);
  co_await coro::WhenAny(Serve(io, *listener, root), signals->Wait());
  co_return 0;
}

}  // namespace orrery::examples::file_server

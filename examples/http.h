// As much of HTTP/1.1 as a server of files needs: requests without a body, one range, and the head
// of an answer. Values only: no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace orrery::examples::http {

// Of a file.
struct Part {
  uint64_t from = 0;
  uint64_t count = 0;
};

// What a request asks for: "bytes=2-5", "bytes=2-", "bytes=-3"; everything by default, and also for
// what we do not know (several ranges, other units), as RFC 9110 has it.
struct Range {
  std::optional<uint64_t> first;
  std::optional<uint64_t> last;  // Without `first`: how many at the end.

  bool whole() const { return !first && !last; }
  // None: no byte of a file of that size is in it.
  std::optional<Part> PartOf(uint64_t file_bytes) const;
};

// What a request may take, before it is refused: its first line, and all of its head.
inline constexpr size_t kLineBytesMax = 4096;
inline constexpr size_t kHeadBytesMax = 8192;

struct Request {
  std::string method;  // GET or HEAD.
  std::string path;    // Decoded; begins with '/', has no ".." and no NUL.
  Range range;
  bool keep_alive = true;

  // `head` is all lines, each with its CR LF, without the empty one. The error is the status to
  // answer, "400 Bad Request"; the connection has to end then.
  static std::expected<Request, std::string_view> Parse(std::string_view head);
  // The next one out of `input`, which keeps what came after it; none: it is not all there yet.
  // Errors are Parse()'s, and "414 URI Too Long" and "431 Request Header Fields Too Large", which
  // come as soon as a limit is passed.
  static std::expected<std::optional<Request>, std::string_view> Take(std::string& input);
};

// The head of an answer with that part of a file of `file_bytes`.
std::string FileHead(const Request& request, const Part& part, uint64_t file_bytes);

}  // namespace orrery::examples::http

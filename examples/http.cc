#include "examples/http.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace orrery::examples::http {
namespace {

using Error = std::unexpected<std::string_view>;

// The part before `separator`, which is taken away from `text` together with it.
std::string_view TakeUntil(std::string_view& text, std::string_view separator) {
  const size_t at = text.find(separator);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + separator.size());
  return part;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text, int base = 10) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// None: it is not a name of something below the root.
std::optional<std::string> DecodePath(std::string_view target) {
  std::string_view text = TakeUntil(target, "?");
  std::string path;
  while (!text.empty()) {
    char c = text.front();
    text.remove_prefix(1);
    if (c == '%') {
      const auto code = ParseNumber<uint8_t>(text.substr(0, 2), 16);
      if (text.size() < 2 || !code) return std::nullopt;
      c = static_cast<char>(*code);
      text.remove_prefix(2);
    }
    if (c == '\0') return std::nullopt;
    path += c;
  }
  if (!path.starts_with('/')) return std::nullopt;
  std::string_view rest = path;
  while (!rest.empty()) {
    if (TakeUntil(rest, "/") == "..") return std::nullopt;
  }
  if (path.ends_with('/')) path += "index.html";
  return path;
}

Range ParseRange(std::string_view value) {
  if (!value.starts_with("bytes=") || value.find(',') != value.npos) return {};
  value.remove_prefix(6);
  if (value.find('-') == value.npos) return {};
  const std::string_view first = Trim(TakeUntil(value, "-"));
  const std::string_view last = Trim(value);
  const Range range{.first = ParseNumber<uint64_t>(first), .last = ParseNumber<uint64_t>(last)};
  const bool is_wrong = (!first.empty() && !range.first) || (!last.empty() && !range.last) ||
                        (range.first && range.last && *range.last < *range.first);
  return is_wrong ? Range{} : range;
}

std::string_view TypeOf(std::string_view path) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kTypes = {{
      {".html", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".json", "application/json"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".svg", "image/svg+xml"},
      {".pdf", "application/pdf"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

}  // namespace

std::optional<Part> Range::PartOf(uint64_t file_bytes) const {
  if (whole()) return Part{.from = 0, .count = file_bytes};
  if (!first) {
    const uint64_t count = std::min(*last, file_bytes);
    if (count == 0) return std::nullopt;
    return Part{.from = file_bytes - count, .count = count};
  }
  if (*first >= file_bytes) return std::nullopt;
  const uint64_t end = last ? std::min(*last, file_bytes - 1) + 1 : file_bytes;
  return Part{.from = *first, .count = end - *first};
}

std::expected<Request, std::string_view> Request::Parse(std::string_view head) {
  std::string_view line = TakeUntil(head, "\r\n");
  Request request;
  request.method = TakeUntil(line, " ");
  const std::string_view target = TakeUntil(line, " ");
  if (line != "HTTP/1.1" && line != "HTTP/1.0") return Error("400 Bad Request");
  if (request.method != "GET" && request.method != "HEAD") return Error("405 Method Not Allowed");
  const std::optional<std::string> path = DecodePath(target);
  if (!path) return Error("400 Bad Request");
  request.path = *path;
  request.keep_alive = line == "HTTP/1.1";
  bool conditional = false;
  while (!head.empty()) {
    std::string_view value = TakeUntil(head, "\r\n");
    const std::string name = Lower(TakeUntil(value, ":"));
    value = Trim(value);
    if (name == "connection") {
      const std::string option = Lower(value);
      if (option == "close") request.keep_alive = false;
      if (option == "keep-alive") request.keep_alive = true;
    } else if (name == "range") {
      request.range = ParseRange(value);
    } else if (name == "if-range") {
      conditional = true;  // We have no validators, so the condition does not hold.
    } else if (name == "transfer-encoding" || (name == "content-length" && value != "0")) {
      return Error("400 Bad Request");  // A body would be taken for the next request.
    }
  }
  if (conditional || request.method != "GET") request.range = {};
  return request;
}

std::expected<std::optional<Request>, std::string_view> Request::Take(std::string& input) {
  if (std::min(input.find("\r\n"), input.size()) > kLineBytesMax) return Error("414 URI Too Long");
  const size_t end = input.find("\r\n\r\n");
  if (std::min(end, input.size()) > kHeadBytesMax) {
    return Error("431 Request Header Fields Too Large");
  }
  if (end == input.npos) return std::nullopt;
  auto request = Parse(std::string_view(input).substr(0, end + 2));
  input.erase(0, end + 4);
  return request;
}

std::string FileHead(const Request& request, const Part& part, uint64_t file_bytes) {
  std::string head =
      request.range.whole() ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 206 Partial Content\r\n";
  if (!request.range.whole()) {
    head += "Content-Range: bytes " + std::to_string(part.from) + "-" +
            std::to_string(part.from + part.count - 1) + "/" + std::to_string(file_bytes) + "\r\n";
  }
  head += "Content-Length: " + std::to_string(part.count) + "\r\nContent-Type: ";
  head += TypeOf(request.path);
  head += "\r\nAccept-Ranges: bytes\r\n";
  if (!request.keep_alive) head += "Connection: close\r\n";
  return head + "\r\n";
}

}  // namespace orrery::examples::http

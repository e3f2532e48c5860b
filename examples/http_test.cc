// Requests and ranges: what would break is a file outside the root, or the wrong part of one.
#include "examples/http.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace orrery::examples::http {
namespace {

std::string PathOf(std::string_view target) {
  const auto request = Request::Parse("GET " + std::string(target) + " HTTP/1.1\r\n");
  return request ? request->path : std::string(request.error());
}

TEST(Http, DecodesPathsAndKeepsThemBelowTheRoot) {
  EXPECT_EQ(PathOf("/a/b.txt?x=1"), "/a/b.txt");
  EXPECT_EQ(PathOf("/a%20b%2fc"), "/a b/c");
  EXPECT_EQ(PathOf("/"), "/index.html");
  EXPECT_EQ(PathOf("/a..b/..c"), "/a..b/..c");
  for (const char* target : {"/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/a/..", "/%2e%2e%2fx",
                             "a", "", "/%", "/%2", "/%zz", "/a%00b"}) {
    EXPECT_EQ(PathOf(target), "400 Bad Request") << target;
  }
}

TEST(Http, SaysWhetherAnotherRequestFollows) {
  EXPECT_TRUE(Request::Parse("GET / HTTP/1.1\r\n")->keep_alive);
  EXPECT_FALSE(Request::Parse("GET / HTTP/1.1\r\nCONNECTION:  Close \r\n")->keep_alive);
  EXPECT_FALSE(Request::Parse("GET / HTTP/1.0\r\n")->keep_alive);
  EXPECT_TRUE(Request::Parse("GET / HTTP/1.0\r\nconnection: keep-alive\r\n")->keep_alive);
}

TEST(Http, TakesRequestsOneByOne) {
  std::string input = "GET /a HTTP/1.1\r\nx: y\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c";
  EXPECT_EQ((*Request::Take(input))->path, "/a");
  EXPECT_EQ((*Request::Take(input))->path, "/b");
  EXPECT_EQ(*Request::Take(input), std::nullopt);
  EXPECT_EQ(input, "GET /c");
  input = "nonsense\r\n\r\n";
  EXPECT_EQ(Request::Take(input).error(), "400 Bad Request");
}

TEST(Http, RefusesWhatIsTooLongAsSoonAsItIs) {
  const std::string line = "GET /" + std::string(kLineBytesMax - 14, 'x') + " HTTP/1.1";
  std::string input = line + "\r\n\r\n";
  EXPECT_TRUE(Request::Take(input).value().has_value());
  input = line + "y\r\n\r\n";
  EXPECT_EQ(Request::Take(input).error(), "414 URI Too Long");
  input = std::string(kLineBytesMax, 'x');
  EXPECT_EQ(*Request::Take(input), std::nullopt);
  input += 'x';
  EXPECT_EQ(Request::Take(input).error(), "414 URI Too Long");
  input = "GET / HTTP/1.1\r\nx: ";
  input.append(kHeadBytesMax - input.size(), 'y');
  EXPECT_EQ(*Request::Take(input), std::nullopt);
  input += "y\r\n\r\n";
  EXPECT_EQ(Request::Take(input).error(), "431 Request Header Fields Too Large");
}

TEST(Http, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(Request::Parse("POST / HTTP/1.1\r\n").error(), "405 Method Not Allowed");
  EXPECT_EQ(Request::Parse("GET / HTTP/3\r\n").error(), "400 Bad Request");
  EXPECT_EQ(Request::Parse("nonsense\r\n").error(), "400 Bad Request");
  EXPECT_EQ(Request::Parse("GET / HTTP/1.1\r\nContent-Length: 3\r\n").error(), "400 Bad Request");
  EXPECT_EQ(Request::Parse("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n").error(),
            "400 Bad Request");
}

// Of a file of ten bytes: {from, count}, or nothing.
std::optional<std::pair<uint64_t, uint64_t>> PartOfTen(std::string_view range,
                                                       std::string_view more = "") {
  const auto request =
      Request::Parse("GET / HTTP/1.1\r\nRange: " + std::string(range) + "\r\n" + std::string(more));
  const std::optional<Part> part = request->range.PartOf(10);
  if (!part) return std::nullopt;
  return std::pair(part->from, part->count);
}

TEST(Http, UnderstandsRanges) {
  using Pair = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(PartOfTen("bytes=2-5"), Pair(2, 4));
  EXPECT_EQ(PartOfTen("bytes=0-0"), Pair(0, 1));
  EXPECT_EQ(PartOfTen("bytes=7-"), Pair(7, 3));
  EXPECT_EQ(PartOfTen("bytes=7-100"), Pair(7, 3));
  EXPECT_EQ(PartOfTen("bytes=-3"), Pair(7, 3));
  EXPECT_EQ(PartOfTen("bytes=-30"), Pair(0, 10));
  EXPECT_EQ(PartOfTen("bytes=10-"), std::nullopt);
  EXPECT_EQ(PartOfTen("bytes=-0"), std::nullopt);
  // What is not a range, or more than one, is none; and so is one under a condition.
  for (const char* all : {"bytes=5-2", "bytes=x-", "bytes=1-2,4-5", "lines=1-2", "bytes=-", ""}) {
    EXPECT_EQ(PartOfTen(all), Pair(0, 10)) << all;
  }
  EXPECT_EQ(PartOfTen("bytes=2-5", "If-Range: \"x\"\r\n"), Pair(0, 10));
}

TEST(Http, WritesHeads) {
  const auto request = Request::Parse("GET /a.html HTTP/1.1\r\nRange: bytes=2-5\r\n");
  EXPECT_EQ(FileHead(*request, {.from = 2, .count = 4}, 10),
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n"
            "Content-Type: text/html; charset=utf-8\r\nAccept-Ranges: bytes\r\n\r\n");
}

}  // namespace
}  // namespace orrery::examples::http

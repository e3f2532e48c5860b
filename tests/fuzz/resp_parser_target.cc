// The parser's target: feeds a stream whole and in pieces, and compares. Invariant: however it is
// cut, the same comes out.
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "server/resp_parser.h"
#include "tests/fuzz/targets.h"

namespace orrery::fuzz {
namespace {

// Small, so that inputs meet the limit.
constexpr server::ParserLimits kLimits{.bulk_bytes_max = 4096};

// What comes out of a stream.
struct Parsed {
  std::vector<std::vector<std::string>> commands;
  server::ProtocolError error = server::ProtocolError::kNone;
  // Bytes of an unfinished frame.
  size_t left = 0;

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

// Feeds the stream in pieces that `seed` says; 0: all at once.
Parsed Parse(std::string_view stream, uint64_t seed) {
  server::RespParser parser;
  server::Command command;
  Prng prng(seed);
  Parsed parsed;
  size_t begin = 0;  // Of what is not consumed.
  size_t end = 0;    // Of what has arrived.
  while (true) {
    const server::ParseResult result =
        parser.Parse(stream.substr(begin, end - begin), kLimits, command);
    ORRERY_CHECK_OP(result.consumed_bytes, <=, end - begin);
    begin += result.consumed_bytes;
    if (result.status == server::ParseStatus::kCommand) {
      ORRERY_CHECK(!command.empty());
      std::vector<std::string>& arguments = parsed.commands.emplace_back();
      for (size_t index = 0; index < command.size(); ++index) {
        arguments.emplace_back(command[index]);
      }
      continue;
    }
    if (result.status == server::ParseStatus::kError) {
      ORRERY_CHECK(!server::ProtocolErrorText(result).empty());
      parsed.error = result.error;
      return parsed;
    }
    if (end == stream.size()) {
      parsed.left = end - begin;
      return parsed;
    }
    const size_t more = seed == 0 ? stream.size() : prng.Between(1, 8);
    end = std::min(stream.size(), end + more);
  }
}

}  // namespace

void FuzzRespParser(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return;
  const uint64_t seed = uint64_t{1} + bytes.front();
  // Any byte is a char.
  const std::string_view stream(reinterpret_cast<const char*>(bytes.data()) + 1, bytes.size() - 1);
  const Parsed whole = Parse(stream, 0);
  const Parsed pieces = Parse(stream, seed);
  ORRERY_CHECK_MSG(whole == pieces, "the commands depend on how the stream was cut");
}

}  // namespace orrery::fuzz

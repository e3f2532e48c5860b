// What a program saw of the kernel, in order: the result of every Enter, every completion with its
// bytes, and what its peers saw. Plain data.
//
// Numbers that a kernel gives out freely are already replaced: a descriptor that an accept returned
// is the number of the socket in order of acceptance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace orrery::acceptor {

struct Observation {
  enum class Kind : uint8_t {
    kEntered,     // result: SQEs consumed, or -errno
    kCompletion,  // id, result, flags, bytes
    kPeer,        // id: the peer; result: bytes sent or -1; bytes received; flags: 1 end, 2 reset
  };
  Kind kind = Kind::kEntered;
  uint64_t turn = 0;
  uint32_t id = 0;
  int32_t result = 0;
  uint32_t flags = 0;
  std::string bytes = {};
};

// Equal but for what Linux itself leaves open: the SOCK_NONEMPTY hint.
bool SameOutcome(const Observation& left, const Observation& right);
std::string ToText(const Observation& observation);

// A turn is one step that was carried out, those before and after the program's own included.
struct Turn {
  std::string what;
  Nanoseconds start = 0;
  Nanoseconds end = 0;
  bool enters = false;
  bool waits = false;
};

struct Trace {
  std::vector<Turn> turns;
  std::vector<Observation> observations;
  size_t completions() const;
};

std::string ToText(const Trace& trace);

// For a file: whole, and read back. ParseTrace() answers what is wrong.
std::string Serialize(const Trace& trace);
std::expected<Trace, std::string> ParseTrace(std::string_view text);

}  // namespace orrery::acceptor

// What DUMP answers for a string and RESTORE takes: Redis's RDB encoding of one value, version 10.
//
// Written apart from the server's, the slow and obvious way, so that a mistake there is not
// repeated here. No state.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace orrery::scenarios {

inline constexpr int kRdbVersion = 10;

// The CRC-64 of Redis (Jones): reflected, nothing inverted, beginning with 0.
uint64_t RdbChecksum(std::string_view bytes);

// The payload of a string: as an integer where it is one of at most 32 bits, else uncompressed.
std::string EncodeDump(std::string_view value);

enum class DumpProblem : uint8_t { kFooter, kData };

// The string in a payload.
std::expected<std::string, DumpProblem> DecodeDump(std::string_view payload);

// `body` with version and checksum behind it.
std::string SealDump(std::string body, int version = kRdbVersion);

}  // namespace orrery::scenarios

// One string as Redis writes it into an RDB file, with the version and the checksum of DUMP behind
// it: what a Redis 7.0 restores, and what it dumps.
//
// Written uncompressed; compressed strings are read. No state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace orrery::server {

// Redis's CRC-64 (Jones) of `bytes`, going on from `crc`; 0 at first.
uint64_t Crc64(uint64_t crc, std::string_view bytes);

std::string EncodeDump(std::string_view value);

enum class DumpError : uint8_t {
  kFooter,  // A version that is too new, or a wrong checksum.
  kData,    // Not a string, or not a valid one, or longer than allowed.
};

std::expected<std::string, DumpError> DecodeDump(std::string_view payload, size_t bytes_max);

}  // namespace orrery::server

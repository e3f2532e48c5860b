// The offsets of bits, as SETBIT and BITFIELD take them. No state.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace orrery::server {

inline constexpr std::string_view kBadBitOffset =
    "ERR bit offset is not an integer or out of range";

// A bit within a value of `bytes_max` bytes; nothing for any other text.
std::optional<uint64_t> ParseBitOffset(std::string_view text, uint64_t bytes_max);

// The same, and "#3": three fields of `width` bits from the start.
std::optional<uint64_t> ParseFieldOffset(std::string_view text, unsigned width, uint64_t bytes_max);

}  // namespace orrery::server

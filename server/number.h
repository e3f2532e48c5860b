// Integers in text, as the protocol and the commands read and write them.
//
// One reading only: what ParseInteger accepts, FormatInteger gives back byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace orrery::server {

// The longest text of a 64-bit integer: "-9223372036854775808".
inline constexpr size_t kIntegerTextMax = 20;

// The value of a canonical decimal: an optional '-', no '+', no leading zero, no space, no "-0".
// Nothing for any other text and for values beyond 64 bits.
std::optional<int64_t> ParseInteger(std::string_view text);

// Writes `value` to the front of `text` and returns its length.
size_t FormatInteger(int64_t value, std::span<char, kIntegerTextMax> text);

}  // namespace orrery::server

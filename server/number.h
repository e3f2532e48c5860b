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

// The longest text of a float: as many digits as its largest value has before the point, and 17.
inline constexpr size_t kFloatTextMax = 5 * 1024;

// As strtold(3) reads all of it, which includes hexadecimals and infinities. Nothing for what is
// not a number, is longer than kFloatTextMax, is out of range, or begins with a space.
std::optional<long double> ParseFloat(std::string_view text);

// With at most 17 digits behind the point and no zeros at the end, as Redis shows a value that has
// been added to. Returns the length.
size_t FormatFloat(long double value, std::span<char, kFloatTextMax> text);

}  // namespace orrery::server

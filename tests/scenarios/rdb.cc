#include "tests/scenarios/rdb.h"

#include <charconv>

namespace orrery::scenarios {
namespace {

std::string LittleEndian(uint64_t number, int bytes) {
  std::string text;
  for (int index = 0; index < bytes; ++index, number >>= 8) text += static_cast<char>(number);
  return text;
}

std::string BigEndian(uint64_t number, int bytes) {
  const std::string little = LittleEndian(number, bytes);
  return {little.rbegin(), little.rend()};
}

// The number that `text` is the only spelling of, if it has at most 32 bits.
std::optional<int64_t> SmallInteger(std::string_view text) {
  if (text.size() > 11) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  if (number < INT32_MIN || number > INT32_MAX) return std::nullopt;
  return number;
}

std::string EncodeString(std::string_view text) {
  if (const auto number = SmallInteger(text)) {
    const auto bits = static_cast<uint64_t>(*number);
    if (*number >= INT8_MIN && *number <= INT8_MAX) return "\xc0" + LittleEndian(bits, 1);
    if (*number >= INT16_MIN && *number <= INT16_MAX) return "\xc1" + LittleEndian(bits, 2);
    return "\xc2" + LittleEndian(bits, 4);
  }
  std::string length;
  if (text.size() < 64) {
    length = LittleEndian(text.size(), 1);
  } else if (text.size() < 16384) {
    length = BigEndian(0x4000 | text.size(), 2);
  } else {
    length = "\x80" + BigEndian(text.size(), 4);
  }
  return length + std::string(text);
}

}  // namespace

uint64_t RdbChecksum(std::string_view bytes) {
  // 0xad93d23594c935a9 with its bits in the other order.
  constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;
  uint64_t crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
  }
  return crc;
}

std::string SealDump(std::string body, int version) {
  body += LittleEndian(static_cast<uint64_t>(version), 2);
  const uint64_t checksum = RdbChecksum(body);
  return body + LittleEndian(checksum, 8);
}

std::string EncodeDump(std::string_view value) {
  return SealDump(std::string(1, '\0') + EncodeString(value));
}

}  // namespace orrery::scenarios

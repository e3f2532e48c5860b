#include "tests/scenarios/rdb.h"

#include <charconv>
#include <optional>
#include <utility>

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

uint64_t ReadLittle(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t index = bytes.size(); index > 0; --index) {
    number = number << 8 | static_cast<unsigned char>(bytes[index - 1]);
  }
  return number;
}

// Takes `count` bytes off the front.
std::optional<std::string_view> Take(std::string_view& bytes, uint64_t count) {
  if (count > bytes.size()) return std::nullopt;
  const std::string_view front = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return front;
}

// A length; or, with `encoded`, which encoding follows.
std::optional<uint64_t> TakeLength(std::string_view& bytes, bool& encoded) {
  const auto first = Take(bytes, 1);
  if (!first) return std::nullopt;
  const auto byte = static_cast<unsigned char>((*first)[0]);
  encoded = byte >= 0xc0;
  if (byte < 0x40 || encoded) return byte & 0x3f;
  const size_t more = byte < 0x80 ? 1 : byte == 0x80 ? 4 : byte == 0x81 ? 8 : 0;
  const auto rest = Take(bytes, more);
  if (!rest || more == 0) return std::nullopt;
  const uint64_t number = ReadLittle(std::string(rest->rbegin(), rest->rend()));
  return byte < 0x80 ? (uint64_t{byte} & 0x3f) << 8 | number : number;
}

std::optional<std::string> Unpack(std::string_view packed, uint64_t size) {
  std::string text;
  while (!packed.empty()) {
    const auto control = static_cast<unsigned char>((*Take(packed, 1))[0]);
    if (control < 32) {
      const auto plain = Take(packed, control + 1u);
      if (!plain) return std::nullopt;
      text += *plain;
      continue;
    }
    size_t count = control / 32;
    for (const bool is_more : {true, false}) {
      if (is_more && count != 7) continue;
      const auto byte = Take(packed, 1);
      if (!byte) return std::nullopt;
      const auto number = static_cast<unsigned char>((*byte)[0]);
      if (is_more) {
        count += number;
        continue;
      }
      const size_t back = control % 32 * 256u + number + 1;
      if (back > text.size()) return std::nullopt;
      for (size_t copied = 0; copied < count + 2; ++copied) text += text[text.size() - back];
    }
  }
  if (text.size() != size) return std::nullopt;
  return text;
}

std::optional<std::string> DecodeString(std::string_view bytes) {
  bool encoded = false;
  const auto length = TakeLength(bytes, encoded);
  if (!length) return std::nullopt;
  if (!encoded) {
    const auto text = Take(bytes, *length);
    if (!text) return std::nullopt;
    return std::string(*text);
  }
  if (*length <= 2) {
    const auto number = Take(bytes, uint64_t{1} << *length);
    if (!number) return std::nullopt;
    const uint64_t bits = ReadLittle(*number);
    const unsigned unused = 64 - 8 * static_cast<unsigned>(number->size());
    return std::to_string(static_cast<int64_t>(bits << unused) >> unused);
  }
  if (*length != 3) return std::nullopt;
  bool nested = false;
  const auto packed = TakeLength(bytes, nested);
  const auto size = packed && !nested ? TakeLength(bytes, nested) : std::nullopt;
  const auto text = size && !nested ? Take(bytes, *packed) : std::nullopt;
  return text ? Unpack(*text, *size) : std::nullopt;
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

std::expected<std::string, DumpProblem> DecodeDump(std::string_view payload) {
  constexpr size_t kFooterBytes = 10;
  if (payload.size() < kFooterBytes) return std::unexpected(DumpProblem::kFooter);
  const auto version = static_cast<int>(ReadLittle(payload.substr(payload.size() - 10, 2)));
  const uint64_t checksum = ReadLittle(payload.substr(payload.size() - 8));
  if (version > kRdbVersion || checksum != RdbChecksum(payload.substr(0, payload.size() - 8))) {
    return std::unexpected(DumpProblem::kFooter);
  }
  if (payload[0] != '\0') return std::unexpected(DumpProblem::kData);
  payload.remove_prefix(1);
  auto text = DecodeString(payload);
  if (!text) return std::unexpected(DumpProblem::kData);
  return *std::move(text);
}

std::string EncodeDump(std::string_view value) {
  return SealDump(std::string(1, '\0') + EncodeString(value));
}

}  // namespace orrery::scenarios

#include "server/rdb.h"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "server/number.h"

namespace orrery::server {
namespace {

constexpr uint16_t kVersion = 10;
constexpr char kTypeString = 0;

// How a length or an integer begins: two bits.
constexpr unsigned kShortLength = 0;  // Six bits.
constexpr unsigned kLongLength = 1;   // Fourteen bits.
constexpr unsigned kEncoded = 3;      // What follows is in one of the encodings below.
constexpr unsigned char kLength32 = 0x80;
constexpr unsigned char kLength64 = 0x81;

constexpr unsigned kEncodingInt8 = 0;
constexpr unsigned kEncodingInt16 = 1;
constexpr unsigned kEncodingInt32 = 2;
constexpr unsigned kEncodingLzf = 3;

// --- CRC-64, eight bytes at a time.

using CrcTables = std::array<std::array<uint64_t, 256>, 8>;

constexpr CrcTables MakeCrcTables() {
  // 0xad93d23594c935a9 with its bits in the other order.
  constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;
  CrcTables tables{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t table = 1; table < tables.size(); ++table) {
      const uint64_t crc = tables[table - 1][byte];
      tables[table][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}

constexpr CrcTables kCrcTables = MakeCrcTables();

// --- Numbers of a fixed width.

static_assert(std::endian::native == std::endian::little);

template <typename Integer>
void PutLittle(Integer value, std::string& to) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  to.append(bytes, sizeof value);
}

// Takes bytes off the front.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::optional<std::string_view> Take(uint64_t count) {
    if (count > bytes_.size()) return std::nullopt;
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  template <typename Integer>
  std::optional<Integer> TakeLittle() {
    const auto bytes = Take(sizeof(Integer));
    if (!bytes) return std::nullopt;
    Integer value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }
  std::optional<unsigned char> TakeByte() { return TakeLittle<unsigned char>(); }
  std::optional<uint64_t> TakeBig(size_t count) {
    const auto bytes = Take(count);
    if (!bytes) return std::nullopt;
    uint64_t value = 0;
    for (const char byte : *bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }

 private:
  std::string_view bytes_;
};

// --- Writing.

void PutLength(uint64_t length, std::string& to) {
  constexpr uint64_t kShortEnd = uint64_t{1} << 6;
  constexpr uint64_t kLongEnd = uint64_t{1} << 14;
  if (length < kShortEnd) {
    to += static_cast<char>(length);
  } else if (length < kLongEnd) {
    to += static_cast<char>(kLongLength << 6 | length >> 8);
    to += static_cast<char>(length);
  } else {
    // A value is never as long as 4 GiB.
    to += static_cast<char>(kLength32);
    PutLittle(__builtin_bswap32(static_cast<uint32_t>(length)), to);
  }
}

template <typename Integer>
bool Fits(int64_t value) {
  return value >= std::numeric_limits<Integer>::min() &&
         value <= std::numeric_limits<Integer>::max();
}

// False when it needs more than 32 bits.
bool PutInteger(int64_t value, std::string& to) {
  const auto start = [&](unsigned encoding) { to += static_cast<char>(kEncoded << 6 | encoding); };
  if (Fits<int8_t>(value)) {
    start(kEncodingInt8);
    PutLittle(static_cast<int8_t>(value), to);
  } else if (Fits<int16_t>(value)) {
    start(kEncodingInt16);
    PutLittle(static_cast<int16_t>(value), to);
  } else if (Fits<int32_t>(value)) {
    start(kEncodingInt32);
    PutLittle(static_cast<int32_t>(value), to);
  } else {
    return false;
  }
  return true;
}

// --- Reading. Nothing for what is not valid.

struct Length {
  bool encoded = false;
  uint64_t value = 0;  // Or the encoding.
};

std::optional<Length> TakeLength(Reader& reader) {
  const auto first = reader.TakeByte();
  if (!first) return std::nullopt;
  const uint64_t rest = *first & 0x3f;
  switch (*first >> 6) {
    case kShortLength:
      return Length{.value = rest};
    case kLongLength: {
      const auto second = reader.TakeByte();
      if (!second) return std::nullopt;
      return Length{.value = rest << 8 | *second};
    }
    case kEncoded:
      return Length{.encoded = true, .value = rest};
    default:
      break;
  }
  if (*first != kLength32 && *first != kLength64) return std::nullopt;
  const auto value = reader.TakeBig(*first == kLength32 ? 4 : 8);
  if (!value) return std::nullopt;
  return Length{.value = *value};
}

template <typename Integer>
std::optional<std::string> TakeInteger(Reader& reader) {
  const auto value = reader.TakeLittle<Integer>();
  if (!value) return std::nullopt;
  std::array<char, kIntegerTextMax> text;
  return std::string(text.data(), FormatInteger(*value, text));
}

// LibLZF's format: stretches of bytes as they are, and copies of what has been written already.
std::optional<std::string> Decompress(std::string_view compressed, uint64_t bytes) {
  constexpr unsigned kLiteralEnd = 32;
  constexpr unsigned kLongCopy = 7;
  Reader reader(compressed);
  std::string text;
  while (const auto control = reader.TakeByte()) {
    if (*control < kLiteralEnd) {
      const auto literal = reader.Take(*control + 1u);
      if (!literal) return std::nullopt;
      text += *literal;
    } else {
      size_t count = *control >> 5;
      if (count == kLongCopy) {
        const auto more = reader.TakeByte();
        if (!more) return std::nullopt;
        count += *more;
      }
      const auto low = reader.TakeByte();
      if (!low) return std::nullopt;
      const size_t back = ((*control & 0x1fu) << 8) + *low + 1;
      if (back > text.size()) return std::nullopt;
      // Byte by byte: it may copy what it writes.
      for (count += 2; count > 0; --count) text += text[text.size() - back];
    }
    if (text.size() > bytes) return std::nullopt;
  }
  if (text.size() != bytes) return std::nullopt;
  return text;
}

std::optional<std::string> TakeCompressed(Reader& reader, size_t bytes_max) {
  const auto compressed_bytes = TakeLength(reader);
  if (!compressed_bytes || compressed_bytes->encoded) return std::nullopt;
  const auto bytes = TakeLength(reader);
  if (!bytes || bytes->encoded || bytes->value > bytes_max) return std::nullopt;
  const auto compressed = reader.Take(compressed_bytes->value);
  return compressed ? Decompress(*compressed, bytes->value) : std::nullopt;
}

std::optional<std::string> TakeString(Reader& reader, size_t bytes_max) {
  const auto length = TakeLength(reader);
  if (!length) return std::nullopt;
  if (!length->encoded) {
    const auto bytes = reader.Take(length->value);
    if (!bytes || bytes->size() > bytes_max) return std::nullopt;
    return std::string(*bytes);
  }
  switch (length->value) {
    case kEncodingInt8:
      return TakeInteger<int8_t>(reader);
    case kEncodingInt16:
      return TakeInteger<int16_t>(reader);
    case kEncodingInt32:
      return TakeInteger<int32_t>(reader);
    case kEncodingLzf:
      return TakeCompressed(reader, bytes_max);
    default:
      return std::nullopt;
  }
}

}  // namespace

uint64_t Crc64(uint64_t crc, std::string_view bytes) {
  for (; bytes.size() >= sizeof crc; bytes.remove_prefix(sizeof crc)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= crc;
    crc = 0;
    for (size_t byte = 0; byte < sizeof word; ++byte) {
      crc ^= kCrcTables[7 - byte][word >> (8 * byte) & 0xff];
    }
  }
  for (const char byte : bytes) {
    crc = kCrcTables[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ (crc >> 8);
  }
  return crc;
}

std::string EncodeDump(std::string_view value) {
  std::string payload;
  payload.reserve(value.size() + 16);
  payload += kTypeString;
  const std::optional<int64_t> integer = ParseInteger(value);
  if (!integer || !PutInteger(*integer, payload)) {
    PutLength(value.size(), payload);
    payload += value;
  }
  PutLittle(kVersion, payload);
  PutLittle(Crc64(0, payload), payload);
  return payload;
}

std::expected<std::string, DumpError> DecodeDump(std::string_view payload, size_t bytes_max) {
  constexpr size_t kChecksumBytes = sizeof(uint64_t);
  constexpr size_t kFooterBytes = sizeof kVersion + kChecksumBytes;
  if (payload.size() < kFooterBytes) return std::unexpected(DumpError::kFooter);
  Reader footer(payload.substr(payload.size() - kFooterBytes));
  const uint16_t version = *footer.TakeLittle<uint16_t>();
  const uint64_t checksum = *footer.TakeLittle<uint64_t>();
  if (version > kVersion ||
      checksum != Crc64(0, payload.substr(0, payload.size() - kChecksumBytes))) {
    return std::unexpected(DumpError::kFooter);
  }
  // As in Redis, what is behind the value is not looked at, and the footer may be part of it.
  Reader reader(payload);
  const auto type = reader.TakeByte();
  if (!type || *type != kTypeString) return std::unexpected(DumpError::kData);
  auto value = TakeString(reader, bytes_max);
  if (!value) return std::unexpected(DumpError::kData);
  return *std::move(value);
}

}  // namespace orrery::server

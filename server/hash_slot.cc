#include "server/hash_slot.h"

#include <array>
#include <cstddef>

namespace orrery::server {
namespace {

constexpr std::array<uint16_t, 256> MakeTable() {
  constexpr uint32_t kPolynomial = 0x1021;
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 0x8000) != 0 ? crc << 1 ^ kPolynomial : crc << 1;
    }
    table[byte] = static_cast<uint16_t>(crc);
  }
  return table;
}

constexpr std::array<uint16_t, 256> kTable = MakeTable();

uint32_t Crc16(std::string_view bytes) {
  uint32_t crc = 0;
  for (const char byte : bytes) {
    crc = (crc << 8 & 0xffff) ^ kTable[crc >> 8 ^ static_cast<unsigned char>(byte)];
  }
  return crc;
}

// What of the key is hashed.
std::string_view Tag(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace

uint32_t HashSlot(std::string_view key) { return Crc16(Tag(key)) % kHashSlots; }

}  // namespace orrery::server

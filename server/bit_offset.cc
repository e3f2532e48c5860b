#include "server/bit_offset.h"

#include "server/number.h"

namespace orrery::server {
namespace {

std::optional<uint64_t> InBytes(int64_t offset, uint64_t bytes_max) {
  if (offset < 0 || static_cast<uint64_t>(offset) / 8 >= bytes_max) return std::nullopt;
  return static_cast<uint64_t>(offset);
}

}  // namespace

std::optional<uint64_t> ParseBitOffset(std::string_view text, uint64_t bytes_max) {
  const std::optional<int64_t> offset = ParseInteger(text);
  return offset ? InBytes(*offset, bytes_max) : std::nullopt;
}

std::optional<uint64_t> ParseFieldOffset(std::string_view text, unsigned width,
                                         uint64_t bytes_max) {
  if (!text.starts_with('#')) return ParseBitOffset(text, bytes_max);
  const std::optional<int64_t> field = ParseInteger(text.substr(1));
  if (!field) return std::nullopt;
  // As in Redis, a product that does not fit is what is left of it.
  const uint64_t offset = static_cast<uint64_t>(*field) * width;
  return InBytes(static_cast<int64_t>(offset), bytes_max);
}

}  // namespace orrery::server

// The family of bit commands. Bit 0 is the highest bit of the first byte.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_bytes.h"
#include "server/bit_offset.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

bool BitAt(std::string_view bytes, size_t bit) {
  return (static_cast<unsigned char>(bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0;
}

// --- SETBIT and GETBIT

std::optional<uint64_t> BitOffsetOrReply(CommandCall& call, size_t index) {
  const auto offset = ParseBitOffset(call[index], call.server.config.bulk_bytes_max);
  if (!offset) call.reply.Error(kBadBitOffset);
  return offset;
}

void SetBit(CommandCall& call) {
  constexpr std::string_view kNotABit = "ERR bit is not an integer or out of range";
  const std::optional<uint64_t> offset = BitOffsetOrReply(call, 2);
  if (!offset) return;
  const std::optional<int64_t> bit = IntegerOrReply(call, 3, kNotABit);
  if (!bit) return;
  if (*bit != 0 && *bit != 1) {
    call.reply.Error(kNotABit);
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  const size_t old_bytes = place ? place->value().size() : 0;
  if (!place) place = keyspace.AddEmpty(key, call.server.now_ms);
  const std::span<char> value = keyspace.Edit(place, *offset / 8 + 1, Write::kTouch);
  const bool old = BitAt({value.data(), value.size()}, *offset);
  const auto mask = static_cast<char>(0x80 >> (*offset % 8));
  char& byte = value[*offset / 8];
  byte = static_cast<char>(*bit != 0 ? byte | mask : byte & ~mask);
  if (value.size() > old_bytes || old != (*bit != 0)) keyspace.SetChanged(key);
  call.reply.Integer(old ? 1 : 0);
}

void GetBit(CommandCall& call) {
  const std::optional<uint64_t> offset = BitOffsetOrReply(call, 2);
  if (!offset) return;
  const Keyspace::Place place = LookUpFirst(call);
  const bool bit = place && *offset / 8 < place->value().size() && BitAt(place->value(), *offset);
  call.reply.Integer(bit ? 1 : 0);
}

// --- ranges of bits

enum class Unit : uint8_t { kByte, kBit };

// On nothing the error has been replied.
std::optional<Unit> UnitOrReply(CommandCall& call, size_t index) {
  if (index >= call.size() || EqualsIgnoreCase(call[index], "byte")) return Unit::kByte;
  if (EqualsIgnoreCase(call[index], "bit")) return Unit::kBit;
  call.reply.Error(kSyntaxError);
  return std::nullopt;
}

// Bits that are `wanted`, as the low bits of a word that shows them as ones.
uint64_t WordAt(std::string_view bytes, size_t at, bool wanted) {
  uint64_t word = 0;
  if (bytes.size() - at >= sizeof word) [[likely]] {
    std::memcpy(&word, bytes.data() + at, sizeof word);
  } else {
    std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  }
  word = __builtin_bswap64(word);
  return wanted ? word : ~word;
}

uint64_t CountOnes(std::string_view bytes, IndexRange bits) {
  uint64_t count = 0;
  for (size_t at = bits.first / 8; at <= bits.last / 8; at += sizeof(uint64_t)) {
    uint64_t word = WordAt(bytes, at, true);
    if (at * 8 < bits.first) word &= ~uint64_t{0} >> (bits.first - at * 8);
    const size_t behind = at * 8 + 63;
    if (behind > bits.last) word &= ~uint64_t{0} << (behind - bits.last);
    count += static_cast<uint64_t>(std::popcount(word));
  }
  return count;
}

// The first bit of the range that is `wanted`.
std::optional<size_t> FindBit(std::string_view bytes, IndexRange bits, bool wanted) {
  for (size_t at = bits.first / 8; at <= bits.last / 8; at += sizeof(uint64_t)) {
    uint64_t word = WordAt(bytes, at, wanted);
    if (at * 8 < bits.first) word &= ~uint64_t{0} >> (bits.first - at * 8);
    if (word == 0) continue;
    const size_t found = at * 8 + static_cast<size_t>(std::countl_zero(word));
    if (found > bits.last) return std::nullopt;
    return found;
  }
  return std::nullopt;
}

// A range in `unit` as one of bits.
IndexRange InBits(IndexRange range, Unit unit) {
  if (unit == Unit::kBit) return range;
  return {.first = range.first * 8, .last = range.last * 8 + 7};
}

void BitCount(CommandCall& call) {
  // As in Redis, a key that is not there comes before a wrong argument.
  const Keyspace::Place place = LookUpFirst(call);
  if (!place) {
    call.reply.Integer(0);
    return;
  }
  if (call.size() == 3 || call.size() > 5) {
    call.reply.Error(kSyntaxError);
    return;
  }
  const std::string_view value = place->value();
  int64_t first = 0;
  int64_t last = -1;
  std::optional<Unit> unit = Unit::kByte;
  if (call.size() > 3) {
    const std::optional<int64_t> from = IntegerOrReply(call, 2);
    if (!from) return;
    const std::optional<int64_t> to = IntegerOrReply(call, 3);
    if (!to) return;
    // Nor does the unit matter to an empty range.
    if (*from < 0 && *to < 0 && *from > *to) {
      call.reply.Integer(0);
      return;
    }
    unit = UnitOrReply(call, 4);
    if (!unit) return;
    first = *from;
    last = *to;
  }
  const size_t size = *unit == Unit::kBit ? value.size() * 8 : value.size();
  const std::optional<IndexRange> range = ClampRange(first, last, size);
  call.reply.Integer(range ? static_cast<int64_t>(CountOnes(value, InBits(*range, *unit))) : 0);
}

void BitPos(CommandCall& call) {
  const std::optional<int64_t> bit = IntegerOrReply(call, 2);
  if (!bit) return;
  if (*bit != 0 && *bit != 1) {
    call.reply.Error("ERR The bit argument must be 1 or 0.");
    return;
  }
  const Keyspace::Place place = LookUpFirst(call);
  if (!place) {
    call.reply.Integer(*bit == 1 ? -1 : 0);
    return;
  }
  if (call.size() > 6) {
    call.reply.Error(kSyntaxError);
    return;
  }
  const std::string_view value = place->value();
  const std::optional<int64_t> first = call.size() > 3 ? IntegerOrReply(call, 3) : 0;
  if (!first) return;
  const std::optional<Unit> unit = UnitOrReply(call, 5);
  if (!unit) return;
  const bool ends = call.size() > 4;
  const std::optional<int64_t> last = ends ? IntegerOrReply(call, 4) : -1;
  if (!last) return;
  const size_t size = *unit == Unit::kBit ? value.size() * 8 : value.size();
  const std::optional<IndexRange> range = ClampRange(*first, *last, size);
  int64_t position = -1;
  if (range) {
    if (const auto found = FindBit(value, InBits(*range, *unit), *bit == 1)) {
      position = static_cast<int64_t>(*found);
    } else if (*bit == 0 && !ends) {
      // Behind a value whose end was not asked about, there are zeros.
      position = static_cast<int64_t>(value.size() * 8);
    }
  }
  call.reply.Integer(position);
}

// --- BITOP

enum class BitOperation : uint8_t { kAnd, kOr, kXor, kNot };

std::optional<BitOperation> BitOperationOf(std::string_view name) {
  if (EqualsIgnoreCase(name, "and")) return BitOperation::kAnd;
  if (EqualsIgnoreCase(name, "or")) return BitOperation::kOr;
  if (EqualsIgnoreCase(name, "xor")) return BitOperation::kXor;
  if (EqualsIgnoreCase(name, "not")) return BitOperation::kNot;
  return std::nullopt;
}

// to[i] = operation(to[i], source[i]), eight bytes at a time.
template <typename Operation>
void CombineBytes(std::string_view source, char* to, Operation operation) {
  size_t at = 0;
  for (; source.size() - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
    uint64_t left;
    uint64_t right;
    std::memcpy(&left, to + at, sizeof left);
    std::memcpy(&right, source.data() + at, sizeof right);
    left = operation(left, right);
    std::memcpy(to + at, &left, sizeof left);
  }
  for (; at < source.size(); ++at) to[at] = static_cast<char>(operation(to[at], source[at]));
}

// result = result (operation) source; what is missing at the end of `source` is zero.
void Combine(BitOperation operation, std::string_view source, std::span<char> result) {
  switch (operation) {
    case BitOperation::kAnd:
      CombineBytes(source, result.data(), [](auto left, auto right) { return left & right; });
      std::fill(result.begin() + static_cast<ptrdiff_t>(source.size()), result.end(), '\0');
      break;
    case BitOperation::kOr:
      CombineBytes(source, result.data(), [](auto left, auto right) { return left | right; });
      break;
    case BitOperation::kXor:
      CombineBytes(source, result.data(), [](auto left, auto right) { return left ^ right; });
      break;
    case BitOperation::kNot:
      CombineBytes(source, result.data(), [](auto, auto right) { return ~right; });
      break;
  }
}

void BitOp(CommandCall& call) {
  constexpr size_t kFirstSource = 3;
  const std::optional<BitOperation> operation = BitOperationOf(call[1]);
  if (!operation) {
    call.reply.Error(kSyntaxError);
    return;
  }
  if (*operation == BitOperation::kNot && call.size() != kFirstSource + 1) {
    call.reply.Error("ERR BITOP NOT must be called with a single source key.");
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  size_t bytes = 0;
  // Twice over the keys: what the first look has taken away, the second does not find.
  for (size_t i = kFirstSource; i < call.size(); ++i) {
    const Keyspace::Place place = LookUp(call, keyspace.WithHash(call[i]));
    if (place) bytes = std::max(bytes, place->value().size());
  }
  // A large result is made in the memory in which it will be kept.
  const bool is_large = bytes >= kSharedValueMin;
  std::string small(is_large ? 0 : bytes, '\0');
  SharedBytes large = is_large ? SharedBytes::Allocate(bytes, bytes) : SharedBytes();
  const std::span<char> result = is_large ? large.mutable_bytes() : std::span<char>(small);
  for (size_t i = kFirstSource; i < call.size(); ++i) {
    const Keyspace::Place place = keyspace.Find(keyspace.WithHash(call[i]), call.server.now_ms);
    const std::string_view source = place ? place->value() : std::string_view();
    if (i == kFirstSource) {
      const auto end = std::copy(source.begin(), source.end(), result.begin());
      std::fill(end, result.end(), '\0');
    }
    if (i > kFirstSource || *operation == BitOperation::kNot) Combine(*operation, source, result);
  }
  const HashedKey destination = call.first_key();
  const Keyspace::Place place = keyspace.Find(destination, call.server.now_ms);
  if (bytes > 0) {
    const NewValue value = is_large ? NewValue(large.view(), &large) : NewValue(small);
    keyspace.Assign(place, destination, value, kNoExpiry, Encoding::kRaw);
  } else if (place) {
    keyspace.Erase(place);
  }
  call.reply.Integer(static_cast<int64_t>(bytes));
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "bitcount",
     .arity = -2,
     .flags = kReadOnly,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = BitCount,
     .group = "bitmap",
     .since = "2.6.0",
     .summary = "Count set bits in a string",
     .complexity = "O(N)"},
    {.name = "bitop",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryBitmap,
     .keys = {2, -1, 1},
     .key_flags = "OW update",
     .second_key_flags = "RO access",
     .handler = BitOp,
     .group = "bitmap",
     .since = "2.6.0",
     .summary = "Perform bitwise operations between strings",
     .complexity = "O(N)"},
    {.name = "bitpos",
     .arity = -3,
     .flags = kReadOnly,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = BitPos,
     .group = "bitmap",
     .since = "2.8.7",
     .summary = "Find first bit set or clear in a string",
     .complexity = "O(N)"},
    {.name = "getbit",
     .arity = 3,
     .flags = kReadOnly | kFast,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = GetBit,
     .group = "bitmap",
     .since = "2.2.0",
     .summary = "Returns the bit value at offset in the string value stored at key",
     .complexity = "O(1)"},
    {.name = "setbit",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = SetBit,
     .group = "bitmap",
     .since = "2.2.0",
     .summary = "Sets or clears the bit at offset in the string value stored at key",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> BitCommands() { return kCommands; }

}  // namespace orrery::server

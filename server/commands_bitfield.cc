// BITFIELD: integers of any width at any bit of a value.

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/bit_offset.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// "i16", "u8".
struct FieldType {
  bool is_signed = false;
  unsigned bits = 0;
};

enum class Overflow : uint8_t { kWrap, kSaturate, kFail };
enum class FieldAction : uint8_t { kGet, kSet, kIncrement };

struct FieldOperation {
  FieldAction action = FieldAction::kGet;
  Overflow overflow = Overflow::kWrap;
  FieldType type;
  uint64_t offset = 0;
  int64_t operand = 0;
};

// --- reading the operations

std::optional<FieldType> ParseFieldType(std::string_view text) {
  constexpr unsigned kBitsMax = 64;
  text = AsCString(text, text.size());
  if (!text.starts_with('i') && !text.starts_with('u')) return std::nullopt;
  const bool is_signed = text[0] == 'i';
  const std::optional<int64_t> bits = ParseInteger(text.substr(1));
  if (!bits || *bits < 1 || *bits > (is_signed ? kBitsMax : kBitsMax - 1)) return std::nullopt;
  return FieldType{.is_signed = is_signed, .bits = static_cast<unsigned>(*bits)};
}

// False when the error has been replied.
bool OverflowOrReply(CommandCall& call, std::string_view name, Overflow& overflow) {
  if (EqualsIgnoreCase(name, "wrap")) {
    overflow = Overflow::kWrap;
  } else if (EqualsIgnoreCase(name, "sat")) {
    overflow = Overflow::kSaturate;
  } else if (EqualsIgnoreCase(name, "fail")) {
    overflow = Overflow::kFail;
  } else {
    call.reply.Error("ERR Invalid OVERFLOW type specified");
    return false;
  }
  return true;
}

// The action named at `index`, if all of its arguments are there.
std::optional<FieldAction> FieldActionAt(const CommandCall& call, size_t index) {
  const size_t more = call.size() - index - 1;
  if (EqualsIgnoreCase(call[index], "get") && more >= 2) return FieldAction::kGet;
  if (EqualsIgnoreCase(call[index], "set") && more >= 3) return FieldAction::kSet;
  if (EqualsIgnoreCase(call[index], "incrby") && more >= 3) return FieldAction::kIncrement;
  return std::nullopt;
}

// The arguments of `operation.action`, which is at `index`; false when the error has been replied.
bool ArgumentsOrReply(CommandCall& call, size_t index, FieldOperation& operation) {
  const std::optional<FieldType> type = ParseFieldType(call[index + 1]);
  if (!type) {
    call.reply.Error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "
        "i64 is.");
    return false;
  }
  const std::optional<uint64_t> offset =
      ParseFieldOffset(call[index + 2], type->bits, call.server.config.bulk_bytes_max);
  if (!offset) {
    call.reply.Error(kBadBitOffset);
    return false;
  }
  operation.type = *type;
  operation.offset = *offset;
  if (operation.action == FieldAction::kGet) return true;
  const std::optional<int64_t> operand = IntegerOrReply(call, index + 3);
  if (!operand) return false;
  operation.operand = *operand;
  return true;
}

// On nothing the error has been replied.
std::optional<std::vector<FieldOperation>> FieldOperationsOrReply(CommandCall& call) {
  std::vector<FieldOperation> operations;
  Overflow overflow = Overflow::kWrap;
  for (size_t i = 2; i < call.size();) {
    if (EqualsIgnoreCase(call[i], "overflow") && i + 1 < call.size()) {
      if (!OverflowOrReply(call, call[i + 1], overflow)) return std::nullopt;
      i += 2;
      continue;
    }
    const std::optional<FieldAction> action = FieldActionAt(call, i);
    if (!action) {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
    FieldOperation operation{.action = *action, .overflow = overflow, .type = {}};
    if (!ArgumentsOrReply(call, i, operation)) return std::nullopt;
    operations.push_back(operation);
    i += *action == FieldAction::kGet ? 3 : 4;
  }
  return operations;
}

// --- fields of bytes

// The bits from `offset` on, as the low bits of a word. Behind the value there are zeros.
uint64_t ReadBits(std::string_view bytes, uint64_t offset, unsigned bits) {
  uint64_t field = 0;
  for (uint64_t bit = offset; bit < offset + bits; ++bit) {
    const uint64_t byte = bit / 8 < bytes.size() ? static_cast<unsigned char>(bytes[bit / 8]) : 0;
    field = field << 1 | (byte >> (7 - bit % 8) & 1);
  }
  return field;
}

void WriteBits(std::span<char> bytes, uint64_t offset, unsigned bits, uint64_t field) {
  for (unsigned i = 0; i < bits; ++i) {
    const uint64_t bit = offset + i;
    const auto mask = static_cast<char>(0x80 >> (bit % 8));
    char& byte = bytes[bit / 8];
    byte = static_cast<char>((field >> (bits - 1 - i) & 1) != 0 ? byte | mask : byte & ~mask);
  }
}

// A field of this type as an integer: its sign is that of its highest bit.
int64_t AsInteger(FieldType type, uint64_t field) {
  if (!type.is_signed) return static_cast<int64_t>(field);
  const unsigned unused = 64 - type.bits;
  return static_cast<int64_t>(field << unused) >> unused;
}

// Exact: no sum of a field and an operand needs more.
using Wide = __int128;

struct Limits {
  Wide low = 0;
  Wide high = 0;
};

Limits LimitsOf(FieldType type) {
  if (!type.is_signed) return {.low = 0, .high = (Wide{1} << type.bits) - 1};
  const Wide half = Wide{1} << (type.bits - 1);
  return {.low = -half, .high = half - 1};
}

// What to store for `value`; nothing when it overflows and must not.
std::optional<uint64_t> Fit(const FieldOperation& operation, Wide value) {
  const Limits limits = LimitsOf(operation.type);
  if (value < limits.low || value > limits.high) {
    if (operation.overflow == Overflow::kFail) return std::nullopt;
    if (operation.overflow == Overflow::kSaturate) {
      // As in Redis, where the way from the lowest operands up to the limit overflows, and they
      // count as too high.
      const bool far_below = operation.action == FieldAction::kSet &&
                             limits.high - value > std::numeric_limits<int64_t>::max();
      const bool too_high = value > limits.high || far_below;
      value = too_high ? limits.high : limits.low;
    }
  }
  const unsigned unused = 64 - operation.type.bits;
  return static_cast<uint64_t>(value) << unused >> unused;
}

// What SET stores. As in Redis, its operand is read as the field's kind of integer first: for an
// unsigned field, a negative one is huge.
Wide OperandOf(const FieldOperation& operation) {
  return operation.type.is_signed ? Wide{operation.operand}
                                  : Wide{static_cast<uint64_t>(operation.operand)};
}

// Whether it has written, and something else than was there.
enum class FieldResult : uint8_t { kNotWritten, kSame, kChanged };

FieldResult RunOnField(CommandCall& call, const FieldOperation& operation, std::span<char> value) {
  const FieldType type = operation.type;
  const uint64_t old = ReadBits({value.data(), value.size()}, operation.offset, type.bits);
  const int64_t old_integer = AsInteger(type, old);
  if (operation.action == FieldAction::kGet) {
    call.reply.Integer(old_integer);
    return FieldResult::kNotWritten;
  }
  const bool sets = operation.action == FieldAction::kSet;
  const std::optional<uint64_t> field =
      Fit(operation, sets ? OperandOf(operation) : Wide{old_integer} + operation.operand);
  if (!field) {
    call.reply.Null();
    return FieldResult::kNotWritten;
  }
  WriteBits(value, operation.offset, type.bits, *field);
  call.reply.Integer(sets ? old_integer : AsInteger(type, *field));
  return *field == old ? FieldResult::kSame : FieldResult::kChanged;
}

// --- the commands

// How many bytes the value must have for the operations that write.
uint64_t BytesWritten(std::span<const FieldOperation> operations) {
  uint64_t bytes = 0;
  for (const FieldOperation& operation : operations) {
    if (operation.action == FieldAction::kGet) continue;
    bytes = std::max(bytes, (operation.offset + operation.type.bits - 1) / 8 + 1);
  }
  return bytes;
}

void ReadFields(CommandCall& call, std::span<const FieldOperation> operations) {
  const Keyspace::Place place = LookUpFirst(call);
  const std::string_view value = place ? place->value() : std::string_view();
  call.reply.Array(operations.size());
  for (const FieldOperation& operation : operations) {
    const uint64_t field = ReadBits(value, operation.offset, operation.type.bits);
    call.reply.Integer(AsInteger(operation.type, field));
  }
}

void BitField(CommandCall& call) {
  const auto operations = FieldOperationsOrReply(call);
  if (!operations) return;
  const uint64_t bytes = BytesWritten(*operations);
  if (bytes == 0) {
    ReadFields(call, *operations);
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  const size_t old_bytes = place ? place->value().size() : 0;
  if (!place) place = keyspace.AddEmpty(key, call.server.now_ms);
  const std::span<char> value = keyspace.Edit(place, bytes, Write::kTouch);
  const bool grown = value.size() > old_bytes;
  bool changed = false;
  call.reply.Array(operations->size());
  for (const FieldOperation& operation : *operations) {
    const FieldResult result = RunOnField(call, operation, value);
    // As in Redis: that it has grown counts only if something was written.
    changed = changed || result == FieldResult::kChanged || (result == FieldResult::kSame && grown);
  }
  if (changed) keyspace.SetChanged(key);
}

void BitFieldReadOnly(CommandCall& call) {
  const auto operations = FieldOperationsOrReply(call);
  if (!operations) return;
  if (BytesWritten(*operations) > 0) {
    call.reply.Error("ERR BITFIELD_RO only supports the GET subcommand");
    return;
  }
  ReadFields(call, *operations);
}

// With nothing but GET, it does not write.
std::string_view BitFieldKeyFlags(const CommandCall& call, size_t start) {
  for (size_t i = start + 2; i < call.size(); i += 3) {
    const size_t more = call.size() - i - 1;
    if (!EqualsIgnoreCase(call[i], "get") || more < 2) return "RW access update";
  }
  return "RO access";
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "bitfield",
     .arity = -2,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RW access update variable_flags",
     .key_notes = "This command allows both access and modification of the key",
     .key_flags_of = BitFieldKeyFlags,
     .handler = BitField,
     .group = "bitmap",
     .since = "3.2.0",
     .summary = "Perform arbitrary bitfield integer operations on strings",
     .complexity = "O(1) for each subcommand specified"},
    {.name = "bitfield_ro",
     .arity = -2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryBitmap,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = BitFieldReadOnly,
     .group = "bitmap",
     .since = "6.0.0",
     .summary =
         "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
     .complexity = "O(1) for each subcommand specified"},
});

}  // namespace

std::span<const CommandSpec> BitFieldCommands() { return kCommands; }

}  // namespace orrery::server

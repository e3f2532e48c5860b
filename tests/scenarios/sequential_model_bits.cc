// The sequential model: bits: one at a time, the slow and obvious way. Bit 0 is the highest of the
// first byte.

#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

constexpr int64_t kBitsMax = 8 * (512LL << 20);
constexpr char kBadOffset[] = "ERR bit offset is not an integer or out of range";

bool BitOf(const std::string& bytes, int64_t bit) {
  const auto byte = static_cast<size_t>(bit / 8);
  return byte < bytes.size() && (static_cast<unsigned char>(bytes[byte]) >> (7 - bit % 8) & 1) != 0;
}

// The value must be long enough.
void PutBit(std::string& bytes, int64_t bit, bool on) {
  const int mask = 0x80 >> (bit % 8);
  char& byte = bytes[static_cast<size_t>(bit / 8)];
  byte = static_cast<char>(on ? byte | mask : byte & ~mask);
}

void MakeRoom(std::string& bytes, int64_t bits) {
  const auto needed = static_cast<size_t>((bits + 7) / 8);
  if (bytes.size() < needed) bytes.resize(needed);
}

std::optional<int64_t> Offset(const std::string& text) {
  const auto offset = StrictInteger(text);
  if (!offset || *offset < 0 || *offset >= kBitsMax) return std::nullopt;
  return offset;
}

// Of bits, from a range of bytes or bits whose ends may count from the end.
struct BitRange {
  int64_t first = 0;
  int64_t last = -1;
};

BitRange RangeOf(int64_t first, int64_t last, bool in_bits, const std::string& bytes) {
  const auto size = static_cast<int64_t>(bytes.size()) * (in_bits ? 8 : 1);
  if (first < 0) first = std::max<int64_t>(size + first, 0);
  if (last < 0) last = std::max<int64_t>(size + last, 0);
  last = std::min(last, size - 1);
  if (first > last) return {};
  return in_bits ? BitRange{first, last} : BitRange{first * 8, last * 8 + 7};
}

}  // namespace

Expectation SequentialModel::SetBit(Call& call) {
  const auto offset = Offset(call.at(2));
  if (!offset) return Error(kBadOffset);
  if (call.at(3) != "0" && call.at(3) != "1") {
    return Error("ERR bit is not an integer or out of range");
  }
  Value* value = Find(call, call.at(1));
  if (value == nullptr) value = &Assign(call, call.at(1), "");
  const size_t old_bytes = value->bytes.size();
  MakeRoom(value->bytes, *offset + 1);
  const bool old = BitOf(value->bytes, *offset);
  // Redis tells who watches the key only of what makes a difference.
  if (value->bytes.size() > old_bytes || old != (call.at(3) == "1")) Change(call.at(1));
  PutBit(value->bytes, *offset, call.at(3) == "1");
  value->encoding = Encoding::kRaw;
  return Integer(old ? 1 : 0);
}

Expectation SequentialModel::GetBit(Call& call) {
  const auto offset = Offset(call.at(2));
  if (!offset) return Error(kBadOffset);
  const Value* value = Find(call, call.at(1));
  return Integer(value != nullptr && BitOf(value->bytes, *offset) ? 1 : 0);
}

Expectation SequentialModel::CountBits(Call& call) {
  const Value* value = Find(call, call.at(1));
  if (value == nullptr) return Integer(0);
  if (call.count() == 3 || call.count() > 5) return Error(kSyntaxError);
  int64_t first = 0;
  int64_t last = -1;
  bool in_bits = false;
  if (call.count() > 3) {
    const auto from = StrictInteger(call.at(2));
    const auto to = StrictInteger(call.at(3));
    if (!from || !to) return Error(kNotAnInteger);
    first = *from;
    last = *to;
    if (first < 0 && last < 0 && first > last) return Integer(0);
  }
  if (call.count() == 5) {
    in_bits = call.word(4) == "bit";
    if (!in_bits && call.word(4) != "byte") return Error(kSyntaxError);
  }
  const BitRange range = RangeOf(first, last, in_bits, value->bytes);
  int64_t ones = 0;
  for (int64_t bit = range.first; bit <= range.last; ++bit)
    ones += BitOf(value->bytes, bit) ? 1 : 0;
  return Integer(ones);
}

Expectation SequentialModel::FindBit(Call& call) {
  const auto wanted = StrictInteger(call.at(2));
  if (!wanted) return Error(kNotAnInteger);
  if (*wanted != 0 && *wanted != 1) return Error("ERR The bit argument must be 1 or 0.");
  const Value* value = Find(call, call.at(1));
  if (value == nullptr) return Integer(*wanted == 1 ? -1 : 0);
  if (call.count() > 6) return Error(kSyntaxError);
  const auto first = call.count() > 3 ? StrictInteger(call.at(3)) : 0;
  if (!first) return Error(kNotAnInteger);
  bool in_bits = false;
  if (call.count() == 6) {
    in_bits = call.word(5) == "bit";
    if (!in_bits && call.word(5) != "byte") return Error(kSyntaxError);
  }
  const bool ends = call.count() > 4;
  const auto last = ends ? StrictInteger(call.at(4)) : -1;
  if (!last) return Error(kNotAnInteger);
  const BitRange range = RangeOf(*first, *last, in_bits, value->bytes);
  for (int64_t bit = range.first; bit <= range.last; ++bit) {
    if (BitOf(value->bytes, bit) == (*wanted == 1)) return Integer(bit);
  }
  const bool empty = range.first > range.last;
  if (*wanted == 1 || ends || empty) return Integer(-1);
  return Integer(static_cast<int64_t>(value->bytes.size()) * 8);
}

Expectation SequentialModel::CombineBits(Call& call) {
  const std::string operation = call.word(1);
  if (operation != "and" && operation != "or" && operation != "xor" && operation != "not") {
    return Error(kSyntaxError);
  }
  if (operation == "not" && call.count() != 4) {
    return Error("ERR BITOP NOT must be called with a single source key.");
  }
  std::vector<std::string> sources;
  size_t size = 0;
  for (size_t index = 3; index < call.count(); ++index) {
    const Value* value = Find(call, call.at(index));
    sources.push_back(value == nullptr ? "" : value->bytes);
    size = std::max(size, sources.back().size());
  }
  if (size == 0) {
    if (Find(call, call.at(2)) != nullptr) Change(call.at(2));
    values_.erase(call.at(2));
    return Integer(0);
  }
  for (std::string& source : sources) source.resize(size);
  std::string result = sources[0];
  for (size_t at = 0; at < size; ++at) {
    if (operation == "not") result[at] = static_cast<char>(~result[at]);
    for (size_t index = 1; index < sources.size(); ++index) {
      const char byte = sources[index][at];
      result[at] = static_cast<char>(operation == "and"  ? result[at] & byte
                                     : operation == "or" ? result[at] | byte
                                                         : result[at] ^ byte);
    }
  }
  Assign(call, call.at(2), std::move(result)).encoding = Encoding::kRaw;
  return Integer(static_cast<int64_t>(size));
}

// --- BITFIELD.

namespace {

struct Field {
  char action = 'g';  // Get, set, increment.
  char overflow = 'w';
  bool is_signed = false;
  int64_t bits = 0;
  int64_t offset = 0;
  int64_t operand = 0;
};

// False when it is none.
bool ReadType(const std::string& text, Field& field) {
  const std::string_view shown = Clipped(text, SIZE_MAX);
  if (shown.empty() || (shown[0] != 'i' && shown[0] != 'u')) return false;
  field.is_signed = shown[0] == 'i';
  const auto bits = StrictInteger(shown.substr(1));
  if (!bits || *bits < 1 || *bits > (field.is_signed ? 64 : 63)) return false;
  field.bits = *bits;
  return true;
}

bool ReadOffset(const std::string& text, Field& field) {
  const bool counts_fields = text.starts_with('#');
  const auto number = StrictInteger(counts_fields ? text.substr(1) : text);
  if (!number) return false;
  const auto times = static_cast<uint64_t>(counts_fields ? field.bits : 1);
  field.offset = static_cast<int64_t>(static_cast<uint64_t>(*number) * times);
  return field.offset >= 0 && field.offset < kBitsMax;
}

// The operations; or the error.
std::optional<Expectation> ReadFields(const std::vector<std::string>& arguments,
                                      std::vector<Field>& fields) {
  char overflow = 'w';
  for (size_t index = 2; index < arguments.size();) {
    const std::string word = Lower(arguments[index]);
    const size_t more = arguments.size() - index - 1;
    if (word == "overflow" && more >= 1) {
      const std::string mode = Lower(arguments[index + 1]);
      if (mode != "wrap" && mode != "sat" && mode != "fail") {
        return Error("ERR Invalid OVERFLOW type specified");
      }
      overflow = mode[0];
      index += 2;
      continue;
    }
    const bool gets = word == "get" && more >= 2;
    const bool writes = (word == "set" || word == "incrby") && more >= 3;
    if (!gets && !writes) return Error(kSyntaxError);
    Field field{.action = word[0], .overflow = overflow};
    if (!ReadType(arguments[index + 1], field)) {
      return Error(
          "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
          "but "
          "i64 is.");
    }
    if (!ReadOffset(arguments[index + 2], field)) return Error(kBadOffset);
    if (writes) {
      const auto operand = StrictInteger(arguments[index + 3]);
      if (!operand) return Error(kNotAnInteger);
      field.operand = *operand;
    }
    fields.push_back(field);
    index += gets ? 3 : 4;
  }
  return std::nullopt;
}

// As long arithmetic: a field has at most 64 bits, an operand too.
__int128 ReadField(const std::string& bytes, const Field& field) {
  __int128 number = 0;
  for (int64_t bit = field.offset; bit < field.offset + field.bits; ++bit) {
    number = number * 2 + (BitOf(bytes, bit) ? 1 : 0);
  }
  const __int128 half = __int128{1} << (field.bits - 1);
  return field.is_signed && number >= half ? number - 2 * half : number;
}

void WriteField(std::string& bytes, const Field& field, __int128 number) {
  for (int64_t index = 0; index < field.bits; ++index) {
    PutBit(bytes, field.offset + field.bits - 1 - index, (number >> index & 1) != 0);
  }
}

// The number that a field of that kind has for `number`; nothing when it fails.
std::optional<__int128> Fitted(const Field& field, __int128 number) {
  const __int128 range = __int128{1} << field.bits;
  const __int128 low = field.is_signed ? -(range / 2) : 0;
  const __int128 high = low + range - 1;
  if (number >= low && number <= high) return number;
  if (field.overflow == 'f') return std::nullopt;
  if (field.overflow == 's') {
    // Redis takes an operand of SET so far below for one that is too high.
    const bool far_below = field.action == 's' && high - number > kIntegerMax;
    return number > high || far_below ? high : low;
  }
  const __int128 wrapped = ((number - low) % range + range) % range + low;
  return wrapped;
}

}  // namespace

Expectation SequentialModel::BitField(Call& call) {
  std::vector<Field> fields;
  if (auto error = ReadFields(call.arguments, fields)) return *error;
  int64_t bits_written = 0;
  for (const Field& field : fields) {
    if (field.action != 'g') bits_written = std::max(bits_written, field.offset + field.bits);
  }
  if (bits_written > 0 && call.word(0) == "bitfield_ro") {
    return Error("ERR BITFIELD_RO only supports the GET subcommand");
  }
  Value* value = Find(call, call.at(1));
  size_t old_bytes = 0;
  if (bits_written > 0) {
    if (value == nullptr) {
      // That one has expired is a change; that there is an empty one now, is none.
      if (values_.contains(call.at(1))) Change(call.at(1));
      value = &values_[call.at(1)];
      *value = {.bytes = {}, .expires_at_ms = std::nullopt, .used_at_s = call.now_s()};
    }
    old_bytes = value->bytes.size();
    MakeRoom(value->bytes, bits_written);
    value->encoding = Encoding::kRaw;
  }
  bool changed = false;
  std::string reply = "*" + std::to_string(fields.size()) + "\r\n";
  for (const Field& field : fields) {
    const __int128 old = value == nullptr ? 0 : ReadField(value->bytes, field);
    if (field.action == 'g') {
      reply += Integer(static_cast<int64_t>(old)).bytes;
      continue;
    }
    // An unsigned field takes a negative operand of SET for a huge one.
    const __int128 operand = field.action == 's' && !field.is_signed
                                 ? __int128{static_cast<uint64_t>(field.operand)}
                                 : __int128{field.operand};
    const auto number = Fitted(field, field.action == 's' ? operand : old + operand);
    if (!number) {
      reply += call.NullText();
      continue;
    }
    changed = changed || *number != old || value->bytes.size() > old_bytes;
    WriteField(value->bytes, field, *number);
    reply += Integer(static_cast<int64_t>(field.action == 's' ? old : *number)).bytes;
  }
  if (changed) Change(call.at(1));
  return Exact(std::move(reply));
}

}  // namespace orrery::scenarios

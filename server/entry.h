// One key with its value and expiry, in a single allocation.
//
// A small value lies behind the key, with room to grow or to be replaced in place; a value of
// kSharedValueMin bytes or more is a SharedBytes, so that a reply can borrow it. Memory, in order:
// the header, the expiry (if `has_expiry_field`), the SharedBytes (if `is_shared`; aligned), the
// key, the small value.
//
// Invariant: the bytes of a shared value never change while anybody borrows them. Made, changed and
// freed by the Keyspace only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/shared_bytes.h"
#include "base/short_bytes.h"
#include "base/units.h"

namespace orrery::server {

// "Never": a key without an expiry. Real ones are milliseconds of Unix time.
inline constexpr int64_t kNoExpiry = -1;

// Values of this size or more are SharedBytes.
inline constexpr size_t kSharedValueMin = 4 * kKiB;

// What the bytes of a value do not say of how Redis would keep it. For OBJECT only.
enum class Encoding : uint8_t {
  kNatural,     // As a value that was just set: an integer if it reads as one, else text.
  kRaw,         // Text that was changed in place.
  kText,        // Text, even where it reads as an integer.
  kOwnInteger,  // Natural, but a small integer is not one of those that all keys share.
};

class Entry {
 public:
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  std::string_view key() const { return {Bytes() + key_offset(), key_bytes_}; }
  // Valid until the keyspace changes.
  std::string_view value() const {
    return is_shared_ ? shared().view() : std::string_view(inline_value(), inline_bytes_);
  }
  // Whether a reply may borrow the value, as shared().
  bool is_shared() const { return is_shared_; }
  // REQUIRES: is_shared().
  const SharedBytes& shared() const {
    ORRERY_DCHECK(is_shared_);
    return *reinterpret_cast<const SharedBytes*>(Bytes() + shared_offset());
  }

  Encoding encoding() const { return static_cast<Encoding>(encoding_); }
  // When a command last used it, by AccessClock().
  uint32_t accessed() const { return accessed_; }

  int64_t expires_at_ms() const {
    if (!has_expiry_field_) return kNoExpiry;
    int64_t expires_at_ms;
    std::memcpy(&expires_at_ms, Bytes() + sizeof(Entry), sizeof expires_at_ms);
    return expires_at_ms;
  }
  bool expires() const { return expires_at_ms() != kNoExpiry; }
  // As in Redis, a key still lives in its last millisecond.
  bool expired(int64_t now_ms) const {
    return has_expiry_field_ && expires() && now_ms > expires_at_ms();
  }

 private:
  friend class Keyspace;

  // What an entry is made of.
  struct Shape {
    size_t key_bytes = 0;
    // Of a small value; 0 for a shared one.
    size_t inline_capacity = 0;
    bool has_expiry_field = false;
    bool is_shared = false;
  };

  explicit Entry(const Shape& shape)
      : key_bytes_(static_cast<uint32_t>(shape.key_bytes)),
        inline_bytes_(0),
        inline_capacity_(static_cast<uint32_t>(shape.inline_capacity)),
        has_expiry_field_(shape.has_expiry_field),
        is_shared_(shape.is_shared),
        encoding_(0) {
    // Both must fit in their fields.
    ORRERY_CHECK(shape.key_bytes <= UINT32_MAX);
    ORRERY_CHECK(shape.inline_capacity < kSharedValueMin);
  }
  ~Entry() = default;

  // The memory of an entry is an array of bytes that starts with this header.
  const char* Bytes() const { return reinterpret_cast<const char*>(this); }
  char* Bytes() { return reinterpret_cast<char*>(this); }

  static constexpr size_t SharedOffset(bool has_expiry_field) {
    const size_t end = sizeof(Entry) + (has_expiry_field ? sizeof(int64_t) : 0);
    return (end + alignof(SharedBytes) - 1) / alignof(SharedBytes) * alignof(SharedBytes);
  }
  static constexpr size_t KeyOffset(bool has_expiry_field, bool is_shared) {
    if (is_shared) return SharedOffset(has_expiry_field) + sizeof(SharedBytes);
    return sizeof(Entry) + (has_expiry_field ? sizeof(int64_t) : 0);
  }
  size_t shared_offset() const { return SharedOffset(has_expiry_field_); }
  // KeyOffset() by both flags: it is asked for several times a command.
  static const std::array<uint8_t, 4> kKeyOffsets;
  size_t key_offset() const {
    return kKeyOffsets[static_cast<size_t>(has_expiry_field_ | is_shared_ << 1)];
  }
  const char* inline_value() const { return Bytes() + key_offset() + key_bytes_; }
  char* inline_value() { return Bytes() + key_offset() + key_bytes_; }
  SharedBytes& mutable_shared() {
    ORRERY_DCHECK(is_shared_);
    return *reinterpret_cast<SharedBytes*>(Bytes() + shared_offset());
  }
  size_t allocated_bytes() const { return key_offset() + key_bytes_ + inline_capacity_; }
  // Bytes held for the value outside of the allocation.
  size_t body_bytes() const { return is_shared_ ? shared().capacity_bytes() : 0; }

  // REQUIRES: has_expiry_field_, or `expires_at_ms` is kNoExpiry.
  void set_expires_at_ms(int64_t expires_at_ms) {
    if (!has_expiry_field_) {
      ORRERY_CHECK(expires_at_ms == kNoExpiry);
      return;
    }
    std::memcpy(Bytes() + sizeof(Entry), &expires_at_ms, sizeof expires_at_ms);
  }
  // REQUIRES: a small value's entry, bytes.size() <= inline_capacity_, and they lie elsewhere.
  void set_inline_value(std::string_view bytes) {
    ORRERY_DCHECK(!is_shared_ && bytes.size() <= inline_capacity_);
    CopyBytes(inline_value(), bytes);
    inline_bytes_ = static_cast<uint32_t>(bytes.size());
  }

  uint32_t key_bytes_;
  uint32_t inline_bytes_ : 12;
  uint32_t inline_capacity_ : 12;
  uint32_t has_expiry_field_ : 1;
  uint32_t is_shared_ : 1;
  uint32_t encoding_ : 2;
  uint32_t accessed_ = 0;
};

static_assert(sizeof(Entry) == 12);

inline constexpr std::array<uint8_t, 4> Entry::kKeyOffsets = {
    KeyOffset(false, false), KeyOffset(true, false), KeyOffset(false, true), KeyOffset(true, true)};

static_assert(kSharedValueMin <= size_t{1} << 12, "a small value's size fits in its field");

}  // namespace orrery::server

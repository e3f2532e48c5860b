#include "kernel_model/memory_guard.h"

#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ORRERY_MODEL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ORRERY_MODEL_ASAN 1
#endif
#ifdef ORRERY_MODEL_ASAN
#include <sanitizer/asan_interface.h>
#endif

#include "base/prng.h"

namespace orrery::model {
namespace {

constexpr std::byte kPattern{0xA5};

}  // namespace

void FillPattern(std::byte* address, size_t bytes) {
  if (bytes > 0) std::memset(address, std::to_integer<int>(kPattern), bytes);
}

bool HoldsPattern(const std::byte* address, size_t bytes) {
  if (bytes == 0) return true;
  // All bytes are equal if each equals the next.
  return *address == kPattern && std::memcmp(address, address + 1, bytes - 1) == 0;
}

#ifdef ORRERY_MODEL_ASAN
void Poison(const std::byte* address, size_t bytes) { __asan_poison_memory_region(address, bytes); }
void Unpoison(const std::byte* address, size_t bytes) {
  __asan_unpoison_memory_region(address, bytes);
}
#else
void Poison(const std::byte*, size_t) {}
void Unpoison(const std::byte*, size_t) {}
#endif

uint64_t Checksum(std::span<const iovec> iovecs) {
  uint64_t sum = 0;
  for (const iovec& part : iovecs) {
    const auto* bytes = static_cast<const std::byte*>(part.iov_base);
    size_t left = part.iov_len;
    sum = Combine(sum, left);
    while (left >= sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, bytes, sizeof word);
      sum = Mix64(sum ^ word);
      bytes += sizeof word;
      left -= sizeof word;
    }
    uint64_t tail = 0;
    if (left > 0) std::memcpy(&tail, bytes, left);
    sum = Mix64(sum ^ tail);
  }
  return sum;
}

}  // namespace orrery::model

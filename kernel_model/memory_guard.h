// Watching the program's memory while the kernel owns it. Private to kernel_model.
//
// Receive memory is filled with a pattern and must still hold it when bytes arrive; with
// AddressSanitizer provided buffers are poisoned as well, so that touching one stops at the line
// that does. Send memory may be read by everybody, so it is only checksummed.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace orrery::model {

// Fills with the pattern.
void FillPattern(std::byte* address, size_t bytes);
bool HoldsPattern(const std::byte* address, size_t bytes);

// Whether no program can have memory there: in the first page.
inline bool IsNowhere(const void* address) {
  // Addresses are compared as numbers.
  return reinterpret_cast<uintptr_t>(address) < 4096;
}

// No effect in builds without AddressSanitizer.
void Poison(const std::byte* address, size_t bytes);
void Unpoison(const std::byte* address, size_t bytes);

// A checksum of the gathered bytes; no two likely contents share one.
uint64_t Checksum(std::span<const iovec> iovecs);

}  // namespace orrery::model

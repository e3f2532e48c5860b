// The memory of a traced program, as far as the model is to read and write it.
//
// Addresses in a trace are names. What lay apart in the program lies as far apart here, so that
// buffers overlap if and only if they did.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/acceptor/server_trace.h"

namespace orrery::acceptor {

// Zeroed memory of the system's, which costs only what is touched.
class Pages {
 public:
  static constexpr uint64_t kBytesMax = uint64_t{1} << 36;

  // REQUIRES: bytes <= kBytesMax.
  explicit Pages(uint64_t bytes);
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages();

  // Null when it is empty.
  std::byte* begin() const { return memory_; }

 private:
  uint64_t bytes_;
  std::byte* memory_ = nullptr;
};

// All buffers that a trace publishes.
class BufferArena {
 public:
  explicit BufferArena(const ServerTrace& trace);

  // Otherwise they lie too far apart, and there is no memory.
  bool fits() const { return extent_.end - extent_.begin <= Pages::kBytesMax; }
  // REQUIRES: fits(), and a buffer of the trace lies there.
  std::byte* At(uint64_t address) const { return pages_.begin() + (address - extent_.begin); }

 private:
  struct Extent {
    uint64_t begin = 0;
    uint64_t end = 0;
  };
  static Extent ExtentOf(const ServerTrace& trace);

  const Extent extent_;
  const Pages pages_;
};

// The bytes of the longest send.
uint64_t LongestSend(const ServerTrace& trace);

}  // namespace orrery::acceptor

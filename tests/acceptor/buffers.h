// The group of provided buffers of a program, and who holds which.
//
// Invariant: the kernel takes buffers in the order in which they were published; a completion that
// says otherwise is written down as such. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "runtime/ring/ring.h"

struct io_uring_buf_ring;

namespace orrery::acceptor {

class Buffers {
 public:
  static constexpr uint16_t kGroup = 7;

  // Registers the group, without a buffer yet. Dies after the ring.
  Buffers(Ring& ring, bool incremental);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers();

  // So many of those that the program holds, the one held for longest first.
  void Publish(size_t count);

  // A completion hands over what begins with buffer `id`; `more`: the last one is not used up.
  // What cannot be is answered with a word that no kernel sends.
  std::string Take(uint16_t id, int32_t bytes, bool more);

 private:
  struct Published {
    uint16_t id = 0;
    size_t used = 0;
  };

  const bool incremental_;
  io_uring_buf_ring* shared_ = nullptr;
  std::vector<std::byte> memory_;
  std::deque<uint16_t> held_;
  std::deque<Published> published_;  // In the order in which the kernel takes them.
};

}  // namespace orrery::acceptor

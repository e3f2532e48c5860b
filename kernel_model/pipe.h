// One pipe: bytes on their way from its writer to its reader. Private to kernel_model.
//
// Its room is counted in pages: a write begins a new one unless its last part fits behind what is
// in the newest. Invariant: the pipe lives while either of its ends does.
#pragma once

#include <cstddef>
#include <deque>

#include "kernel_model/byte_queue.h"

namespace orrery::model {

class Machine;
struct OpenFile;
struct Request;

class Pipe {
 public:
  static constexpr size_t kPages = 16;  // PIPE_DEF_BUFFERS
  static constexpr size_t kPageBytes = 4096;

  // Null once it is closed.
  OpenFile* reader = nullptr;
  OpenFile* writer = nullptr;

  bool empty() const { return bytes_.empty(); }
  bool full() const { return pages_.size() == kPages; }
  size_t size() const { return bytes_.size(); }
  // Moves what fits from the request's memory; how much.
  size_t Write(Request& request);
  // Moves the oldest `count` bytes. True: somebody may write again. REQUIRES: count <= size().
  bool Read(std::byte* bytes, size_t count);

 private:
  struct Page {
    size_t end = 0;   // Of its bytes, in the page.
    size_t left = 0;  // Bytes that were not read.
  };

  ByteQueue bytes_;
  std::deque<Page> pages_;
};

}  // namespace orrery::model

// What a reply says, for tests: the whole of a pending output, as its client would read it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>

#include "runtime/pending_output.h"

namespace orrery::server {

// Takes all of `output` out of it.
inline std::string TakeOutput(PendingOutput& output) {
  std::string taken;
  while (!output.empty()) {
    std::array<iovec, 8> iovecs;
    const Chunk chunk = output.Gather(iovecs);
    for (uint32_t i = 0; i < chunk.iovecs; ++i) {
      taken.append(static_cast<const char*>(iovecs[i].iov_base), iovecs[i].iov_len);
    }
    output.Advance(chunk.bytes);
  }
  return taken;
}

}  // namespace orrery::server

// A body of known size that is being received into its own memory, which then becomes the stored
// value without a copy.
//
// Memory follows what has arrived, not what was announced: beyond what is trusted, the body holds
// at most kGrowth times the bytes that have come. Growing moves what is there, so it happens only
// while the kernel does not write (between two calls of Room()). Invariant: the first
// filled_bytes() of the body are the bytes that came, in order. Owned by a connection; used by the
// shard's thread only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/shared_bytes.h"
#include "base/units.h"

namespace orrery {

class IncomingBody {
 public:
  // Who announces this much, or less, gets it at once.
  static constexpr size_t kTrustedBytes = 1 * kMiB;
  static constexpr size_t kGrowth = 16;

  // REQUIRES: total_bytes > 0, and trusted_bytes > 0.
  explicit IncomingBody(size_t total_bytes, size_t trusted_bytes = kTrustedBytes);

  size_t total_bytes() const { return total_bytes_; }
  size_t filled_bytes() const { return filled_bytes_; }
  bool complete() const { return filled_bytes_ == total_bytes_; }
  // What has come.
  std::string_view filled() const { return memory_.view().substr(0, filled_bytes_); }
  // Memory held.
  size_t capacity_bytes() const { return memory_.size(); }

  // Copies the front of `bytes` in, as much as is missing; how much.
  size_t Append(std::string_view bytes);
  // Memory for the next bytes, not empty; it stays where it is until Room() or Append() is called
  // again. REQUIRES: !complete().
  std::span<std::byte> Room();
  // So many bytes were written at the front of the last Room(). REQUIRES: no more than it had.
  void Fill(size_t bytes);
  // The body. REQUIRES: complete().
  SharedBytes Take() &&;

 private:
  // Makes room for one byte more at least.
  void Grow();

  SharedBytes memory_;  // Nobody else's. Its size is what is allocated.
  size_t total_bytes_;
  size_t filled_bytes_ = 0;
};

}  // namespace orrery

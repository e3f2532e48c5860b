#include "runtime/incoming_body.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mark.h"

namespace orrery {

IncomingBody::IncomingBody(size_t total_bytes, size_t trusted_bytes)
    : memory_(SharedBytes::Allocate(std::min(total_bytes, trusted_bytes))),
      total_bytes_(total_bytes) {
  ORRERY_CHECK(total_bytes > 0);
  ORRERY_CHECK(trusted_bytes > 0);
}

void IncomingBody::Grow() {
  ORRERY_CHECK(!complete());
  if (filled_bytes_ < memory_.size()) return;
  ORRERY_MARK("body.grows");
  SharedBytes grown = SharedBytes::Allocate(std::min(total_bytes_, filled_bytes_ * kGrowth));
  std::memcpy(grown.mutable_bytes().data(), memory_.data(), filled_bytes_);
  memory_ = std::move(grown);
}

size_t IncomingBody::Append(std::string_view bytes) {
  const size_t taken = std::min(bytes.size(), total_bytes_ - filled_bytes_);
  for (size_t done = 0; done < taken;) {
    Grow();
    const std::span<char> room = memory_.mutable_bytes().subspan(filled_bytes_);
    const size_t part = std::min(taken - done, room.size());
    std::memcpy(room.data(), bytes.data() + done, part);
    filled_bytes_ += part;
    done += part;
  }
  return taken;
}

std::span<std::byte> IncomingBody::Room() {
  Grow();
  return std::as_writable_bytes(memory_.mutable_bytes().subspan(filled_bytes_));
}

void IncomingBody::Fill(size_t bytes) {
  ORRERY_CHECK_OP(bytes, <=, memory_.size() - filled_bytes_);
  filled_bytes_ += bytes;
}

SharedBytes IncomingBody::Take() && {
  ORRERY_CHECK(complete());
  return std::move(memory_);
}

}  // namespace orrery

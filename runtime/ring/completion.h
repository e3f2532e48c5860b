// A CQE, decoded once: the only place where a negative result means an error number.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <optional>

#include "base/check.h"
#include "base/errno.h"
#include "runtime/ring/user_data.h"

namespace orrery {

class Completion {
 public:
  explicit Completion(const io_uring_cqe& cqe)
      : user_data_(UserData::Unpack(cqe.user_data)), result_(cqe.res), flags_(cqe.flags) {}

  UserData user_data() const { return user_data_; }

  bool ok() const { return result_ >= 0; }
  // The byte count, descriptor or mask. REQUIRES: ok().
  uint32_t value() const {
    ORRERY_CHECK(ok());
    return static_cast<uint32_t>(result_);
  }
  // REQUIRES: !ok().
  Errno error() const {
    ORRERY_CHECK(!ok());
    return Errno(-result_);
  }
  bool failed_with(int errno_value) const { return result_ == -errno_value; }

  // More CQEs of this request will come. Without it the request is over, whatever the result says.
  bool more() const { return (flags_ & IORING_CQE_F_MORE) != 0; }
  // The second CQE of a zero-copy send: its payload is the program's again.
  bool notification() const { return (flags_ & IORING_CQE_F_NOTIF) != 0; }
  // The socket had more to read. A hint only.
  bool socket_not_empty() const { return (flags_ & IORING_CQE_F_SOCK_NONEMPTY) != 0; }
  // The provided buffer that this completion hands over; it must be returned whatever the result
  // is.
  std::optional<uint16_t> buffer() const {
    if ((flags_ & IORING_CQE_F_BUFFER) == 0) return std::nullopt;
    return static_cast<uint16_t>(flags_ >> IORING_CQE_BUFFER_SHIFT);
  }

 private:
  UserData user_data_;
  int32_t result_;
  uint32_t flags_;
};

}  // namespace orrery

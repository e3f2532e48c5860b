// A descriptor with an owner: closed when that dies, and never while an operation on it is in
// flight (the number would name another file by the time the kernel reads it).
//
// What Connection, Listener, File and the others hold, and what an operation on one of them is made
// of. Thread: the context's.
#pragma once

#include <cstdint>
#include <utility>

#include "base/check.h"
#include "runtime/coro/io_context.h"

namespace orrery::coro {

class Descriptor {
 public:
  // Takes over `number`, which is open.
  Descriptor(IoContext& io, int number) : io_(&io), number_(number) {}
  // Moved-from, it has none. REQUIRES: nothing is in flight on either.
  Descriptor(Descriptor&& other) noexcept
      : io_(other.io_), number_(std::exchange(other.number_, -1)) {
    ORRERY_CHECK_MSG(!other.in_use(), "moved with an operation in flight");
  }
  Descriptor& operator=(Descriptor&& other) noexcept {
    ORRERY_CHECK_MSG(!in_use() && !other.in_use(), "moved with an operation in flight");
    std::swap(io_, other.io_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    ORRERY_CHECK_MSG(!in_use(), "closed with an operation in flight");
    if (number_ >= 0) io_->kernel().Close(number_);
  }

  IoContext& io() const { return *io_; }
  // REQUIRES: there is one.
  int number() const {
    ORRERY_CHECK(number_ >= 0);
    return number_;
  }

 private:
  friend class DescriptorAwaiter;
  bool in_use() const { return users_ > 0; }

  IoContext* io_;
  int number_;
  uint32_t users_ = 0;  // Operations in flight.
  bool input_taken_ = false;
  bool output_taken_ = false;
};

// An operation on a descriptor, which must stay where it is until the operation has ended.
class DescriptorAwaiter : public IoAwaiter {
 protected:
  // A direction of a stream belongs to one operation at a time: a second receive, or a second send,
  // is a programmer's error. kAny goes beside others.
  enum class Lane : uint8_t { kAny, kInput, kOutput };

  DescriptorAwaiter(Descriptor& descriptor, Lane lane, Nanoseconds deadline)
      : IoAwaiter(descriptor.io()), descriptor_(descriptor), lane_(lane), deadline_(deadline) {}

  int number() const { return descriptor_.number(); }

 private:
  void Start() final {
    if (bool* const taken = Taken()) {
      ORRERY_CHECK_MSG(!*taken, "two receives, or two sends, on one stream");
      *taken = true;
    }
    ++descriptor_.users_;
    io().operations().Start(*this, deadline_);
  }
  void OnEnd() final {
    if (bool* const taken = Taken()) *taken = false;
    --descriptor_.users_;
  }
  bool* Taken() {
    if (lane_ == Lane::kAny) return nullptr;
    return lane_ == Lane::kInput ? &descriptor_.input_taken_ : &descriptor_.output_taken_;
  }

  Descriptor& descriptor_;
  Lane lane_;
  Nanoseconds deadline_;
};

// One whose result is a count, a descriptor, or nothing but success.
class CountAwaiter : public DescriptorAwaiter {
 public:
  std::expected<size_t, Errno> await_resume() const {
    if (!result()) return std::unexpected(result().error());
    return size_t{*result()};
  }

 protected:
  using DescriptorAwaiter::DescriptorAwaiter;
};

class DoneAwaiter : public DescriptorAwaiter {
 public:
  std::expected<void, Errno> await_resume() const {
    if (!result()) return std::unexpected(result().error());
    return {};
  }

 protected:
  using DescriptorAwaiter::DescriptorAwaiter;
};

}  // namespace orrery::coro

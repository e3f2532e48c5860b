// Zero-copy sends in any order of allocations, partial results, errors with and without a
// notification, notifications and ends: what is sent is exact, the kernel never reads memory that
// was let go, and everything is let go once.
//
// The naive model keeps every message's bytes in a string and remembers which parts of it the
// kernel may read. A guard's memory is scribbled over when the guard is dropped, so that a read
// that comes too late differs.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/copy_pool.h"
#include "runtime/send_slab.h"

namespace orrery {
namespace {

// Memory that a guard owns. Lives for the whole case.
struct Region {
  std::string bytes;
  uint32_t drops = 0;
};

class Guard {
 public:
  Guard() = default;
  explicit Guard(Region& region) : region_(&region) {}
  Guard(Guard&& other) noexcept : region_(std::exchange(other.region_, nullptr)) {}
  Guard& operator=(Guard&& other) noexcept {
    Drop();
    region_ = std::exchange(other.region_, nullptr);
    return *this;
  }
  ~Guard() { Drop(); }
  const Region* region() const { return region_; }

 private:
  void Drop() {
    if (region_ == nullptr) return;
    ++region_->drops;
    std::ranges::fill(region_->bytes, '#');
    region_ = nullptr;
  }
  Region* region_ = nullptr;
};

struct Step {
  enum class Kind : uint8_t {
    kAllocate,  // `sizes` bytes in a part each; the first is copied if `copied`.
    kBegin,
    kComplete,  // The kernel took `per_mille` of what was left, or failed; `more` is F_MORE.
    kNotify,
    kEnd,
    kStale,  // A notification for a message that is over.
  };
  Kind kind = Kind::kAllocate;
  uint32_t target = 0;
  std::vector<uint32_t> sizes;
  bool copied = false;
  bool failed = false;
  bool more = false;
  uint32_t per_mille = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* kNames[] = {"allocate", "begin", "complete", "notify", "end", "stale"};
  out << kNames[static_cast<int>(step.kind)] << "(" << step.target;
  if (step.kind == Step::Kind::kAllocate) {
    for (const uint32_t size : step.sizes) out << ", " << size;
    if (step.copied) out << ", first copied";
  }
  if (step.kind == Step::Kind::kComplete) {
    out << (step.failed ? ", failed" : ", " + std::to_string(step.per_mille) + "/1000")
        << (step.more ? ", F_MORE" : "");
  }
  return out << ")";
}

rc::Gen<Step> AnyStep() {
  using Kind = Step::Kind;
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::weightedElement<Kind>({{4, Kind::kAllocate},
                                                                {6, Kind::kBegin},
                                                                {6, Kind::kComplete},
                                                                {5, Kind::kNotify},
                                                                {2, Kind::kEnd},
                                                                {1, Kind::kStale}})),
      rc::gen::set(&Step::target, rc::gen::inRange<uint32_t>(0, 64)),
      rc::gen::set(&Step::sizes, rc::gen::scale(0.1, rc::gen::container<std::vector<uint32_t>>(
                                                         rc::gen::inRange<uint32_t>(1, 30)))),
      rc::gen::set(&Step::copied), rc::gen::set(&Step::failed), rc::gen::set(&Step::more),
      rc::gen::set(&Step::per_mille, rc::gen::element<uint32_t>(0, 1, 300, 999, 1000, 1000)));
}

// What the kernel reads for an operation: when it takes the bytes, and until it notifies.
struct Reading {
  const char* memory;
  std::string bytes;
};

struct Message {
  SlotHandle handle;
  std::string bytes;
  size_t done = 0;
  bool in_flight = false;
  bool ended = false;
  std::vector<std::pair<const char*, size_t>> parts;
  std::vector<Region*> regions;
  std::deque<std::vector<Reading>> held;  // By notifications to come, in the order of operations.

  bool over() const { return ended && !in_flight && held.empty(); }
};

class Exchange {
 public:
  Exchange(const SendSlabOptions& options, uint32_t copy_slots)
      : options_(options), pool_(copy_slots, kCopyBytes), slab_(options) {}

  void Run(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      Do(step);
      Check();
    }
    // Everybody ends, and the kernel has read everything at last.
    for (Message& message : messages_) {
      if (message.in_flight) Complete(message, 0, true);
      if (!message.ended) End(message);
      while (!message.held.empty()) Notify(message, 0);
    }
    Check();
    RC_ASSERT(slab_.size() == 0U);
    RC_ASSERT(!slab_.has_in_flight());
    RC_ASSERT(pool_.in_use() == 0U);
  }

 private:
  static constexpr size_t kCopyBytes = 32;

  void Do(const Step& step) {
    if (step.kind == Step::Kind::kAllocate) return Allocate(step);
    if (messages_.empty()) return;
    Message& message = messages_[step.target % messages_.size()];
    switch (step.kind) {
      case Step::Kind::kBegin:
        if (!message.ended && !message.in_flight) Begin(message);
        return;
      case Step::Kind::kComplete:
        if (message.in_flight) Complete(message, Taken(message, step), step.more);
        return;
      case Step::Kind::kNotify:
        if (!message.held.empty()) Notify(message, step.target % message.held.size());
        return;
      case Step::Kind::kEnd:
        if (!message.ended && !message.in_flight) End(message);
        return;
      default:
        if (!message.over()) return;
        ++late_;
        slab_.Notify(message.handle);
    }
  }

  void Allocate(const Step& step) {
    const size_t parts = std::min<size_t>({step.sizes.size(), options_.iovecs, options_.guards});
    if (parts == 0) return;
    Message message;
    std::vector<iovec> iovecs;
    std::vector<Guard> guards;
    CopyPool::Lease copies = step.copied ? pool_.Take() : CopyPool::Lease();
    for (size_t index = 0; index < parts; ++index) {
      std::string bytes;
      while (bytes.size() < step.sizes[index])
        bytes.push_back(static_cast<char>('!' + next_++ % 90));
      message.bytes += bytes;
      char* memory;
      if (index == 0 && copies) {
        memory = std::copy(bytes.begin(), bytes.end(), copies.bytes().data()) - bytes.size();
      } else {
        regions_.push_back({.bytes = bytes});
        message.regions.push_back(&regions_.back());
        guards.emplace_back(regions_.back());
        memory = regions_.back().bytes.data();
      }
      iovecs.push_back({.iov_base = memory, .iov_len = bytes.size()});
      message.parts.emplace_back(memory, bytes.size());
    }
    const size_t live = Live();
    const bool leased = static_cast<bool>(copies);
    const auto allocation = slab_.Allocate({0, next_owner_}, iovecs, guards, std::move(copies));
    RC_ASSERT(allocation.has_value() == (live < options_.slots));
    if (!allocation.has_value()) {
      // All of it is still ours, and undamaged.
      RC_ASSERT(static_cast<bool>(copies) == leased);  // NOLINT: that is the question.
      for (size_t index = 0; index < guards.size(); ++index) {
        RC_ASSERT(guards[index].region() == message.regions[index]);
        RC_ASSERT(message.regions[index]->drops == 0U);
      }
      return;
    }
    message.handle = allocation->handle;
    RC_ASSERT(slab_.OwnerOf(message.handle) == SlotHandle(0, next_owner_));
    RC_ASSERT(slab_.total_length(message.handle) == message.bytes.size());
    ++next_owner_;
    messages_.push_back(std::move(message));
  }

  void Begin(Message& message) {
    const msghdr& header = slab_.Begin(message.handle);
    message.in_flight = true;
    std::string bytes;
    for (size_t index = 0; index < header.msg_iovlen; ++index) {
      const iovec& part = header.msg_iov[index];
      bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    RC_ASSERT(bytes == message.bytes.substr(message.done));
  }

  static size_t Taken(const Message& message, const Step& step) {
    const size_t left = message.bytes.size() - message.done;
    return step.failed ? 0 : std::max<size_t>(1, left * step.per_mille / 1000);
  }

  void Complete(Message& message, size_t taken, bool more) {
    const std::vector<Reading> reading = Front(message, taken);
    message.in_flight = false;
    message.done += taken;
    if (message.done == message.bytes.size()) message.ended = true;
    if (more) message.held.push_back(reading);
    const auto progress = slab_.Advance(message.handle, taken, more);
    RC_ASSERT((progress == SendSlab<Guard>::Progress::kDone) == message.ended);
  }

  // Where the next `bytes` of the message lie, as the kernel was told.
  static std::vector<Reading> Front(const Message& message, size_t bytes) {
    std::vector<Reading> reading;
    size_t position = 0;
    size_t skip = message.done;
    for (const auto& [memory, length] : message.parts) {
      const size_t skipped = std::min(skip, length);
      skip -= skipped;
      const size_t part = std::min(length - skipped, bytes - position);
      if (part == 0) continue;
      reading.push_back({.memory = memory + skipped,
                         .bytes = message.bytes.substr(message.done + position, part)});
      position += part;
    }
    return reading;
  }

  void Notify(Message& message, size_t which) {
    message.held.erase(message.held.begin() + static_cast<std::ptrdiff_t>(which));
    slab_.Notify(message.handle);
  }

  void End(Message& message) {
    message.ended = true;
    slab_.End(message.handle);
  }

  size_t Live() const {
    return static_cast<size_t>(
        std::ranges::count_if(messages_, [](const Message& message) { return !message.over(); }));
  }

  void Check() {
    bool in_flight = false;
    for (const Message& message : messages_) {
      in_flight |= message.in_flight || !message.held.empty();
      for (const Region* region : message.regions) {
        RC_ASSERT(region->drops == (message.over() ? 1U : 0U));
      }
      RC_ASSERT(slab_.OwnerOf(message.handle).has_value() == !message.over());
      // The kernel reads late.
      for (const auto& readings : message.held) {
        for (const Reading& reading : readings) {
          RC_ASSERT(std::memcmp(reading.memory, reading.bytes.data(), reading.bytes.size()) == 0);
        }
      }
    }
    RC_ASSERT(slab_.has_in_flight() == in_flight);
    RC_ASSERT(slab_.size() == Live());
    RC_ASSERT(slab_.late_notifications() == late_);
  }

  SendSlabOptions options_;
  std::deque<Region> regions_;  // They outlive the guards, and stay where they are.
  CopyPool pool_;
  SendSlab<Guard> slab_;
  std::deque<Message> messages_;
  uint64_t next_ = 0;
  uint32_t next_owner_ = 0;
  uint64_t late_ = 0;
};

RC_GTEST_PROP(SendSlab, WhatIsPinnedIsLetGoOnceAndNotBeforeTheKernelHasRead, ()) {
  const SendSlabOptions options{.slots = *rc::gen::element<uint32_t>(1, 2, 5, 512),
                                .iovecs = *rc::gen::element<uint32_t>(1, 3, 32),
                                .guards = *rc::gen::element<uint32_t>(1, 3, 8)};
  const auto copy_slots = *rc::gen::element<uint32_t>(0, 1, 64);
  const auto steps = *rc::gen::container<std::vector<Step>>(AnyStep());
  Exchange(options, copy_slots).Run(steps);
}

}  // namespace
}  // namespace orrery

// What an application may append to a connection's output, as data that RapidCheck generates and
// shrinks, and the naive model of what the peer must read: one string.
//
// Used by the chunking properties, on the send path alone and through the fake kernel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/shared_bytes.h"
#include "rapidcheck.h"
#include "runtime/pending_output.h"

namespace orrery {

struct OutputStep {
  enum class Kind : uint8_t {
    kBytes,    // Append `size` bytes.
    kBody,     // Borrow a new body of `size` bytes.
    kSame,     // Borrow one of the earlier bodies once more.
    kReserve,  // Reserve `size` bytes (as many as a block has, at most) and use half of them.
    kNothing,  // Reserve, and use nothing.
    kMany,     // `size` (at most 1500) times a short header and a short body.
  };
  Kind kind = Kind::kBytes;
  uint32_t size = 0;
};

inline std::ostream& operator<<(std::ostream& out, const OutputStep& step) {
  constexpr const char* kNames[] = {"bytes", "body", "same", "reserve", "nothing", "many"};
  return out << kNames[static_cast<int>(step.kind)] << "(" << step.size << ")";
}

// Sizes around those where something changes: nothing, one, a block, many blocks.
inline rc::Gen<uint32_t> AnyOutputSize() {
  constexpr auto kBlock = static_cast<uint32_t>(PendingOutput::kBlockBytes);
  return rc::gen::weightedOneOf<uint32_t>({
      {1, rc::gen::just<uint32_t>(0)},
      {6, rc::gen::inRange<uint32_t>(1, 40)},
      {3, rc::gen::inRange<uint32_t>(kBlock - 3, kBlock + 4)},
      {2, rc::gen::inRange<uint32_t>(1, 3 * kBlock)},
  });
}

inline rc::Gen<OutputStep> AnyOutputStep() {
  using Kind = OutputStep::Kind;
  return rc::gen::build<OutputStep>(
      rc::gen::set(&OutputStep::kind, rc::gen::weightedElement<Kind>({{8, Kind::kBytes},
                                                                      {8, Kind::kBody},
                                                                      {2, Kind::kSame},
                                                                      {3, Kind::kReserve},
                                                                      {1, Kind::kNothing},
                                                                      {1, Kind::kMany}})),
      rc::gen::set(&OutputStep::size, AnyOutputSize()));
}

// The naive model: the whole stream in one string, and where each borrowed body ends in it.
class NaiveOutput {
 public:
  // Does `step` to `output` and to the model.
  void Apply(const OutputStep& step, PendingOutput& output) {
    using Kind = OutputStep::Kind;
    switch (step.kind) {
      case Kind::kBytes:
        return AppendBytes(step.size, output);
      case Kind::kBody:
        return AppendBody(step.size, output);
      case Kind::kSame:
        return bodies_.empty() ? AppendBody(step.size, output)
                               : Borrow(bodies_[step.size % bodies_.size()], output);
      case Kind::kReserve:
        return Reserve(step.size, step.size / 2, output);
      case Kind::kNothing:
        return Reserve(step.size, 0, output);
      case Kind::kMany:
        for (uint32_t count = 0; count < step.size % 1500; ++count) {
          AppendBytes(1 + count % 3, output);
          AppendBody(1 + count % 5, output);
        }
        return;
    }
  }

  const std::string& stream() const { return stream_; }
  uint64_t copied_bytes() const { return copied_bytes_; }

  // Checks that, with `done` bytes of the stream done, the bodies around the end of what is done
  // are held exactly as often as they stand in the rest.
  void CheckBodies(size_t done, const PendingOutput& output) {
    constexpr size_t kAround = 32;
    const size_t first = released_ - std::min(released_, kAround);
    for (; released_ < borrows_.size() && borrows_[released_].end <= done; ++released_) {
      --bodies_[borrows_[released_].body].held;
    }
    RC_ASSERT(output.bodies() == borrows_.size() - released_);
    const size_t last = std::min(borrows_.size(), released_ + kAround);
    for (size_t index = first; index < last; ++index) {
      const Body& body = bodies_[borrows_[index].body];
      RC_ASSERT(body.bytes.references() == 1 + body.held);
    }
  }

  // Checks that nobody holds a body but the model itself.
  void CheckAllReleased() const {
    for (const Body& body : bodies_) RC_ASSERT(body.bytes.references() == 1U);
  }

 private:
  struct Body {
    SharedBytes bytes;
    uint32_t held = 0;
    uint32_t index = 0;
  };
  struct Loan {
    size_t end;
    uint32_t body;
  };

  // Bytes that say where they stand, so that a wrong position cannot look right.
  std::string Fresh(size_t size) {
    std::string bytes;
    bytes.reserve(size);
    for (size_t count = 0; count < size; ++count) {
      const uint64_t position = next_byte_++;
      bytes.push_back(static_cast<char>(position ^ position >> 8 ^ position >> 16));
    }
    return bytes;
  }

  void AppendBytes(size_t size, PendingOutput& output) {
    const std::string bytes = Fresh(size);
    output.Append(bytes);
    stream_ += bytes;
    copied_bytes_ += size;
  }

  void AppendBody(size_t size, PendingOutput& output) {
    bodies_.push_back(
        {.bytes = SharedBytes::Copy(Fresh(size)), .index = static_cast<uint32_t>(bodies_.size())});
    Borrow(bodies_.back(), output);
  }

  void Borrow(Body& body, PendingOutput& output) {
    output.AppendBody(body.bytes);
    stream_ += body.bytes.view();
    if (body.bytes.empty()) return;
    ++body.held;
    borrows_.push_back({.end = stream_.size(), .body = body.index});
  }

  void Reserve(size_t size, size_t used, PendingOutput& output) {
    const size_t bytes_min = size % (PendingOutput::kBlockBytes + 1);
    const std::span<char> room = output.Reserve(bytes_min);
    RC_ASSERT(room.size() >= bytes_min);
    const std::string bytes = Fresh(std::min(used, bytes_min));
    std::copy(bytes.begin(), bytes.end(), room.begin());
    output.Commit(bytes.size());
    stream_ += bytes;
    copied_bytes_ += bytes.size();
  }

  std::string stream_;
  uint64_t copied_bytes_ = 0;
  uint64_t next_byte_ = 0;
  std::vector<Body> bodies_;
  std::vector<Loan> borrows_;  // In stream order.
  size_t released_ = 0;
};

}  // namespace orrery

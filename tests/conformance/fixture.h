// What every conformance test stands on: a world, a ring in it, and helpers to drive them.
//
// Most bodies drive one ring, and the fixture has DrivenRing's words for it; UseAnotherRing() gives
// them more. Every wait has a bound (of the world's own clock), after which the test fails.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/ring/user_data.h"
#include "tests/conformance/driven_ring.h"
#include "tests/conformance/world.h"

namespace orrery::conformance {

// A ring of provided buffers. Outlives the ring that it is registered with.
class BufferGroup {
 public:
  // `entries`: a power of two. All buffers are empty and unpublished.
  // `flags`: of the registration, such as IOU_PBUF_RING_INC.
  BufferGroup(Ring& ring, uint16_t group, unsigned entries, unsigned buffer_bytes,
              uint16_t flags = 0);
  BufferGroup(const BufferGroup&) = delete;
  BufferGroup& operator=(const BufferGroup&) = delete;
  ~BufferGroup();

  uint16_t group() const { return group_; }
  // Gives buffer `buffer` to the kernel, behind those that it has.
  void Publish(uint16_t buffer);
  void PublishAll();
  void PublishWithLength(uint16_t buffer, unsigned bytes);
  // Publishes an address that no program has: null, or a bad one.
  void PublishNowhere(uint16_t buffer, unsigned bytes, bool null);
  // Publishes it with these bytes in it, to be sent.
  void PublishText(uint16_t buffer, std::string_view text);
  // What a completion left in its buffer. REQUIRES: it has one.
  std::string BytesOf(const Seen& seen) const;
  // `count` bytes from `begin` on in `buffer`, or, with wrap-around, in those behind it.
  std::string Bytes(uint16_t buffer, size_t begin, size_t count) const;

 private:
  uint16_t group_;
  unsigned entries_;
  unsigned buffer_bytes_;
  io_uring_buf_ring* shared_;
  std::vector<std::byte> memory_;
};

// A connection: the program's descriptor and the other end.
struct Connection {
  int fd = -1;
  World::Peer peer = 0;
};

class Conformance : public testing::TestWithParam<WorldKind> {
 protected:
  static constexpr Nanoseconds kWaitBound = DrivenRing::kWaitBound;
  static constexpr Nanoseconds kQuiet = DrivenRing::kQuiet;

  Conformance();
  ~Conformance() override;
  void SetUp() override;

  bool deferred() const;
  // Set-up flags of this world's mode, and these.
  unsigned Mode(unsigned flags) const {
    return (deferred() ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0U) | flags;
  }
  World& world() { return *world_; }
  Kernel& kernel() { return world_->kernel(); }
  DrivenRing& driven() { return *main_; }
  Ring& ring() { return main_->ring(); }
  SubmissionQueue& queue() { return main_->queue(); }

  // Replaces the ring. REQUIRES: nothing was submitted to the old one.
  void UseRing(const RingOptions& options);
  // The same with a ring of exactly these flags and sizes.
  void UseRing(unsigned entries, unsigned flags);
  // One more ring in the mode of this world. All die at the end of the test.
  DrivenRing& UseAnotherRing(const RingOptions& options = {.sq_entries = 16, .cq_entries = 64});
  void DropOtherRings() { others_.clear(); }
  // One of exactly these flags and sizes.
  DrivenRing& UseAnotherRing(unsigned entries, unsigned flags);
  // io_uring_setup(2) with these flags: the error, or 0.
  int SetUpError(unsigned entries, unsigned flags, unsigned cq_entries = 0);
  // A group of provided buffers that dies after the ring; all published.
  BufferGroup& UseBuffers(uint16_t group, unsigned entries, unsigned buffer_bytes,
                          uint16_t flags = 0);

  // The same with nothing published.
  BufferGroup& UseEmptyGroup(uint16_t group, unsigned entries, unsigned buffer_bytes,
                             uint16_t flags = 0);

  // A listener of the program's, made at the first call.
  int listener();
  uint16_t port();
  // An established connection, accepted through the ring.
  Connection Connect();

  // Sends `bytes` to the program, and lets them arrive without entering the ring. With a ring that
  // is not deferred they may have been received after that.
  void Deliver(const Connection& connection, std::string_view bytes);

  // Prepares an operation that SubmissionQueue does not offer: `fill` gets a zeroed SQE.
  template <typename Fill>
  void Add(uint32_t id, Fill fill) {
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring().memory());
    ASSERT_NE(sqe, nullptr);
    *sqe = {};
    fill(sqe);
    sqe->user_data = Id(id).Pack();
  }
  // Of the ring, as DrivenRing has them.
  io_uring_sqe& Raw(unsigned opcode, uint32_t id) { return main_->Raw(opcode, id); }
  // Ends with `result` at once; `flags` of the SQE.
  void Nop(uint32_t id, unsigned flags = 0, int32_t result = 0) {
    io_uring_sqe& sqe = Raw(IORING_OP_NOP, id);
    sqe.rw_flags = 1;  // IORING_NOP_INJECT_RESULT
    sqe.len = static_cast<uint32_t>(result);
    sqe.flags = static_cast<uint8_t>(flags);
  }
  io_uring_sqe& LastSqe() { return main_->LastSqe(); }
  EnterResult Enter(unsigned min_complete = 0, Nanoseconds timeout = kWaitBound) {
    return main_->Enter(min_complete, timeout);
  }
  void Submit() { main_->Submit(); }
  std::vector<Seen> Visible() { return main_->Visible(); }
  std::vector<Seen> Await(size_t count) { return main_->Await(count); }
  Seen AwaitOne() { return main_->AwaitOne(); }
  void ExpectQuiet() { main_->ExpectQuiet(); }

  // Exactly `bytes` bytes, or what came before the end, a reset or the bound.
  PeerRead ReadFromPeer(World::Peer peer, size_t bytes);
  // Everything up to the end or a reset. Fails the test when neither comes.
  PeerRead ReadToEnd(World::Peer peer);
  // Sends until nothing fits any more; how many bytes that took. The k-th byte is PatternByte(k).
  size_t Fill(const Connection& connection);

  static char PatternByte(size_t position) { return static_cast<char>('a' + position % 23); }
  static std::string Pattern(size_t begin, size_t bytes);

  static std::span<const std::byte> AsBytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

 private:
  std::unique_ptr<World> world_;
  std::vector<std::unique_ptr<BufferGroup>> groups_;
  std::unique_ptr<DrivenRing> main_;
  std::vector<std::unique_ptr<DrivenRing>> others_;
  int listener_ = -1;
};

// For INSTANTIATE_TEST_SUITE_P(Kernels, Suite, AllWorlds(), WorldName).
inline auto AllWorlds() {
  return testing::Values(WorldKind::kRealDeferred, WorldKind::kRealPlain, WorldKind::kModelDeferred,
                         WorldKind::kModelPrompt);
}
std::string WorldName(const testing::TestParamInfo<WorldKind>& info);

}  // namespace orrery::conformance

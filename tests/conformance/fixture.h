// What every conformance test stands on: a world, one ring in it, and helpers to drive them.
//
// A test body drives one ring by hand: it prepares operations with queue(), enters, and looks at
// the completions. Every wait has a bound (of the world's own clock), after which the test fails.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
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
#include "tests/conformance/world.h"

namespace orrery::conformance {

// The name by which a test knows an operation.
constexpr UserData Id(uint32_t number) {
  return {.operation = Operation::kTest, .slot = {.index = number, .generation = 1}};
}

// A completion as the kernel wrote it.
struct Seen {
  uint32_t id = 0;
  int32_t result = 0;
  uint32_t flags = 0;

  bool more() const { return (flags & IORING_CQE_F_MORE) != 0; }
  bool not_empty() const { return (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0; }
  std::optional<uint16_t> buffer() const;
};
void PrintTo(const Seen& seen, std::ostream* out);

// The last completion of operation `id`.
MATCHER_P2(Final, id, result, "") {
  return arg.id == static_cast<uint32_t>(id) && arg.result == static_cast<int>(result) &&
         !arg.more();
}
// One that others will follow.
MATCHER_P2(More, id, result, "") {
  return arg.id == static_cast<uint32_t>(id) && arg.result == static_cast<int>(result) &&
         arg.more();
}

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
  static constexpr Nanoseconds kWaitBound = 5 * kSecond;
  static constexpr Nanoseconds kQuiet = 20 * kMillisecond;

  Conformance();
  ~Conformance() override;
  void SetUp() override;

  bool deferred() const;
  World& world() { return *world_; }
  Kernel& kernel() { return world_->kernel(); }
  Ring& ring() { return *ring_; }
  SubmissionQueue& queue() { return *queue_; }

  // Replaces the ring. REQUIRES: nothing was submitted to the old one.
  void UseRing(const RingOptions& options);
  // A group of provided buffers that dies after the ring; all published.
  BufferGroup& UseBuffers(uint16_t group, unsigned entries, unsigned buffer_bytes,
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
  // The SQE of the test's operation `id`, for what SubmissionQueue has no words for: zeroed, but
  // for its opcode and user data.
  io_uring_sqe& Raw(unsigned opcode, uint32_t id);
  // The SQE that was prepared last, to add to it.
  io_uring_sqe& LastSqe();

  // Publishes what is prepared and enters. `timeout` bounds a wait.
  EnterResult Enter(unsigned min_complete = 0, Nanoseconds timeout = kWaitBound);
  // As Enter(0), and checks that everything prepared was consumed.
  void Submit();
  // The completions that are in the ring now, without entering the kernel.
  std::vector<Seen> Visible();
  // At least `count` completions: enters until they are there. Fails the test at the bound.
  std::vector<Seen> Await(size_t count);
  // Await(1), for one completion exactly.
  Seen AwaitOne();
  // Nothing completes, although the ring is entered.
  void ExpectQuiet();

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
  std::unique_ptr<Ring> ring_;
  std::optional<SubmissionQueue> queue_;
  int listener_ = -1;
};

// For INSTANTIATE_TEST_SUITE_P(Kernels, Suite, AllWorlds(), WorldName).
inline auto AllWorlds() {
  return testing::Values(WorldKind::kRealDeferred, WorldKind::kRealPlain, WorldKind::kModelDeferred,
                         WorldKind::kModelPrompt);
}
std::string WorldName(const testing::TestParamInfo<WorldKind>& info);

}  // namespace orrery::conformance

// Random programs under random choices: no byte is lost or changed, every request ends once,
// buffers and descriptors are conserved, and a run is a function of its seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>

#include "base/prng.h"
#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

// A hash of (seed, site, entity, ordinal), benign most of the time.
class HashChoice final : public Choice {
 public:
  explicit HashChoice(uint64_t seed) : seed_(seed) {}
  uint64_t Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) override {
    uint64_t word = Combine(seed_, static_cast<uint64_t>(site));
    word = Combine(Combine(word, entity), ordinal);
    return (word & 7) != 0 ? 0 : Bounded(Mix64(word), alternatives);
  }

 private:
  uint64_t seed_;
};

class HashingObserver final : public Observer {
 public:
  void OnEvent(const Event& event) override {
    hash = Combine(hash, static_cast<uint64_t>(event.kind));
    hash = Combine(hash, event.entity);
    for (const int64_t value : {event.a, event.b, event.c}) {
      hash = Combine(hash, static_cast<uint64_t>(value));
    }
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    ADD_FAILURE() << invariant << ": " << detail;
  }
  uint64_t hash = 0;
};

constexpr uint16_t kGroup = 1;
constexpr unsigned kBuffers = 8;
constexpr uint32_t kBufferBytes = 24;

// user_data: kind << 32 | connection.
enum Kind : uint64_t { kAcceptKind = 1, kReceiveKind, kSendKind, kCloseKind, kCancelKind };

// Echoes what peers send, in the simplest way that is right.
class Echo {
 public:
  Echo(uint64_t seed, TaskWork task_work)
      : prng_(seed),
        choice_(seed),
        kernel_(Options(seed, task_work), choice_, &observer_),
        buffers_(kGroup, kBuffers, kBufferBytes) {
    auto ring = kernel_.MakeRing({});
    ring_ = std::move(*ring);
    EXPECT_TRUE(buffers_.Register(*ring_).has_value());
    buffers_.PublishAll();
    listener_ = *kernel_.Listen({.address = "127.0.0.1", .port = 0, .backlog = 4});
  }

  uint64_t Run() {
    for (int round = 0; round < 400; ++round) {
      if (round < 200) StepPeers();
      Drain();
      Arm();
      Enter();
      Reap();
      if (kernel_.NextEventAt() != kNever && prng_.Chance(1, 3)) {
        kernel_.AdvanceTo(kernel_.NextEventAt());
      }
    }
    Settle();
    return observer_.hash;
  }

 private:
  struct Connection {
    int fd = -1;
    uint64_t peer = 0;
    bool armed = false;
    bool sending = false;
    bool ended = false;
    bool closing = false;
    std::string pending;  // Echo that is to be sent.
    std::string in_flight;
  };
  struct Peer {
    std::string sent;
    std::string received;
    bool finished = false;
  };

  static ModelOptions Options(uint64_t seed, TaskWork task_work) {
    return {.task_work = task_work,
            .sq_entries = 1U << (seed % 4),
            .cq_entries = 8,
            .socket_buffer_bytes = 1 + Mix64(seed) % 100};
  }

  io_uring_sqe* Sqe() {
    io_uring_sqe* const sqe = io_uring_get_sqe(&ring_->memory());
    if (sqe != nullptr) std::memset(sqe, 0, sizeof *sqe);
    return sqe;
  }

  void StepPeers() {
    if (peers_.size() < 6 && prng_.Chance(1, 4)) {
      const auto peer = kernel_.PeerConnect(*kernel_.LocalPort(listener_));
      if (peer.has_value()) peers_[*peer];
    }
    for (auto& [id, peer] : peers_) {
      if (peer.finished || !prng_.Chance(1, 2)) continue;
      std::string text(prng_.Below(60), '\0');
      for (char& byte : text) byte = static_cast<char>('a' + prng_.Below(26));
      const auto sent = kernel_.PeerSend(id, std::as_bytes(std::span(text)));
      ASSERT_TRUE(sent.has_value());
      peer.sent += text.substr(0, *sent);
      if (prng_.Chance(1, 20)) {
        kernel_.PeerShutdownWrite(id);
        peer.finished = true;
      }
    }
  }

  void Drain() {
    for (auto& [id, peer] : peers_) {
      if (!prng_.Chance(2, 3)) continue;
      std::byte bytes[64];
      const PeerRead read = kernel_.PeerReceive(id, std::span(bytes).first(1 + prng_.Below(64)));
      EXPECT_FALSE(read.reset);
      peer.received.append(reinterpret_cast<const char*>(bytes), read.bytes);
    }
  }

  void Arm() {
    if (!accepting_) {
      if (io_uring_sqe* sqe = Sqe()) {
        io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, 0);
        sqe->user_data = kAcceptKind << 32;
        accepting_ = true;
      }
    }
    for (auto& [index, connection] : connections_) ArmConnection(index, connection);
  }

  void ArmConnection(uint64_t index, Connection& connection) {
    if (connection.fd < 0 || connection.closing) return;
    if (!connection.armed && !connection.ended) {
      if (io_uring_sqe* sqe = Sqe()) {
        io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = kGroup;
        sqe->user_data = kReceiveKind << 32 | index;
        connection.armed = true;
      }
    }
    if (connection.armed && prng_.Chance(1, 30)) {
      if (io_uring_sqe* sqe = Sqe()) {
        io_uring_prep_cancel64(sqe, kReceiveKind << 32 | index, 0);
        sqe->user_data = kCancelKind << 32 | index;
      }
    }
    if (!connection.sending && !connection.pending.empty()) {
      if (io_uring_sqe* sqe = Sqe()) {
        connection.in_flight = std::exchange(connection.pending, {});
        io_uring_prep_send(sqe, connection.fd, connection.in_flight.data(),
                           connection.in_flight.size(), MSG_NOSIGNAL);
        sqe->user_data = kSendKind << 32 | index;
        connection.sending = true;
      }
    }
    if (connection.ended && !connection.sending && connection.pending.empty()) {
      if (io_uring_sqe* sqe = Sqe()) {
        io_uring_prep_close(sqe, connection.fd);
        sqe->user_data = kCloseKind << 32 | index;
        connection.closing = true;
      }
    }
  }

  void Enter() {
    io_uring_sq& sq = ring_->memory().sq;
    sq.sqe_head = sq.sqe_tail;
    io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
    const unsigned queued = sq.sqe_tail - *sq.khead;
    const auto min = static_cast<unsigned>(prng_.Below(3));
    (void)ring_->Enter({.to_submit = queued,
                        .min_complete = min,
                        .deadline = kernel_.MonotonicNow() + 10 * kMicrosecond});
    if (prng_.Chance(1, 2)) kernel_.rings()[0]->Interrupt();
  }

  void Reap() {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
      ++count;
      Handle(cqe->user_data >> 32, cqe->user_data & 0xffffffff, *cqe);
    }
    io_uring_cq_advance(&ring_->memory(), count);
  }

  void Handle(uint64_t kind, uint64_t index, const io_uring_cqe& cqe) {
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if (kind == kAcceptKind) {
      if (!more) accepting_ = false;
      if (cqe.res >= 0) connections_[next_++].fd = cqe.res;
      return;
    }
    Connection& connection = connections_.at(index);
    if (kind == kReceiveKind) {
      if (!more) connection.armed = false;
      if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
        const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
        ASSERT_GT(cqe.res, 0);
        connection.pending += buffers_.Text(id, static_cast<size_t>(cqe.res));
        buffers_.Publish(id);
      } else if (cqe.res == 0) {
        connection.ended = true;
      } else {
        EXPECT_TRUE(cqe.res == -ENOBUFS || cqe.res == -ECANCELED) << cqe.res;
      }
    } else if (kind == kSendKind) {
      ASSERT_GT(cqe.res, 0);
      connection.sending = false;
      connection.pending.insert(0, connection.in_flight.substr(static_cast<size_t>(cqe.res)));
    } else if (kind == kCloseKind) {
      EXPECT_EQ(cqe.res, 0);
      connection.fd = -1;
    } else {
      EXPECT_TRUE(cqe.res == 0 || cqe.res == -ENOENT) << cqe.res;
    }
  }

  // Lets everything finish, and looks at what is left.
  void Settle() {
    for (auto& [id, peer] : peers_) kernel_.PeerShutdownWrite(id);
    for (int round = 0; round < 3000; ++round) {
      Drain();
      Arm();
      Enter();
      Reap();
      if (kernel_.NextEventAt() != kNever) kernel_.AdvanceTo(kernel_.NextEventAt());
    }
    for (auto& [id, peer] : peers_) {
      EXPECT_EQ(peer.sent, peer.received);
      EXPECT_TRUE(kernel_.PeerEnded(id));
    }
    EXPECT_EQ(kernel_.open_descriptors(), 1U);    // The listener.
    EXPECT_EQ(kernel_.requests_in_flight(), 1U);  // Its accept.
    EXPECT_EQ(kernel_.rings()[0]->provided_buffers(kGroup), kBuffers);
    ring_.reset();
    EXPECT_EQ(kernel_.requests_in_flight(), 0U);
  }

  Prng prng_;
  HashChoice choice_;
  HashingObserver observer_;
  ModelKernel kernel_;
  TestBuffers buffers_;
  std::unique_ptr<Ring> ring_;
  int listener_ = -1;
  bool accepting_ = false;
  uint64_t next_ = 0;
  std::map<uint64_t, Connection> connections_;
  std::map<uint64_t, Peer> peers_;
};

class RandomTest : public ::testing::TestWithParam<TaskWork> {};

TEST_P(RandomTest, EchoesEveryByteFromEverySeed) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const uint64_t hash = Echo(seed, GetParam()).Run();
    if (seed % 10 == 0) {
      EXPECT_EQ(Echo(seed, GetParam()).Run(), hash);
    }
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, RandomTest,
                         ::testing::Values(TaskWork::kDeferred, TaskWork::kPrompt));

}  // namespace
}  // namespace orrery::model

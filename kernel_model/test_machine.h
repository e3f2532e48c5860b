// What the tests of this folder share: a machine with one ring, a recording observer, and short
// ways to submit, reap, connect and provide buffers.
#pragma once

#include <gtest/gtest.h>
#include <liburing.h>
#include <poll.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/observer.h"
#include "kernel_model/scripted_choice.h"

// gcc has the macro, clang the feature.
#if defined(__SANITIZE_ADDRESS__)
#define ORRERY_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ORRERY_TEST_ASAN 1
#endif
#endif

namespace orrery::model {

inline constexpr uint32_t kMore = IORING_CQE_F_MORE;
inline constexpr uint32_t kBuffer = IORING_CQE_F_BUFFER;
inline constexpr uint32_t kNotEmpty = IORING_CQE_F_SOCK_NONEMPTY;

struct Cqe {
  uint64_t user_data = 0;
  int32_t res = 0;
  uint32_t flags = 0;

  friend bool operator==(const Cqe&, const Cqe&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Cqe& cqe) {
    return out << "{" << cqe.user_data << ", " << cqe.res << ", " << cqe.flags << "}";
  }
};

using Cqes = std::vector<Cqe>;

class RecordingObserver final : public Observer {
 public:
  void OnEvent(const Event& event) override { events.push_back(event); }
  void OnViolation(std::string_view invariant, std::string_view) override {
    violations.emplace_back(invariant);
  }
  size_t Faults(Site site) const {
    size_t count = 0;
    for (const Event& event : events) {
      count += event.kind == EventKind::kFault && event.a == static_cast<int64_t>(site);
    }
    return count;
  }

  std::vector<Event> events;
  std::vector<std::string> violations;
};

// A ring of provided buffers in memory of its own.
class TestBuffers {
 public:
  static constexpr size_t kPageBytes = 4096;

  TestBuffers(uint16_t group, unsigned entries, uint32_t buffer_bytes)
      : group_(group), entries_(entries), buffer_bytes_(buffer_bytes) {
    const size_t ring_bytes = (entries * sizeof(io_uring_buf) + kPageBytes - 1) / kPageBytes;
    ring_ = static_cast<io_uring_buf_ring*>(
        ::operator new(ring_bytes * kPageBytes, std::align_val_t{kPageBytes}));
    std::memset(static_cast<void*>(ring_), 0, ring_bytes * kPageBytes);
    memory_.resize(size_t{entries} * buffer_bytes);
  }
  TestBuffers(const TestBuffers&) = delete;
  TestBuffers& operator=(const TestBuffers&) = delete;
  ~TestBuffers() { ::operator delete(ring_, std::align_val_t{kPageBytes}); }

  std::expected<unsigned, Errno> Register(Ring& ring, uint16_t flags = 0) {
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<uint64_t>(ring_);
    request.ring_entries = entries_;
    request.bgid = group_;
    request.pad = flags;  // Where newer headers have the flags.
    return ring.Register(IORING_REGISTER_PBUF_RING, &request, 1);
  }
  std::expected<unsigned, Errno> Unregister(Ring& ring) {
    io_uring_buf_reg request{};
    request.bgid = group_;
    return ring.Register(IORING_UNREGISTER_PBUF_RING, &request, 1);
  }

  std::byte* At(uint16_t id) { return &memory_[size_t{id} * buffer_bytes_]; }
  std::string Text(uint16_t id, size_t bytes) {
    return {reinterpret_cast<const char*>(At(id)), bytes};
  }
  void Publish(uint16_t id) { PublishAs(id, At(id), buffer_bytes_); }
  void PublishAs(uint16_t id, std::byte* address, uint32_t bytes) {
    io_uring_buf_ring_add(ring_, address, bytes, id, static_cast<int>(entries_ - 1), 0);
    io_uring_buf_ring_advance(ring_, 1);
  }
  void PublishAll() {
    for (unsigned id = 0; id < entries_; ++id) Publish(static_cast<uint16_t>(id));
  }
  io_uring_buf_ring* ring() { return ring_; }

 private:
  const uint16_t group_;
  const unsigned entries_;
  const uint32_t buffer_bytes_;
  io_uring_buf_ring* ring_;
  std::vector<std::byte> memory_;
};

class TestMachine {
 public:
  explicit TestMachine(const ModelOptions& options = {}, const RingOptions& ring_options = {})
      : kernel(options, choice, &observer) {
    auto made = kernel.MakeRing(ring_options);
    ORRERY_CHECK(made.has_value());
    ring_ = std::move(*made);
  }

  ModelRing& ring() { return *kernel.rings()[0]; }
  io_uring& memory() { return ring_->memory(); }
  void DestroyRing() { ring_.reset(); }

  // The next SQE, empty; the test prepares it. `prepare(sqe)` first, the user data afterwards.
  template <typename Prepare>
  void Add(uint64_t user_data, Prepare prepare) {
    io_uring_sqe* const sqe = io_uring_get_sqe(&memory());
    ORRERY_CHECK(sqe != nullptr);
    std::memset(sqe, 0, sizeof *sqe);
    prepare(sqe);
    sqe->user_data = user_data;
  }
  void Nop(uint64_t user_data) {
    Add(user_data, [](io_uring_sqe* sqe) { io_uring_prep_nop(sqe); });
  }
  void ReceiveMultishot(uint64_t user_data, int fd, uint16_t group) {
    Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
  }
  void Receive(uint64_t user_data, int fd, std::span<std::byte> bytes, int flags = 0) {
    Add(user_data,
        [&](io_uring_sqe* sqe) { io_uring_prep_recv(sqe, fd, bytes.data(), bytes.size(), flags); });
  }
  void Send(uint64_t user_data, int fd, std::string_view bytes, int flags = 0) {
    Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, fd, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
    });
  }
  void Cancel(uint64_t user_data, uint64_t target, int flags = 0) {
    Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_cancel64(sqe, target, flags); });
  }
  void Close(uint64_t user_data, int fd) {
    Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_close(sqe, fd); });
  }
  void Accept(uint64_t user_data, int fd) {
    Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_accept(sqe, fd, nullptr, nullptr, 0); });
  }
  void AcceptMultishot(uint64_t user_data, int fd) {
    Add(user_data,
        [&](io_uring_sqe* sqe) { io_uring_prep_multishot_accept(sqe, fd, nullptr, nullptr, 0); });
  }
  void PollMultishot(uint64_t user_data, int fd, unsigned events) {
    Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_poll_multishot(sqe, fd, events); });
  }

  unsigned Publish() {
    io_uring_sq& sq = memory().sq;
    sq.sqe_head = sq.sqe_tail;
    io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
    return sq.sqe_tail - *sq.khead;
  }
  // Enters with everything prepared, without sleeping unless `min` asks for it.
  EnterResult Enter(unsigned min = 0, Nanoseconds deadline = kNever) {
    return ring().Enter({.to_submit = Publish(), .min_complete = min, .deadline = deadline});
  }
  std::optional<EnterResult> Begin(unsigned min, Nanoseconds deadline = kNever) {
    return ring().Begin({.to_submit = Publish(), .min_complete = min, .deadline = deadline});
  }
  Cqes Reap() {
    Cqes result;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&memory(), head, cqe) {
      result.push_back({.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags});
    }
    io_uring_cq_advance(&memory(), static_cast<unsigned>(result.size()));
    return result;
  }
  // Enter without waiting, and what it brought.
  Cqes Look() {
    EXPECT_TRUE(Enter().has_value());
    return Reap();
  }

  int Listen(int backlog = 16) {
    const auto fd = kernel.Listen({.address = "127.0.0.1", .port = 0, .backlog = backlog});
    ORRERY_CHECK(fd.has_value());
    return *fd;
  }
  // A connected stream: the program's descriptor and the peer.
  struct Stream {
    int fd = -1;
    ModelKernel::PeerId peer = 0;
  };
  Stream Connect() {
    const int listener = Listen();
    const auto peer = kernel.PeerConnect(*kernel.LocalPort(listener));
    ORRERY_CHECK(peer.has_value());
    Accept(kInternal, listener);
    ORRERY_CHECK(Enter().has_value());
    const Cqes cqes = Reap();
    ORRERY_CHECK(cqes.size() == 1);
    ORRERY_CHECK(cqes[0].res >= 0);
    kernel.Close(listener);
    return {.fd = cqes[0].res, .peer = *peer};
  }
  // How many bytes went in.
  size_t PeerSend(ModelKernel::PeerId peer, std::string_view text) {
    const auto sent = kernel.PeerSend(peer, std::as_bytes(std::span(text)));
    return sent.has_value() ? *sent : 0;
  }
  std::string PeerReceive(ModelKernel::PeerId peer, size_t bytes_max = 1 << 20) {
    std::string text(bytes_max, '\0');
    text.resize(kernel.PeerReceive(peer, std::as_writable_bytes(std::span(text))).bytes);
    return text;
  }

  static constexpr uint64_t kInternal = 0x7e57;

  ScriptedChoice choice;
  RecordingObserver observer;
  ModelKernel kernel;

 private:
  std::unique_ptr<Ring> ring_;
};

}  // namespace orrery::model

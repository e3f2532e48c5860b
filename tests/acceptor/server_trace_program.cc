#include "tests/acceptor/server_trace_program.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/submission_queue.h"
#include "tests/acceptor/server_trace_recorder.h"

namespace orrery::acceptor {
namespace {

using conformance::World;

constexpr uint32_t kConnections = 24;
constexpr uint16_t kGroup = 3;
constexpr unsigned kBuffers = 64;
constexpr size_t kBufferBytes = 16;
constexpr size_t kPageBytes = 4096;
constexpr Nanoseconds kWaitMax = 5 * kSecond;
constexpr int kEntersMax = 50;

UserData Tag(Operation operation, uint32_t index = 0) {
  return {.operation = operation, .slot = {.index = index, .generation = 0}};
}

class TestProgram {
 public:
  TestProgram(World& world, Kernel& kernel) : world_(world), kernel_(kernel) {
    auto ring = kernel.MakeRing({.sq_entries = 64, .cq_entries = 1024});
    ORRERY_CHECK(ring.has_value());
    ring_ = std::move(*ring);
    queue_ = std::make_unique<SubmissionQueue>(*ring_);
    entries_ =
        static_cast<io_uring_buf_ring*>(::operator new(kPageBytes, std::align_val_t{kPageBytes}));
    io_uring_buf_ring_init(entries_);
    memory_.resize(kBuffers * kBufferBytes);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(entries_);  // The ABI's pointers.
    registration.ring_entries = kBuffers;
    registration.bgid = kGroup;
    ORRERY_CHECK(ring_->Register(IORING_REGISTER_PBUF_RING, &registration, 1).has_value());
    for (uint16_t id = 0; id < kBuffers; ++id) held_.push_back(id);
    GiveBack();
  }
  TestProgram(const TestProgram&) = delete;
  TestProgram& operator=(const TestProgram&) = delete;
  ~TestProgram() {
    io_uring_buf_reg registration{};
    registration.bgid = kGroup;
    (void)ring_->Register(IORING_UNREGISTER_PBUF_RING, &registration, 1);  // It ends anyhow.
    ring_.reset();
    ::operator delete(entries_, std::align_val_t{kPageBytes});
  }

  void Run() {
    Start();
    HelloFromAll();
    MoreThanItsShare();
    Exhaustion();
    CancelsAndSignals();
    EndsOfConnections();
    Stop();
  }

 private:
  struct Served {
    int descriptor = -1;
    World::Peer peer = 0;
    bool armed = false;
    bool ended = false;
  };

  // --- Steps

  void Start() {
    const auto listener =
        kernel_.Listen({.address = "127.0.0.1", .port = 0, .backlog = kConnections});
    ORRERY_CHECK(listener.has_value());
    listener_ = *listener;
    eventfd_ = kernel_.MakeEventFd().value();
    ORRERY_CHECK(queue_->AcceptMultishot(File::Descriptor(listener_), 0, Tag(Operation::kAccept)));
    ORRERY_CHECK(queue_->PollMultishot(File::Descriptor(eventfd_), POLLIN, Tag(Operation::kWaker)));
    Enter(0);
    const uint16_t port = kernel_.LocalPort(listener_).value();
    for (uint32_t index = 0; index < kConnections; ++index) {
      const auto peer = world_.Connect(port);
      ORRERY_CHECK(peer.has_value());
      EnterUntil([&] { return served_.size() == index + 1; });
      ORRERY_CHECK(served_.size() == index + 1);
      served_[index].peer = *peer;
    }
    for (uint32_t index = 0; index < kConnections; ++index) Arm(index);
    Enter(0);
  }

  void HelloFromAll() {
    for (uint32_t index = 0; index < kConnections; ++index) {
      Say(index, "hello " + std::to_string(index));
    }
    Enter(0);
    Enter(0);
    for (uint32_t index = 0; index < kConnections; ++index) Answer(index, "welcome");
    Enter(1);
    GiveBack();
  }

  void MoreThanItsShare() {
    Say(0, std::string(7 * kBufferBytes - 5, 'm'));
    Enter(1);
    Say(1, std::string(50 * kBufferBytes, 's'));
    Say(2, "after it");
    Enter(0);
    Enter(0);
    Enter(0);
    GiveBack();
  }

  void Exhaustion() {
    Say(3, std::string((kBuffers + 3) * kBufferBytes, 'x'));
    Say(4, "too late");
    for (int turn = 0; turn < 4; ++turn) Enter(0);
    ArmEnded();  // Without a buffer, at once.
    Enter(0);
    GiveBack();
    ArmEnded();
    for (int turn = 0; turn < 4; ++turn) Enter(0);
    GiveBack();
  }

  void CancelsAndSignals() {
    Say(5, "unread");
    Say(6, "behind a cancel");
    ORRERY_CHECK(queue_->Cancel(Tag(Operation::kReceive, 5), Tag(Operation::kReceiveCancel, 5)));
    ORRERY_CHECK(queue_->Cancel(Tag(Operation::kReceive, 99), Tag(Operation::kReceiveCancel, 99)));
    world_.SignalEventFd(eventfd_);
    Enter(0);
    Enter(0);
    ArmEnded();
    Enter(0);
    GiveBack();
  }

  void EndsOfConnections() {
    Say(7, "last words");
    world_.ShutdownWrite(served_[7].peer);
    ORRERY_CHECK(world_.AwaitHangup(served_[7].descriptor));
    world_.Reset(served_[8].peer);
    ORRERY_CHECK(world_.AwaitHangup(served_[8].descriptor));
    Enter(0);
    Answer(7, "goodbye");
    Enter(1);
    ORRERY_CHECK(queue_->Shutdown(File::Descriptor(served_[7].descriptor), SHUT_WR,
                                  Tag(Operation::kShutdown, 7)));
    EnterUntil([&] { return shutdowns_ == 1; });
    // What is armed survives the close of its number.
    Close(9);
    Enter(1);
    world_.Close(served_[9].peer);
    EnterUntil([&] { return served_[9].ended; });
    GiveBack();
  }

  void Stop() {
    for (uint32_t index = 10; index < kConnections; ++index) {
      world_.ShutdownWrite(served_[index].peer);
      ORRERY_CHECK(world_.AwaitHangup(served_[index].descriptor));
    }
    Enter(0);
    Enter(0);
    for (uint32_t index = 0; index < kConnections; ++index) {
      if (served_[index].armed) {
        ORRERY_CHECK(
            queue_->Cancel(Tag(Operation::kReceive, index), Tag(Operation::kReceiveCancel, index)));
      }
    }
    ORRERY_CHECK(queue_->Cancel(Tag(Operation::kAccept), Tag(Operation::kAcceptCancel)));
    ORRERY_CHECK(queue_->Cancel(Tag(Operation::kWaker), Tag(Operation::kWakerCancel)));
    for (int turn = 0; turn < 4; ++turn) Enter(0);
    for (uint32_t index = 0; index < kConnections; ++index) {
      if (index != 9) Close(index);
    }
    Enter(1);
    kernel_.Close(eventfd_);
    kernel_.Close(listener_);
  }

  // --- What they are made of

  // A peer's words, which are there when it returns.
  void Say(uint32_t index, const std::string& words) {
    Served& served = served_[index];
    ORRERY_CHECK(world_.Send(served.peer, words) == words.size());
    ORRERY_CHECK(world_.AwaitReadable(served.descriptor, words.size()));
  }

  void Answer(uint32_t index, std::string words) {
    sent_.push_back(std::move(words));
    ORRERY_CHECK(queue_->Send(File::Descriptor(served_[index].descriptor),
                              std::as_bytes(std::span(sent_.back())), 0,
                              Tag(Operation::kSend, index)));
  }

  void Close(uint32_t index) {
    ORRERY_CHECK(
        queue_->Close(File::Descriptor(served_[index].descriptor), Tag(Operation::kClose, index)));
  }

  void Arm(uint32_t index) {
    Served& served = served_[index];
    ORRERY_CHECK(queue_->ReceiveMultishot(File::Descriptor(served.descriptor), kGroup,
                                          Tag(Operation::kReceive, index)));
    served.armed = true;
  }

  void ArmEnded() {
    for (uint32_t index = 0; index < served_.size(); ++index) {
      if (!served_[index].armed && !served_[index].ended) Arm(index);
    }
  }

  void GiveBack() {
    int count = 0;
    for (const uint16_t id : held_) {
      io_uring_buf_ring_add(entries_, &memory_[id * kBufferBytes], kBufferBytes, id,
                            io_uring_buf_ring_mask(kBuffers), count++);
    }
    io_uring_buf_ring_advance(entries_, count);
    held_.clear();
  }

  void Enter(unsigned min_complete) {
    const Nanoseconds deadline = min_complete == 0 ? kNever : kernel_.MonotonicNow() + kWaitMax;
    (void)ring_->Enter(  // What it answers is in the trace.
        {.to_submit = queue_->Publish(), .min_complete = min_complete, .deadline = deadline});
    unsigned seen = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
      Handle(Completion(*cqe));
      ++seen;
    }
    io_uring_cq_advance(&ring_->memory(), seen);
  }

  void EnterUntil(const std::function<bool()>& done) {
    for (int turn = 0; turn < kEntersMax && !done(); ++turn) Enter(1);
  }

  void Handle(const Completion& completion) {
    const UserData tag = completion.user_data();
    if (const auto buffer = completion.buffer()) held_.push_back(*buffer);
    if (tag.operation == Operation::kAccept && completion.ok()) {
      served_.push_back({.descriptor = static_cast<int>(completion.value())});
    } else if (tag.operation == Operation::kShutdown) {
      ++shutdowns_;
    } else if (tag.operation == Operation::kReceive && !completion.more()) {
      Served& served = served_[tag.slot.index];
      served.armed = false;
      served.ended = completion.ok() || completion.failed_with(ECONNRESET);
    }
  }

  World& world_;
  Kernel& kernel_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> queue_;
  io_uring_buf_ring* entries_ = nullptr;
  std::vector<std::byte> memory_;
  std::vector<uint16_t> held_;
  std::deque<std::string> sent_;  // Where the kernel reads it.
  std::vector<Served> served_;
  int listener_ = -1;
  int eventfd_ = -1;
  int shutdowns_ = 0;
};

}  // namespace

std::vector<std::byte> RecordTestProgram(World& world) {
  std::FILE* const file = std::tmpfile();
  ORRERY_CHECK(file != nullptr);
  // A second handle: the writer closes its own.
  const int copy = ::dup(::fileno(file));
  ORRERY_CHECK(copy >= 0);
  TraceWriter writer(::fdopen(copy, "wb"));
  ServerTraceRecorder recorder(world.kernel(), writer);
  TestProgram(world, recorder.kernel()).Run();
  ORRERY_CHECK(recorder.Close());
  std::vector<std::byte> bytes(writer.bytes());
  std::rewind(file);
  ORRERY_CHECK(std::fread(bytes.data(), 1, bytes.size(), file) == bytes.size());
  std::fclose(file);
  return bytes;
}

}  // namespace orrery::acceptor

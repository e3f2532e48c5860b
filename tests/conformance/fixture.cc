#include "tests/conformance/fixture.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "runtime/ring/liburing_ring.h"
#include "tests/conformance/model_world.h"
#include "tests/conformance/real_world.h"
#include "tests/conformance/requirements.h"

namespace orrery::conformance {
namespace {

// Of the operations that helpers submit by themselves.
constexpr uint32_t kHelperId = 0xfffff0;
// More than a stream of either world holds, in pieces of this size.
constexpr size_t kFillBytes = 16 * kKiB;
constexpr size_t kReadBytes = 64 * kKiB;

class FailingObserver final : public model::Observer {
 public:
  void OnEvent(const model::Event&) override {}
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    ADD_FAILURE() << invariant << ": " << detail;
  }
};

// A benign kernel (every choice is 0). A rule of the ring that the test body breaks fails the test.
std::unique_ptr<World> MakeModelWorld(bool deferred) {
  // Neither has a state.
  static model::BenignChoice choice;
  static FailingObserver observer;
  const model::ModelOptions options{.task_work = deferred ? model::TaskWork::kDeferred
                                                          : model::TaskWork::kPrompt};
  return std::make_unique<ModelWorld>(options, choice, observer);
}

bool IsReal(WorldKind kind) {
  return kind == WorldKind::kRealDeferred || kind == WorldKind::kRealPlain;
}

// Why the running kernel cannot show the fact of the current test; empty: it can.
std::string TooOldFor(const testing::TestInfo& test) {
  const std::string_view suite = test.test_suite_name();
  const std::string_view fact = FactOf(test.name());
  const auto needed = NeededFor(suite.substr(suite.rfind('/') + 1), fact);
  const auto running = ParseVersion(RunningKernelVersion());
  if (!needed || !running || *running >= *needed) return "";
  return "needs Linux " + needed->ToString() + ", this is " + running->ToString();
}

std::unique_ptr<World> MakeWorld(WorldKind kind) {
  switch (kind) {
    case WorldKind::kRealDeferred:
      return MakeRealWorld(true);
    case WorldKind::kRealPlain:
      return MakeRealWorld(false);
    case WorldKind::kModelDeferred:
      return MakeModelWorld(true);
    case WorldKind::kModelPrompt:
      return MakeModelWorld(false);
  }
  return nullptr;
}

}  // namespace

BufferGroup::BufferGroup(Ring& ring, uint16_t group, unsigned entries, unsigned buffer_bytes,
                         uint16_t flags)
    : group_(group),
      entries_(entries),
      buffer_bytes_(buffer_bytes),
      memory_(size_t{entries} * buffer_bytes) {
  void* shared = ::mmap(nullptr, entries * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ORRERY_CHECK(shared != MAP_FAILED);
  shared_ = static_cast<io_uring_buf_ring*>(shared);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(shared);  // The ABI carries a pointer so.
  registration.ring_entries = entries;
  registration.bgid = group;
  registration.pad = flags;  // Where newer headers have the flags.
  const auto result = ring.Register(IORING_REGISTER_PBUF_RING, &registration, 1);
  ORRERY_CHECK(result.has_value());
}

BufferGroup::~BufferGroup() { ::munmap(shared_, entries_ * sizeof(io_uring_buf)); }

void BufferGroup::Publish(uint16_t buffer) { PublishWithLength(buffer, buffer_bytes_); }

void BufferGroup::PublishAll() {
  for (unsigned i = 0; i < entries_; ++i) Publish(static_cast<uint16_t>(i));
}

void BufferGroup::PublishWithLength(uint16_t buffer, unsigned bytes) {
  ORRERY_CHECK(buffer < entries_ && bytes <= buffer_bytes_);
  ::io_uring_buf_ring_add(shared_, memory_.data() + size_t{buffer} * buffer_bytes_, bytes, buffer,
                          static_cast<int>(entries_ - 1), 0);
  ::io_uring_buf_ring_advance(shared_, 1);
}

void BufferGroup::PublishNowhere(uint16_t buffer, unsigned bytes, bool null) {
  // Nothing is ever mapped in the first page.
  void* const nowhere = null ? nullptr : reinterpret_cast<void*>(uintptr_t{8});
  ::io_uring_buf_ring_add(shared_, nowhere, bytes, buffer, static_cast<int>(entries_ - 1), 0);
  ::io_uring_buf_ring_advance(shared_, 1);
}

void BufferGroup::PublishText(uint16_t buffer, std::string_view text) {
  ORRERY_CHECK(buffer < entries_ && text.size() <= buffer_bytes_);
  std::memcpy(memory_.data() + size_t{buffer} * buffer_bytes_, text.data(), text.size());
  PublishWithLength(buffer, static_cast<unsigned>(text.size()));
}

std::string BufferGroup::BytesOf(const Seen& seen) const {
  const std::optional<uint16_t> buffer = seen.buffer();
  ORRERY_CHECK(buffer && *buffer < entries_);
  ORRERY_CHECK(seen.result >= 0 && static_cast<unsigned>(seen.result) <= buffer_bytes_);
  // Bytes that were received are text to these tests.
  const auto* bytes =
      reinterpret_cast<const char*>(memory_.data() + size_t{*buffer} * buffer_bytes_);
  return {bytes, static_cast<size_t>(seen.result)};
}

std::string BufferGroup::Bytes(uint16_t buffer, size_t begin, size_t count) const {
  std::string bytes;
  // Bytes that were received are text to these tests.
  const auto* memory = reinterpret_cast<const char*>(memory_.data());
  for (size_t at = size_t{buffer} * buffer_bytes_ + begin; bytes.size() < count; ++at) {
    bytes += memory[at % memory_.size()];
  }
  return bytes;
}

Conformance::Conformance() : world_(MakeWorld(GetParam())) {}

Conformance::~Conformance() {
  others_.clear();
  main_.reset();
  if (listener_ >= 0) kernel().Close(listener_);
  groups_.clear();
}

void Conformance::SetUp() {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  UseRing({.sq_entries = 64, .cq_entries = 256});
  // What a derived fixture sets up after this finds its ring even so.
  const std::string too_old = IsReal(GetParam()) ? TooOldFor(test) : "";
  if (!too_old.empty()) GTEST_SKIP() << too_old;
}

bool Conformance::deferred() const {
  return GetParam() == WorldKind::kRealDeferred || GetParam() == WorldKind::kModelDeferred;
}

void Conformance::UseRing(const RingOptions& options) {
  main_.reset();
  auto ring = world_->MakeRing(options);
  ASSERT_TRUE(ring) << ring.error();
  main_ = std::make_unique<DrivenRing>(*world_, *std::move(ring));
}

void Conformance::UseRing(unsigned entries, unsigned flags) {
  main_.reset();
  io_uring_params parameters{};
  parameters.flags = flags;
  auto ring = world_->SetUpRing(entries, parameters);
  ASSERT_TRUE(ring) << ring.error().ToString();
  main_ = std::make_unique<DrivenRing>(*world_, *std::move(ring));
}

DrivenRing& Conformance::UseAnotherRing(const RingOptions& options) {
  auto ring = world_->MakeRing(options);
  ORRERY_CHECK(ring.has_value());
  others_.push_back(std::make_unique<DrivenRing>(*world_, *std::move(ring)));
  return *others_.back();
}

DrivenRing& Conformance::UseAnotherRing(unsigned entries, unsigned flags) {
  io_uring_params parameters{};
  parameters.flags = flags;
  auto ring = world_->SetUpRing(entries, parameters);
  ORRERY_CHECK(ring.has_value());
  others_.push_back(std::make_unique<DrivenRing>(*world_, *std::move(ring)));
  return *others_.back();
}

int Conformance::SetUpError(unsigned entries, unsigned flags, unsigned cq_entries) {
  io_uring_params parameters{};
  parameters.flags = flags;
  parameters.cq_entries = cq_entries;
  const auto ring = world_->SetUpRing(entries, parameters);
  return ring ? 0 : ring.error().value();
}

BufferGroup& Conformance::UseBuffers(uint16_t group, unsigned entries, unsigned buffer_bytes,
                                     uint16_t flags) {
  BufferGroup& made = UseEmptyGroup(group, entries, buffer_bytes, flags);
  made.PublishAll();
  return made;
}

BufferGroup& Conformance::UseEmptyGroup(uint16_t group, unsigned entries, unsigned buffer_bytes,
                                        uint16_t flags) {
  groups_.push_back(std::make_unique<BufferGroup>(ring(), group, entries, buffer_bytes, flags));
  return *groups_.back();
}

int Conformance::listener() {
  if (listener_ < 0) {
    const auto made = kernel().Listen({});
    ORRERY_CHECK(made.has_value());
    listener_ = *made;
    world_->PrepareListener(listener_);
  }
  return listener_;
}

uint16_t Conformance::port() { return kernel().LocalPort(listener()).value(); }

Connection Conformance::Connect() {
  Connection connection;
  const auto peer = world_->Connect(port());
  EXPECT_TRUE(peer);
  if (!peer) return connection;
  connection.peer = *peer;
  EXPECT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(kHelperId)));
  const Seen accepted = AwaitOne();
  EXPECT_EQ(accepted.id, kHelperId);
  EXPECT_GE(accepted.result, 0);
  connection.fd = accepted.result;
  return connection;
}

void Conformance::Deliver(const Connection& connection, std::string_view bytes) {
  ASSERT_EQ(world_->Send(connection.peer, bytes), bytes.size());
  if (deferred()) {
    ASSERT_TRUE(world_->AwaitReadable(connection.fd, bytes.size()));
  } else {
    world_->Pause();
  }
}

PeerRead Conformance::ReadFromPeer(World::Peer peer, size_t bytes) {
  PeerRead all;
  const Nanoseconds bound = kernel().MonotonicNow() + kWaitBound;
  while (all.bytes.size() < bytes && !all.end && !all.reset) {
    const PeerRead read = world_->Receive(peer, std::min(kReadBytes, bytes - all.bytes.size()));
    all.bytes += read.bytes;
    all.end = read.end;
    all.reset = read.reset;
    if (!read.bytes.empty()) continue;
    // Sends that wait for space go on inside the ring only.
    EXPECT_TRUE(Enter());
    world_->Pause();
    if (kernel().MonotonicNow() > bound) break;
  }
  return all;
}

PeerRead Conformance::ReadToEnd(World::Peer peer) {
  PeerRead all = ReadFromPeer(peer, SIZE_MAX >> 1);
  EXPECT_TRUE(all.end || all.reset) << "neither FIN nor RST came";
  return all;
}

size_t Conformance::Fill(const Connection& connection) {
  size_t filled = 0;
  // Again and again, until nothing fits after everything has come to rest.
  for (bool first = true, progress = true; progress; first = false) {
    progress = false;
    for (;;) {
      const std::string bytes = Pattern(filled, first ? kFillBytes : 1);
      EXPECT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes(bytes), MSG_DONTWAIT,
                               Id(kHelperId)));
      const Seen sent = AwaitOne();
      if (sent.result <= 0) {
        EXPECT_EQ(sent.result, -EAGAIN);
        break;
      }
      filled += static_cast<size_t>(sent.result);
      progress = true;
    }
    world_->AwaitSteadyOutput(connection.fd);
  }
  return filled;
}

std::string Conformance::Pattern(size_t begin, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = PatternByte(begin + i);
  return text;
}

std::string WorldName(const testing::TestParamInfo<WorldKind>& info) {
  constexpr std::array kNames = {"RealDeferred", "RealPlain", "ModelDeferred", "ModelPrompt"};
  return kNames[static_cast<size_t>(info.param)];
}

}  // namespace orrery::conformance

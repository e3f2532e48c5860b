// A caller that is never told hangs; one that is told twice, or whose buffer goes while the kernel
// has it, crashes later and elsewhere. The loop by turns, on Linux and on the fake kernel.
#include "runtime/loop/submission_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/loopback.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/scripted_choice.h"
#include "runtime/benign_worlds.h"
#include "runtime/buffer_ring.h"
#include "runtime/metrics.h"
#include "runtime/model_world.h"
#include "runtime/ring/completion.h"
#include "runtime/test_world.h"

namespace orrery {
namespace {

Buffer BufferOf(std::string_view text) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());  // Bytes are bytes.
  return Buffer(bytes, bytes + text.size());
}
std::string TextOf(const Buffer& buffer, size_t bytes) {
  return std::string(reinterpret_cast<const char*>(buffer.data()), bytes);
}

// For deadlines that are to pass, but only after what a test does before: the machine may be busy.
constexpr Nanoseconds kSoon = 100 * kMillisecond;

struct WorldKind {
  const char* name;
  std::unique_ptr<TestWorld> (*make)();
  bool linked_timeouts;
};
void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

class LoopTest : public testing::TestWithParam<WorldKind> {
 protected:
  void SetUp() override {
    options_.linked_timeouts = GetParam().linked_timeouts;
    SetUpWorld(GetParam().make());
  }

  void SetUpWorld(std::unique_ptr<TestWorld> world) {
    world_ = std::move(world);
    descriptors_before_ = world_->open_descriptors();
    MakeLoop();
    const int listener = kernel().Listen({}).value();
    port_number_ = kernel().LocalPort(listener).value();
    listener_ = SharedFile(kernel(), listener);
  }

  void MakeLoop(size_t queue_capacity = 64) {
    submitter_ = Submitter();
    loop_.reset();
    port_ = Port::Make(kernel(), queue_capacity).value();
    options_.log = [this](std::string_view line) { log_ += line; };
    auto loop = SubmissionLoop::Create(*port_, options_);
    ASSERT_TRUE(loop.has_value()) << loop.error();
    loop_ = *std::move(loop);
    submitter_ = Submitter(*port_);
  }

  // Every test ends with the last submitter gone: the loop ends by itself, and nothing is left.
  void TearDown() override {
    submitter_ = Submitter();
    EXPECT_TRUE(RunUntil([this] { return loop_->finished(); }));
    EXPECT_EQ(port_->queued(), 0U);
    EXPECT_EQ(port_->counters().pending.load(), 0U);
    EXPECT_EQ(loop_->counters().stale_completions, 0U);
    loop_.reset();
    port_ = PortShare();
    listener_ = SharedFile();
    EXPECT_EQ(world_->open_descriptors(), descriptors_before_);
  }

  Kernel& kernel() { return world_->kernel(); }
  Nanoseconds In(Nanoseconds delay) { return kernel().MonotonicNow() + delay; }

  void Turn() {
    EnterRequest request = loop_->Turn();
    // The tick ends every wait: a test must never hang.
    request.deadline = std::min(request.deadline, kernel().MonotonicNow() + kMillisecond);
    loop_->OnEntered(loop_->ring().Enter(request));
  }
  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < 5000 && !predicate(); ++turn) {
      if (loop_->finished()) return predicate();
      Turn();
    }
    return predicate();
  }

  Future Submit(Request request) {
    auto future = submitter_.TrySubmit(request);
    EXPECT_TRUE(future.has_value()) << "the queue is full";
    return future.has_value() ? *std::move(future) : Future();
  }
  Result Await(Future future) {
    EXPECT_TRUE(RunUntil([&] { return future.ready(); }));
    return future.Take();
  }
  Result Do(Request request) { return Await(Submit(std::move(request))); }

  struct Pair {
    SharedFile socket;
    TestWorld::Peer peer = 0;
  };
  Pair Connect() {
    const TestWorld::Peer peer = world_->Connect(port_number_);
    Result accepted = Do(Request::Accept(listener_, SOCK_CLOEXEC));
    EXPECT_TRUE(accepted.ok());
    return {.socket = std::move(accepted.file), .peer = peer};
  }
  std::string FileName() {
    return std::string(GetParam().make == MakeBenignLinux ? testing::TempDir() : "/") +
           "loop_test_file";
  }

  LoopOptions options_{.entries = 8, .limits = {.finish = 0, .cancel = 100 * kSecond}};
  std::unique_ptr<TestWorld> world_;
  PortShare port_;
  std::unique_ptr<SubmissionLoop> loop_;
  Submitter submitter_;
  SharedFile listener_;
  uint16_t port_number_ = 0;
  size_t descriptors_before_ = 0;
  std::string log_;
};

// --- The requests

TEST_P(LoopTest, EndsWhenTheLastSubmitterIsGone) { Turn(); }

TEST_P(LoopTest, StreamsInBothDirections) {
  Pair pair = Connect();
  Future receive = Submit(Request::Receive(pair.socket, Buffer(100)));
  Turn();
  EXPECT_EQ(world_->Send(pair.peer, "hello"), 5U);
  Result received = Await(std::move(receive));
  ASSERT_TRUE(received.ok());
  EXPECT_EQ(received.value, 5U);
  EXPECT_EQ(TextOf(received.buffer, received.bytes), "hello");
  EXPECT_EQ(received.buffer.size(), 100U) << "the caller's whole buffer";

  Result sent = Do(Request::Send(pair.socket, BufferOf("answer")));
  EXPECT_EQ(sent.bytes, 6U);
  PeerInput input;
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(pair.peer, input, 100);
    return input.bytes == "answer";
  }));
}

TEST_P(LoopTest, ReceivesExactlyInPieces) {
  Pair pair = Connect();
  Future future = Submit(Request::ReceiveExactly(pair.socket, Buffer(10)));
  for (const std::string_view piece : {"123", "456", "7890"}) {
    EXPECT_FALSE(future.ready());
    EXPECT_EQ(world_->Send(pair.peer, piece), piece.size());
    for (int turn = 0; turn < 5; ++turn) Turn();
  }
  Result result = Await(std::move(future));
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(TextOf(result.buffer, result.bytes), "1234567890");
}

TEST_P(LoopTest, TheEndOfTheStreamMakesItShort) {
  Pair pair = Connect();
  EXPECT_EQ(world_->Send(pair.peer, "123"), 3U);
  world_->ShutdownWrite(pair.peer);
  Result result = Do(Request::ReceiveExactly(pair.socket, Buffer(10)));
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.bytes, 3U);
  Result end = Do(Request::Receive(pair.socket, Buffer(10)));
  EXPECT_TRUE(end.ok());
  EXPECT_EQ(end.bytes, 0U);
}

TEST_P(LoopTest, FilesAreWrittenSyncedReadAndClosed) {
  Result opened = Do(Request::Open(FileName(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ASSERT_TRUE(opened.ok()) << opened.value.error().ToString();
  SharedFile file = std::move(opened.file);
  Result written = Do(Request::WriteAt(file, BufferOf("some bytes"), 3));
  EXPECT_EQ(written.value, 10U);
  EXPECT_TRUE(Do(Request::Sync(file, false)).ok());
  EXPECT_TRUE(Do(Request::Sync(file, true)).ok());
  Result read = Do(Request::ReadAt(file, Buffer(10), 3));
  EXPECT_EQ(TextOf(read.buffer, read.bytes), "some bytes");
  Result end = Do(Request::ReadAt(file, Buffer(10), 8));
  EXPECT_TRUE(end.ok());
  EXPECT_EQ(TextOf(end.buffer, end.bytes), "bytes");

  Result missing = Do(Request::Open(FileName() + "/none", O_RDONLY, 0));
  EXPECT_EQ(missing.value.error(), ENOTDIR);

  // Somebody else may be using it: nothing is closed (the number would be somebody else's).
  EXPECT_EQ(Do(Request::Close(file)).value.error(), EBUSY);
  EXPECT_TRUE(Do(Request::Sync(file, false)).ok());
  EXPECT_TRUE(Do(Request::Close(std::move(file))).ok());
}

TEST_P(LoopTest, ConnectsAndPolls) {
  io_uring_sqe socket{};
  io_uring_prep_socket(&socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
  Result made = Do(Request::Raw(socket, nullptr, false));
  ASSERT_TRUE(made.ok());
  SharedFile ours(kernel(), static_cast<int>(made.value.value()));
  sockaddr_in address = Loopback(port_number_);
  Future connect = Submit(Request::Connect(ours, std::as_bytes(std::span(&address, 1))));
  Result accepted = Do(Request::Accept(listener_, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted.ok());
  EXPECT_TRUE(Await(std::move(connect)).ok());
  Future poll = Submit(Request::Poll(ours, POLLIN));
  for (int turn = 0; turn < 5; ++turn) Turn();
  EXPECT_FALSE(poll.ready());
  EXPECT_EQ(Do(Request::Send(accepted.file, BufferOf("x"))).bytes, 1U);
  EXPECT_EQ(Await(std::move(poll)).value, static_cast<uint32_t>(POLLIN));
}

TEST_P(LoopTest, ATimeoutCompletesInTime) {
  const Nanoseconds time = In(2 * kMillisecond);
  Result result = Do(Request::Timeout(time));
  EXPECT_TRUE(result.ok());
  EXPECT_GE(kernel().MonotonicNow(), time);
}

TEST_P(LoopTest, ARawRequestKeepsItsMemory) {
  struct Name final : RequestMemory {
    explicit Name(std::string text) : path(std::move(text)) {}
    std::string path;
  };
  auto name = std::make_unique<Name>(FileName() + "_raw");
  const RequestMemory* const before = name.get();
  io_uring_sqe sqe{};
  io_uring_prep_openat(&sqe, AT_FDCWD, name->path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  Result result = Do(Request::Raw(sqe, std::move(name), false));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.memory.get(), before);
  kernel().Close(static_cast<int>(result.value.value()));
}

// --- Raw multishots

// What was heard of a request, which survives it.
struct Heard {
  std::vector<Completion> completions;
  bool gone = false;  // The memory is destroyed: the kernel is through with it.

  size_t count() const { return completions.size(); }
  // Whether all but the last say that more will come.
  bool ends_once() const {
    for (const Completion& each : completions) {
      if (each.more() != (&each != &completions.back())) return false;
    }
    return !completions.empty();
  }
};

class Hearing final : public RequestMemory {
 public:
  explicit Hearing(Heard& heard) : heard_(heard) {}
  ~Hearing() override { heard_.gone = true; }
  void OnCompletion(const Completion& completion) override {
    heard_.completions.push_back(completion);
  }

 private:
  Heard& heard_;
};

TEST_P(LoopTest, ARawMultishotAcceptHandsOverEachConnection) {
  Heard heard;
  io_uring_sqe sqe{};
  io_uring_prep_multishot_accept(&sqe, listener_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
  Future future = Submit(Request::Raw(sqe, std::make_unique<Hearing>(heard), true));
  for (size_t connected = 1; connected <= 5; ++connected) {
    (void)world_->Connect(port_number_);
    EXPECT_TRUE(RunUntil([&] { return heard.count() == connected; }));
    EXPECT_TRUE(heard.completions.back().more());
    kernel().Close(static_cast<int>(heard.completions.back().value()));
  }
  EXPECT_FALSE(future.ready());
  EXPECT_EQ(port_->counters().pending.load(), 1U) << "one place for all of them";
  future.Cancel();
  Result result = Await(std::move(future));
  EXPECT_EQ(result.outcome, Outcome::kCancelled);
  EXPECT_EQ(heard.count(), 6U);
  EXPECT_TRUE(heard.ends_once());
  EXPECT_TRUE(heard.completions.back().failed_with(ECANCELED));
  EXPECT_FALSE(heard.gone);
  result.memory.reset();
  EXPECT_TRUE(heard.gone);
}

TEST_P(LoopTest, ARawMultishotPollEndsAtItsDeadline) {
  Pair pair = Connect();
  Heard heard;
  io_uring_sqe sqe{};
  io_uring_prep_poll_multishot(&sqe, pair.socket.descriptor(), POLLIN);
  Future future =
      Submit(Request::Raw(sqe, std::make_unique<Hearing>(heard), true).Before(In(5 * kSoon)));
  for (size_t sent = 1; sent <= 3; ++sent) {
    EXPECT_EQ(world_->Send(pair.peer, "x"), 1U);
    EXPECT_TRUE(RunUntil([&] { return heard.count() >= sent; }));
  }
  Result result = Await(std::move(future));
  EXPECT_EQ(result.outcome, Outcome::kTimedOut);
  EXPECT_EQ(result.value.error(), ETIME);
  EXPECT_TRUE(heard.ends_once());
  for (const Completion& each : heard.completions) {
    EXPECT_TRUE(!each.more() || each.value() == POLLIN);
  }
}

TEST_P(LoopTest, ARawMultishotReceiveGoesOnToTheEndOfTheStream) {
  constexpr uint16_t kGroup = 7;
  auto buffers = BufferRing::Create(loop_->ring(), kGroup, 8, 4);
  ASSERT_TRUE(buffers.has_value());
  Pair pair = Connect();
  Heard heard;
  io_uring_sqe sqe{};
  io_uring_prep_recv_multishot(&sqe, pair.socket.descriptor(), nullptr, 0, 0);
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = kGroup;
  Future future = Submit(Request::Raw(sqe, std::make_unique<Hearing>(heard), true));
  EXPECT_EQ(world_->Send(pair.peer, "0123456789"), 10U);
  EXPECT_TRUE(RunUntil([&] { return heard.count() >= 3; }));
  world_->ShutdownWrite(pair.peer);
  Result result = Await(std::move(future));
  EXPECT_EQ(result.value, 0U) << "the end of the stream";
  EXPECT_TRUE(heard.ends_once());
  std::string received;
  for (const Completion& each : heard.completions) {
    if (each.buffer()) received += (*buffers)->Take(*each.buffer(), each.value());
  }
  EXPECT_EQ(received, "0123456789");
}

// Who gives up hears no more of it; what the kernel hands over meanwhile is not lost.
TEST_P(LoopTest, ARawMultishotThatIsGivenUpIsHeardToItsEnd) {
  Heard heard;
  {
    io_uring_sqe sqe{};
    io_uring_prep_multishot_accept(&sqe, listener_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    const Future future = Submit(Request::Raw(sqe, std::make_unique<Hearing>(heard), true));
    Turn();
    (void)world_->Connect(port_number_);
  }
  EXPECT_TRUE(RunUntil([&] { return heard.gone; }));
  EXPECT_TRUE(heard.ends_once());
  EXPECT_EQ(port_->counters().given_up.load(), 1U);
  for (const Completion& each : heard.completions) {
    if (each.ok()) kernel().Close(static_cast<int>(each.value()));
  }
}

// --- Deadlines, cancels, giving up

TEST_P(LoopTest, ADeadlineIsATimeoutAndKeepsTheCount) {
  Pair pair = Connect();
  Result nothing = Do(Request::Receive(pair.socket, Buffer(10)).Before(In(2 * kMillisecond)));
  EXPECT_EQ(nothing.outcome, Outcome::kTimedOut);
  EXPECT_EQ(nothing.value.error(), ETIME);
  EXPECT_EQ(nothing.buffer.size(), 10U);

  EXPECT_EQ(world_->Send(pair.peer, "1234"), 4U);
  Result some = Do(Request::ReceiveExactly(pair.socket, Buffer(10)).Before(In(kSoon)));
  EXPECT_EQ(some.outcome, Outcome::kTimedOut);
  EXPECT_EQ(TextOf(some.buffer, some.bytes), "1234");
}

TEST_P(LoopTest, CompleteInTimeIsSuccess) {
  Pair pair = Connect();
  EXPECT_EQ(world_->Send(pair.peer, "1234"), 4U);
  Result result = Do(Request::Receive(pair.socket, Buffer(10)).Before(In(100 * kSecond)));
  EXPECT_TRUE(result.ok());
}

TEST_P(LoopTest, ACancelIsNoTimeout) {
  Pair pair = Connect();
  Future future = Submit(Request::Receive(pair.socket, Buffer(10)).Before(In(100 * kSecond)));
  Turn();
  future.Cancel();
  future.Cancel();
  Result result = Await(std::move(future));
  EXPECT_EQ(result.outcome, Outcome::kCancelled);
  EXPECT_EQ(result.value.error(), ECANCELED);
  EXPECT_EQ(result.buffer.size(), 10U);
}

TEST_P(LoopTest, OneThatIsStillQueuedIsCancelledAtOnce) {
  options_.waiters_max = 1;
  MakeLoop();
  Pair pair = Connect();
  Future first = Submit(Request::Receive(pair.socket, Buffer(10)));
  Future second = Submit(Request::Send(pair.socket, BufferOf("never")));
  Turn();
  second.Cancel();
  EXPECT_EQ(Await(std::move(second)).outcome, Outcome::kCancelled);
  first.Cancel();
  EXPECT_EQ(Await(std::move(first)).outcome, Outcome::kCancelled);
}

TEST_P(LoopTest, WhoGivesUpHasReadsCancelledAndWritesFinished) {
  Pair pair = Connect();
  {
    const Future receive = Submit(Request::Receive(pair.socket, Buffer(10)));
  }
  {
    const Future send = Submit(Request::Send(pair.socket, BufferOf("all of it")));
  }
  Turn();
  {
    const Future later = Submit(Request::Receive(pair.socket, Buffer(10)));
    Turn();
  }
  EXPECT_TRUE(RunUntil([this] { return port_->counters().pending.load() == 0; }));
  EXPECT_EQ(port_->counters().given_up.load(), 3U) << "the send, which was finished, as well";
  EXPECT_EQ(port_->counters().cancelled.load(), 0U);
  PeerInput input;
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(pair.peer, input, 100);
    return input.bytes == "all of it";
  }));
  // One that ends as soon as it is taken: the file has other users.
  {
    const Future close = Submit(Request::Close(pair.socket));
  }
  Turn();
  // Nobody took what comes now.
  EXPECT_EQ(world_->Send(pair.peer, "1"), 1U);
  EXPECT_EQ(Do(Request::Receive(pair.socket, Buffer(10))).bytes, 1U);
}

TEST_P(LoopTest, TheFileStaysOpenWhileARequestWaits) {
  options_.waiters_max = 1;
  MakeLoop();
  Pair pair = Connect();
  Future first = Submit(Request::Receive(pair.socket, Buffer(10)));
  const int descriptor = pair.socket.descriptor();
  Future queued = Submit(Request::Send(std::move(pair.socket), BufferOf("x")));
  Turn();
  // Nobody but the requests uses the file; its number is not free for anybody else.
  const TestWorld::Peer other = world_->Connect(port_number_);
  first.Cancel();
  EXPECT_EQ(Await(std::move(first)).outcome, Outcome::kCancelled);
  EXPECT_EQ(Await(std::move(queued)).bytes, 1U);
  Result accepted = Do(Request::Accept(listener_, SOCK_CLOEXEC));
  EXPECT_EQ(accepted.file.descriptor(), descriptor) << "the lowest that is free: it was closed";
  PeerInput input;
  world_->Receive(other, input, 100);
  EXPECT_EQ(input.bytes, "");
}

// --- Limits

TEST_P(LoopTest, AFullQueueRefusesAndGivesTheRequestBack) {
  options_.waiters_max = 1;
  MakeLoop(2);
  Pair pair = Connect();
  std::vector<Future> futures;
  Request request;
  for (;;) {
    request = Request::Receive(pair.socket, Buffer(10)).Before(In(kMillisecond));
    auto future = submitter_.TrySubmit(request);
    if (!future.has_value()) break;
    futures.push_back(*std::move(future));
  }
  EXPECT_EQ(futures.size(), 2U);
  EXPECT_EQ(request.buffer.size(), 10U);
  EXPECT_EQ(request.file.descriptor(), pair.socket.descriptor());
  for (Future& future : futures) {
    EXPECT_EQ(Await(std::move(future)).outcome, Outcome::kTimedOut);
  }
}

TEST_P(LoopTest, RequestsThatWaitForQueuedOnesNeedDeadlines) {
  options_.waiters_max = 2;
  MakeLoop();
  Pair left = Connect();
  Pair right = Connect();
  // Both wait for what the third would bring about, and have all places.
  Future first = Submit(Request::Receive(left.socket, Buffer(10)));
  Future second = Submit(Request::Receive(right.socket, Buffer(10)).Before(In(kSoon)));
  Future third = Submit(Request::Send(left.socket, BufferOf("request")));
  for (int turn = 0; turn < 3; ++turn) Turn();
  EXPECT_FALSE(first.ready());
  EXPECT_FALSE(third.ready());
  EXPECT_EQ(port_->queued(), 1U) << "this is the deadlock";
  EXPECT_EQ(Await(std::move(second)).outcome, Outcome::kTimedOut);
  EXPECT_TRUE(Await(std::move(third)).ok()) << "and this is what the deadline is for";
  EXPECT_EQ(world_->Send(left.peer, "reply"), 5U);
  EXPECT_EQ(Await(std::move(first)).bytes, 5U);
}

TEST_P(LoopTest, TheRingIsAPowerOfTwoAndDoubledWithLinkedTimeouts) {
  options_.entries = 9;
  MakeLoop();
  EXPECT_EQ(loop_->waiters_max(), 16U);
  EXPECT_EQ(loop_->ring().memory().sq.ring_entries, GetParam().linked_timeouts ? 32U : 16U);
}

TEST_P(LoopTest, ABusyPolledRingIsRefusedWithTheReason) {
  const auto refused = SubmissionLoop::Create(*port_, {.io_poll = true});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().find("eventfd"), std::string::npos) << refused.error();
}

// --- Waking

TEST_P(LoopTest, AnAwakeLoopIsNotRungAndASleepingOneIs) {
  const auto& rung = port_->counters().wakes_rung;
  Turn();  // Asleep, as the tick ends only the wait in the kernel.
  const uint64_t before = rung.load();
  Future first = Submit(Request::Timeout(0));
  EXPECT_EQ(rung.load(), before + 1);
  Future second = Submit(Request::Timeout(0));
  EXPECT_EQ(rung.load(), before + 1) << "one ring a sleep";
  EXPECT_EQ(port_->wakes_saved(), 1U);
  EXPECT_TRUE(Await(std::move(first)).ok());
  EXPECT_TRUE(Await(std::move(second)).ok());
}

TEST_P(LoopTest, ABatchIsRungForOnce) {
  const auto& rung = port_->counters().wakes_rung;
  Turn();
  const uint64_t before = rung.load();
  std::vector<Request> requests(5);  // Timeouts that have passed.
  std::vector<Future> futures = submitter_.SubmitAll(requests);
  ASSERT_EQ(futures.size(), 5U);
  EXPECT_EQ(rung.load(), before + 1);
  EXPECT_EQ(port_->wakes_saved(), 0U) << "it was published once";
  for (Future& future : futures) EXPECT_TRUE(Await(std::move(future)).ok());
}

TEST_P(LoopTest, ASpinningLoopIsNotRung) {
  options_.spin_turns = 3;
  MakeLoop();
  const auto sleeps = [this] {
    EnterRequest request = loop_->Turn();
    const bool would = request.min_complete > 0;
    request.min_complete = 0;
    loop_->OnEntered(loop_->ring().Enter(request));
    return would;
  };
  for (int round = 0; round < 2; ++round) {
    Future future = Submit(Request::Timeout(0));
    EXPECT_FALSE(sleeps()) << "it is taken";
    EXPECT_FALSE(sleeps()) << "it ends, and this is the first of three looks";
    ASSERT_TRUE(future.ready());
    EXPECT_TRUE(future.Take().ok());
    EXPECT_FALSE(sleeps());
  }
  EXPECT_EQ(port_->counters().wakes_rung.load(), 0U);
  EXPECT_FALSE(sleeps());
  EXPECT_TRUE(sleeps());
}

TEST_P(LoopTest, MetricsAreReadable) {
  Pair pair = Connect();
  Future receive = Submit(Request::Receive(pair.socket, Buffer(10)));
  Turn();
  Metrics metrics;
  port_->Register(metrics);
  const std::string text = metrics.PrometheusText();
  EXPECT_NE(text.find("\norrery_loop_completed_total 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\norrery_loop_pending 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# HELP orrery_loop_leaked_total "), std::string::npos) << text;
}

// --- The end

TEST_P(LoopTest, ShutdownFinishesWhatWasAdmittedAndAdmitsNothing) {
  Pair pair = Connect();
  EXPECT_EQ(world_->Send(pair.peer, "1234"), 4U);
  Future receive = Submit(Request::Receive(pair.socket, Buffer(10)));
  submitter_.Shutdown({});
  EXPECT_TRUE(Await(std::move(receive)).ok());
  EXPECT_TRUE(RunUntil([this] { return loop_->finished(); }));
  Request late = Request::Send(pair.socket, BufferOf("late"));
  Future refused = submitter_.TrySubmit(late).value();
  ASSERT_TRUE(refused.ready());
  Result result = refused.Take();
  EXPECT_EQ(result.outcome, Outcome::kCancelled);
  EXPECT_EQ(TextOf(result.buffer, result.buffer.size()), "late");
}

TEST_P(LoopTest, AfterTheLimitWhatIsLeftIsCancelled) {
  options_.waiters_max = 1;
  MakeLoop();
  Pair pair = Connect();
  Future receive = Submit(Request::Receive(pair.socket, Buffer(10)));
  Future queued = Submit(Request::Receive(pair.socket, Buffer(10)));
  Turn();
  submitter_.Shutdown({.finish = kSoon, .cancel = 100 * kSecond});
  for (int turn = 0; turn < 2; ++turn) Turn();
  EXPECT_FALSE(receive.ready()) << "it has time to finish";
  EXPECT_EQ(Await(std::move(receive)).outcome, Outcome::kCancelled);
  EXPECT_EQ(Await(std::move(queued)).outcome, Outcome::kCancelled);
  EXPECT_EQ(log_, "");
}

constexpr WorldKind kWorlds[] = {
    {"Linux", MakeBenignLinux, false},
    {"LinuxLinked", MakeBenignLinux, true},
    {"Model", MakeBenignModel<model::TaskWork::kDeferred>, false},
    {"ModelLinked", MakeBenignModel<model::TaskWork::kDeferred>, true},
    {"PromptModel", MakeBenignModel<model::TaskWork::kPrompt>, false},
};
INSTANTIATE_TEST_SUITE_P(Worlds, LoopTest, testing::ValuesIn(kWorlds),
                         [](const auto& parameters) { return parameters.param.name; });

// --- What only the model does when it is told to

class ModelLoopTest : public LoopTest {
 protected:
  void SetUp() override {
    auto choice = std::make_unique<model::ScriptedChoice>();
    choice_ = choice.get();
    SetUpWorld(std::make_unique<ModelWorld>(model::ModelOptions{}, std::move(choice)));
  }
  model::ScriptedChoice* choice_ = nullptr;
};

TEST_F(ModelLoopTest, WhatTheKernelDoesNotLetGoOfIsLeakedAndLogged) {
  Result opened = Do(Request::Open("/file", O_RDWR | O_CREAT, 0600));
  // A worker that takes its time over a sync, and cannot be stopped.
  choice_->Always(model::Site::kWorkerDelay, 6);
  choice_->Always(model::Site::kWorkerStarted, 1);
  Future sync = Submit(Request::Sync(opened.file, false));
  Turn();
  submitter_.Shutdown({.finish = kMillisecond});
  for (int turn = 0; turn < 5; ++turn) Turn();
  EXPECT_FALSE(sync.ready()) << "it is waited for, without a limit";
  submitter_.Shutdown({.finish = kMillisecond, .cancel = kMillisecond});
  Result result = Await(std::move(sync));
  EXPECT_EQ(result.outcome, Outcome::kLost);
  EXPECT_EQ(result.value.error(), ETIME);
  EXPECT_TRUE(loop_->finished());
  EXPECT_EQ(port_->counters().leaked.load(), 1U);
  EXPECT_NE(log_.find("1 sync"), std::string::npos) << log_;
  // The file is the kernel's for ever, and so is its descriptor.
  opened.file = SharedFile();
  ++descriptors_before_;
}

// A ring whose Enter can be made to fail.
TEST_F(ModelLoopTest, AnEnterThatFailsForGoodEndsTheLoopAndEverybodyIsTold) {
  Pair pair = Connect();
  options_.waiters_max = 1;
  Future receive = Submit(Request::Receive(pair.socket, Buffer(10)));
  Turn();
  Future queued = Submit(Request::Receive(pair.socket, Buffer(10)));
  (void)loop_->Turn();
  loop_->OnEntered(std::unexpected(Errno(EBADF)));
  EXPECT_TRUE(loop_->finished());
  Result lost = receive.Take();
  EXPECT_EQ(lost.outcome, Outcome::kLost);
  EXPECT_EQ(lost.value.error(), EBADF);
  EXPECT_TRUE(lost.buffer.empty()) << "the kernel may write into it";
  EXPECT_TRUE(queued.ready());
  EXPECT_NE(log_.find("EBADF"), std::string::npos) << log_;
  pair.socket = SharedFile();
  ++descriptors_before_;  // The lost request's.
}

TEST_F(ModelLoopTest, EnterThatRefusesIsBackPressure) {
  choice_->Always(model::Site::kEnterAgain, 1);
  Future future = Submit(Request::Poll(listener_, POLLIN));
  for (int turn = 0; turn < 3; ++turn) Turn();
  choice_->Never(model::Site::kEnterAgain);
  (void)world_->Connect(port_number_);
  EXPECT_TRUE(Await(std::move(future)).ok());
}

}  // namespace
}  // namespace orrery

// Provided buffers are conserved: in whatever order completions take them and we give them back,
// each is on one side.
//
// The fake kernel counts its side, so the sum is checked from both ends.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "rapidcheck/gtest.h"
#include "runtime/buffer_ring.h"
#include "runtime/model_world.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {
namespace {

// The peer sends `send` bytes; then `enter` says whether the kernel is entered; then the
// `give_back` oldest, or newest, of the buffers that we hold go back, and are published or not yet.
struct Step {
  uint32_t send = 0;
  bool enter = true;
  uint32_t give_back = 0;
  bool newest = false;
  bool publish = true;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  return out << "{send " << step.send << (step.enter ? ", enter" : "") << ", give back "
             << step.give_back << (step.newest ? " newest" : " oldest")
             << (step.publish ? ", publish}" : "}");
}

rc::Gen<Step> AnyStep() {
  return rc::gen::build<Step>(
      rc::gen::set(&Step::send, rc::gen::element<uint32_t>(0, 1, 9, 10, 11, 40, 95)),
      rc::gen::set(&Step::enter, rc::gen::weightedElement<bool>({{4, true}, {1, false}})),
      rc::gen::set(&Step::give_back, rc::gen::inRange<uint32_t>(0, 9)), rc::gen::set(&Step::newest),
      rc::gen::set(&Step::publish));
}

class Exchange {
 public:
  Exchange(unsigned buffers, model::TaskWork task_work, uint64_t seed)
      : world_({.task_work = task_work},
               seed == 0 ? std::unique_ptr<model::Choice>(new model::BenignChoice)
                         : std::make_unique<SeededChoice>(seed, 4)),
        ring_(world_.kernel().MakeRing({.sq_entries = 8, .cq_entries = 1024}).value()),
        submission_(*ring_),
        buffers_(BufferRing::Create(*ring_, kGroup, buffers, kBufferBytes).value()) {
    const int listener = world_.kernel().Listen({}).value();
    peer_ = world_.Connect(world_.kernel().LocalPort(listener).value());
    for (int attempt = 0; socket_ < 0 && attempt < 100; ++attempt) {
      RC_ASSERT(submission_.Accept(File::Descriptor(listener), 0, kAccepting));
      while (submission_.pending() != 0) EnterKernel();
      for (int wait = 0; socket_ < 0 && wait < 10; ++wait) EnterKernel();
    }
    RC_ASSERT(socket_ >= 0);
  }

  void Run(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      const std::string bytes = Bytes(step.send);
      RC_ASSERT(world_.Send(peer_, bytes) == bytes.size());
      sent_ += bytes;
      if (step.enter) EnterKernel();
      GiveBack(step.give_back, step.newest);
      if (step.publish) buffers_->Publish();
      Check();
    }
    GiveBack(held_.size(), false);
    buffers_->Publish();
    for (int turn = 0; turn < 2000 && received_.size() < sent_.size(); ++turn) {
      EnterKernel();
      GiveBack(held_.size(), turn % 2 == 0);
      buffers_->Publish();
    }
    RC_ASSERT(received_ == sent_);
    EnterKernel();
    Check();
    RC_ASSERT(held_.empty());
    RC_ASSERT(world_.model().rings()[0]->provided_buffers(kGroup) == buffers_->buffers());
  }

 private:
  static constexpr uint16_t kGroup = 1;
  static constexpr size_t kBufferBytes = 10;
  static constexpr UserData kAccepting{.operation = Operation::kTest, .slot = {1, 1}};
  static constexpr UserData kReceiving{.operation = Operation::kTest, .slot = {2, 1}};

  std::string Bytes(size_t size) {
    std::string bytes;
    for (size_t count = 0; count < size; ++count) {
      bytes.push_back(static_cast<char>('!' + (sent_.size() + count) % 90));
    }
    return bytes;
  }

  void EnterKernel() {
    if (socket_ >= 0 && !armed_ && submission_.space_left() > 0) {
      armed_ = submission_.ReceiveMultishot(File::Descriptor(socket_), kGroup, kReceiving);
    }
    // Whatever it answers, the completions tell.
    (void)ring_->Enter({.to_submit = submission_.Publish(),
                        .min_complete = 1,
                        .deadline = world_.kernel().MonotonicNow() + kMillisecond});
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
      ++count;
      Take(Completion(*cqe));
    }
    io_uring_cq_advance(&ring_->memory(), count);
  }

  void Take(const Completion& completion) {
    if (completion.user_data() == kAccepting) {
      if (completion.ok()) socket_ = static_cast<int>(completion.value());
      return;
    }
    if (!completion.more()) armed_ = false;
    if (const auto buffer = completion.buffer()) {
      RC_ASSERT(std::count(held_.begin(), held_.end(), *buffer) == 0);
      received_ += buffers_->Take(*buffer, completion.value());
      held_.push_back(*buffer);
    } else {
      RC_ASSERT(completion.failed_with(ENOBUFS));
    }
  }

  void GiveBack(size_t count, bool newest) {
    for (; count > 0 && !held_.empty(); --count) {
      buffers_->Return(newest ? held_.back() : held_.front());
      newest ? held_.pop_back() : held_.pop_front();
    }
  }

  void Check() {
    RC_ASSERT(buffers_->with_kernel() + held_.size() == buffers_->buffers());
    const std::optional<size_t> at_kernel = world_.model().rings()[0]->provided_buffers(kGroup);
    RC_ASSERT(at_kernel.has_value());
    // It may not have looked since we published; completions that we have not seen have taken some.
    RC_ASSERT(*at_kernel <= buffers_->with_kernel());
    RC_ASSERT(world_.TakeViolations() == std::vector<std::string>());
  }

  ModelWorld world_;
  std::unique_ptr<Ring> ring_;
  SubmissionQueue submission_;
  std::unique_ptr<BufferRing> buffers_;
  TestWorld::Peer peer_ = 0;
  int socket_ = -1;
  bool armed_ = false;
  std::deque<uint16_t> held_;
  std::string sent_;
  std::string received_;
};

RC_GTEST_PROP(BufferRing, BuffersAreConserved, ()) {
  const auto buffers = *rc::gen::element<unsigned>(1, 2, 4, 8, 64);
  const auto prompt = *rc::gen::arbitrary<bool>();
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
  const auto steps = *rc::gen::container<std::vector<Step>>(AnyStep());
  Exchange(buffers, prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred, seed)
      .Run(steps);
}

}  // namespace
}  // namespace orrery

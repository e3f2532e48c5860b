// Whatever is appended and however the kernel cuts it, the peer reads exactly the stream, nothing
// is copied twice, and each borrowed body is let go with its last byte.
#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/pending_output.h"
#include "tests/property/output_steps.h"

namespace orrery {
namespace {

// One send: gather with this many iovecs, append something while the kernel holds the chunk, and
// then the kernel has taken `taken_per_mille` of it.
struct SendStep {
  uint32_t iovecs_max = 1;
  uint32_t taken_per_mille = 1000;
  std::vector<OutputStep> meanwhile;
};

struct Session {
  std::vector<OutputStep> first;
  std::vector<SendStep> sends;
};

std::ostream& operator<<(std::ostream& out, const std::vector<OutputStep>& steps) {
  for (const OutputStep& step : steps) out << " " << step;
  return out;
}

std::ostream& operator<<(std::ostream& out, const Session& session) {
  out << "first:" << session.first;
  for (const SendStep& send : session.sends) {
    out << "; send with " << send.iovecs_max << " iovecs, meanwhile" << send.meanwhile << ", taken "
        << send.taken_per_mille << "/1000";
  }
  return out;
}

rc::Gen<std::vector<OutputStep>> AnyOutput(double scale) {
  return rc::gen::scale(scale, rc::gen::container<std::vector<OutputStep>>(AnyOutputStep()));
}

rc::Gen<SendStep> AnySend() {
  return rc::gen::build<SendStep>(
      rc::gen::set(&SendStep::iovecs_max,
                   rc::gen::weightedOneOf<uint32_t>({{4, rc::gen::inRange<uint32_t>(1, 6)},
                                                     {2, rc::gen::inRange<uint32_t>(1, 1025)},
                                                     {1, rc::gen::just<uint32_t>(1024)}})),
      rc::gen::set(&SendStep::taken_per_mille,
                   rc::gen::weightedOneOf<uint32_t>({{1, rc::gen::just<uint32_t>(0)},
                                                     {3, rc::gen::just<uint32_t>(1000)},
                                                     {5, rc::gen::inRange<uint32_t>(0, 1001)}})),
      rc::gen::set(&SendStep::meanwhile, AnyOutput(0.1)));
}

rc::Gen<Session> AnySession() {
  return rc::gen::build<Session>(
      rc::gen::set(&Session::first, AnyOutput(0.5)),
      rc::gen::set(&Session::sends, rc::gen::container<std::vector<SendStep>>(AnySend())));
}

std::string Joined(const std::vector<iovec>& iovecs) {
  std::string bytes;
  for (const iovec& part : iovecs)
    bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return bytes;
}

class Sender {
 public:
  explicit Sender(OutputBlockPool& pool) : output_(pool) {}

  void Append(const std::vector<OutputStep>& steps) {
    for (const OutputStep& step : steps) {
      model_.Apply(step, output_);
      RC_ASSERT(output_.size_bytes() == model_.stream().size() - done_);
      // Copied once when it was appended; bodies never.
      RC_ASSERT(output_.copied_bytes() == model_.copied_bytes());
    }
  }

  void Send(const SendStep& step) {
    std::vector<iovec> iovecs(step.iovecs_max);
    const Chunk chunk = output_.Gather(iovecs);
    const size_t left = model_.stream().size() - done_;
    RC_ASSERT(chunk.iovecs <= step.iovecs_max);
    iovecs.resize(chunk.iovecs);
    for (const iovec& part : iovecs) RC_ASSERT(part.iov_len > 0U);
    RC_ASSERT((chunk.bytes > 0) == (left > 0));
    // It ends early only because the iovecs are used up.
    if (chunk.iovecs < step.iovecs_max) RC_ASSERT(chunk.bytes == left);

    Append(step.meanwhile);
    // The kernel reads late: what was described must still be there.
    RC_ASSERT(Joined(iovecs) == model_.stream().substr(done_, chunk.bytes));
    const size_t taken = chunk.bytes * step.taken_per_mille / 1000;
    model_.CheckBodies(done_, output_);
    output_.Advance(taken);
    done_ += taken;
    model_.CheckBodies(done_, output_);
    RC_ASSERT(output_.copied_bytes() == model_.copied_bytes());
  }

  void SendTheRest() {
    for (uint32_t iovecs_max = 1; !output_.empty(); iovecs_max = std::min(2 * iovecs_max, 1024U)) {
      Send({.iovecs_max = iovecs_max, .taken_per_mille = 1000, .meanwhile = {}});
    }
    RC_ASSERT(done_ == model_.stream().size());
  }

  NaiveOutput& model() { return model_; }

 private:
  NaiveOutput model_;  // Outlives the output: it looks at what the output has let go.
  PendingOutput output_;
  size_t done_ = 0;
};

RC_GTEST_PROP(Chunking, TheStreamIsExactAndBodiesAreLetGoInTime, ()) {
  const Session session = *AnySession();
  OutputBlockPool pool;
  {
    Sender sender(pool);
    sender.Append(session.first);
    for (const SendStep& send : session.sends) sender.Send(send);
    sender.SendTheRest();
    // An idle connection holds nothing.
    RC_ASSERT(pool.blocks_in_use() == 0U);
    sender.model().CheckAllReleased();
  }
}

RC_GTEST_PROP(Chunking, AnEndInTheMiddleLeavesNothingBehind, ()) {
  const Session session = *AnySession();
  OutputBlockPool pool;
  NaiveOutput model;
  {
    PendingOutput output(pool);
    for (const OutputStep& step : session.first) model.Apply(step, output);
    for (const SendStep& send : session.sends) {
      std::vector<iovec> iovecs(send.iovecs_max);
      output.Advance(output.Gather(iovecs).bytes * send.taken_per_mille / 1000);
      for (const OutputStep& step : send.meanwhile) model.Apply(step, output);
    }
  }
  RC_ASSERT(pool.blocks_in_use() == 0U);
  model.CheckAllReleased();
}

// A hundred megabytes behind one lost byte: what is left is described, not flattened.
RC_GTEST_PROP(Chunking, AShortWriteCopiesNothing, ()) {
  const auto bodies = *rc::gen::inRange(1, 2000);
  const auto lost = *rc::gen::inRange<size_t>(1, 100);
  OutputBlockPool pool;
  PendingOutput output(pool);
  const SharedBytes body = SharedBytes::Copy(std::string(50'000, 'v'));
  for (int count = 0; count < bodies; ++count) {
    output.Append("$50000\r\n");
    output.AppendBody(body);
  }
  const uint64_t copied = output.copied_bytes();
  std::vector<iovec> iovecs(1024);
  while (!output.empty()) {
    const Chunk chunk = output.Gather(iovecs);
    // All bytes but the last few: the next chunk begins inside a body, in the body's own memory.
    output.Advance(chunk.bytes - std::min(lost, chunk.bytes - 1));
    if (output.empty()) break;
    (void)output.Gather(iovecs);
    const char* first = static_cast<const char*>(iovecs[0].iov_base);
    RC_ASSERT(first > body.data());
    RC_ASSERT(first < body.data() + body.size());
    output.Advance(iovecs[0].iov_len);
  }
  RC_ASSERT(output.copied_bytes() == copied);
  RC_ASSERT(body.references() == 1U);
}

}  // namespace
}  // namespace orrery

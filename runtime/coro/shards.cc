#include "runtime/coro/shards.h"

#include <liburing.h>
#include <poll.h>

#include <span>

#include "base/check.h"

namespace orrery::coro {

std::expected<std::unique_ptr<ShardGroup>, Errno> ShardGroup::Create(
    Kernel& kernel, const MailboxOptions& options) {
  auto bells = Bells::Create(kernel, options.shards);
  if (!bells) return std::unexpected(bells.error());
  return std::unique_ptr<ShardGroup>(new ShardGroup(*std::move(bells), options));
}

// --- A call

bool ShardCall::Send(TaskBase& task) {
  if (task.stop_requested()) return false;
  task_ = &task;
  Listen(task.stop());
  returns_due_ = 1;
  home_.Post(target_, {.call = this, .kind = ShardMessage::Kind::kBegin});
  return true;
}

void ShardCall::AskToStop() {
  // It goes behind the beginning. If the function's task has returned meanwhile, it is answered all
  // the same: so nobody has a message of a call that is gone.
  ++returns_due_;
  home_.Post(target_, {.call = this, .kind = ShardMessage::Kind::kStop});
}

void ShardCall::TakeReturn() {
  if (--returns_due_ > 0) return;
  EndListening();
  task_->Wake();
}

void ShardCall::Serve(Shard& there, ShardMessage::Kind kind) {
  if (kind == ShardMessage::Kind::kBegin) {
    there_ = &there;
    return Call(there);
  }
  if (there_ != nullptr) stop_.RequestStop();
  there.Post(home_.number(), {.call = this, .kind = ShardMessage::Kind::kReturn});
}

void ShardCall::Return() {
  KeepResult();
  Shard& there = *std::exchange(there_, nullptr);
  there.Post(home_.number(), {.call = this, .kind = ShardMessage::Kind::kReturn});
}

// --- A shard

Shard::Shard(ShardGroup& group, unsigned number, Ring& ring, Kernel& kernel,
             const IoContextOptions& options)
    : group_(group), mail_(group.boxes_, number), io_(ring, kernel, options), bell_(*this) {}

EnterRequest Shard::Turn() {
  mail_.Drain([this](unsigned, const ShardMessage& message) { Take(message); });
  if (farewell_) EndWhenAllIsSent();
  EnterRequest request = io_.Turn();
  if (!main_returned_ && !io_.running()) {
    main_returned_ = true;
    // The last one tells all, itself as well.
    const bool last = group_.mains_left_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    for (unsigned shard = 0; last && shard < shards(); ++shard) {
      Post(shard, {.call = nullptr, .kind = ShardMessage::Kind::kFarewell});
    }
  }
  mail_.Flush([this](unsigned shard) { group_.bells_->Ring(shard); });
  if (request.min_complete > 0) {
    asleep_ = mail_.TryArm();
    if (!asleep_) request.min_complete = 0;
  }
  return request;
}

void Shard::OnEntered(const EnterResult& result) {
  if (std::exchange(asleep_, false)) mail_.Disarm();
  io_.OnEntered(result);
}

void Shard::Take(const ShardMessage& message) {
  switch (message.kind) {
    case ShardMessage::Kind::kBegin:
    case ShardMessage::Kind::kStop:
      return message.call->Serve(*this, message.kind);
    case ShardMessage::Kind::kReturn:
      return message.call->TakeReturn();
    case ShardMessage::Kind::kFarewell:
      farewell_ = true;
      return;
  }
}

void Shard::EndWhenAllIsSent() {
  for (unsigned shard = 0; shard < shards(); ++shard) {
    // It is rung when there is room for it.
    if (mail_.backlog(shard) > 0) return;
  }
  if (bell_.active()) io_.operations().Cancel(bell_);
}

void Shard::Bell::Arm() {
  io_uring_prep_poll_multishot(&sqe(), shard_.group_.bells_->eventfd(shard_.number()), POLLIN);
  shard_.io_.operations().Start(*this);
}

void Shard::Bell::OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) {
  if (outcome == Outcome::kCancelled) return;
  // It ends by itself when a completion has to wait in the kernel's backlog (fact O5).
  ORRERY_CHECK_MSG(result.has_value() || result.error() == ECANCELED, "an eventfd cannot fail");
  Arm();
}

// --- Threads

namespace {

// A shard and its main task, as RunShards() drives it.
class ShardWithMain {
 public:
  ShardWithMain(ShardGroup& group, unsigned number, Ring& ring, Kernel& kernel,
                const std::function<Task<>(Shard&)>& main, const IoContextOptions& options)
      : shard_(group, number, ring, kernel, options), main_(main(shard_)) {}

  EnterRequest Turn() {
    // Not before: a shard that is never turned has no task that would have to return.
    if (!std::exchange(begun_, true)) shard_.Begin(main_);
    return shard_.Turn();
  }
  void OnEntered(const EnterResult& result) { shard_.OnEntered(result); }
  bool finished() const { return shard_.finished(); }

 private:
  Shard shard_;
  Task<> main_;
  bool begun_ = false;
};

}  // namespace

std::expected<void, std::string> RunOnShards(Kernel& kernel, const ShardThreadsOptions& options,
                                             const std::function<Task<>(Shard&)>& main,
                                             const IoContextOptions& context) {
  const auto group = ShardGroup::Create(kernel, {.shards = options.shards});
  if (!group) return std::unexpected("an eventfd: " + group.error().ToString());
  return RunShards<ShardWithMain>(
      kernel, options,
      [&](unsigned number,
          Ring& ring) -> std::expected<std::unique_ptr<ShardWithMain>, std::string> {
        return std::make_unique<ShardWithMain>(**group, number, ring, kernel, main, context);
      },
      [](std::span<ShardWithMain* const>) {});
}

}  // namespace orrery::coro

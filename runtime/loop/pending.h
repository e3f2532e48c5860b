// A request on its way: what the caller's Future and the loop share. Private to runtime/loop.
//
// It is a RingOperation, so it owns what the kernel works on, and dies when the caller and the loop
// have both let go of it. The loop's side of it is touched by the loop's thread alone; what the
// caller may touch while it is under way are the atomics, and the result once ready() is true.
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>

#include "base/errno.h"
#include "base/intrusive_list.h"
#include "runtime/loop/port.h"
#include "runtime/loop/request.h"
#include "runtime/operations/operations.h"

namespace orrery {

class Pending final : public RingOperation {
 public:
  ListLink active_link;
  using List = IntrusiveList<Pending, &Pending::active_link>;

  // What the loop has for all of them.
  struct Loop {
    Operations& operations;
    DeadlineBy deadline_by;
    List& active;
    List& ended;  // Their callers are to be told: TellAll().
    LoopCounters& counters;
  };

  // What the caller asks for after the submission, as bits.
  static constexpr uint32_t kCancel = 1;
  static constexpr uint32_t kGiveUp = 2;
  // It is in the loop's list of those that are asked something.
  static constexpr uint32_t kListed = 4;

  Pending(Request request, Kernel& kernel);

  // --- Life. It begins with two users: the caller and the loop.
  void AddUser() { users_.fetch_add(1, std::memory_order_relaxed); }
  void Drop();

  // --- For the caller.
  bool ready() const { return progress_.load(std::memory_order_acquire) == kReady; }
  void Wait();
  Result& result() { return result_; }

  // --- For the loop.
  const Request& request() const { return request_; }
  bool taken() const { return taken_; }
  // Begins with it. False: it needed no kernel, has ended, and may be gone.
  [[nodiscard]] bool Start(Loop& loop);
  // Nobody will take the result. REQUIRES: started, and not ended.
  void GiveUp();
  // Tells the callers of what has ended, and lets go of it. Nobody is woken before all are told, so
  // that who wakes up finds all of its results, and is woken once.
  static void TellAll(Loop& loop);
  // The request as it was submitted. REQUIRES: not started.
  Request TakeBack() { return std::move(request_); }
  // Tells the caller an end without the kernel; the loop's share of it stays. REQUIRES: not active,
  // and not ready.
  void EndAs(Outcome outcome, Errno error);
  // What a lost one is to be told.
  void set_lost_error(Errno error) { lost_error_ = error; }

  // Asked for by the caller, any thread: bits, and the list that they are handed over in.
  std::atomic<uint32_t> asks{0};
  Pending* next_asked = nullptr;

 private:
  ~Pending() override = default;

  void OnMore(const Completion& completion) override;
  Next OnTerminal(const Completion& completion) override;
  void OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) override;
  void OnReleased() override;
  void OnLost() override;

  void Prepare();
  // The rest of a transfer that has moved `bytes`: whether there is any.
  Next Advance(uint32_t bytes);
  bool is_transfer() const;
  void Fill(Outcome outcome, const std::expected<uint32_t, Errno>& value);
  // The result is there. Whether somebody waits for it, and has to be woken.
  [[nodiscard]] bool Tell();
  // It is the loop's no more, but for its share.
  void Leave(std::atomic<uint64_t>& counter);

  Request request_;
  Result result_;
  Kernel& kernel_;
  Loop* loop_ = nullptr;
  size_t moved_ = 0;
  bool taken_ = false;
  bool polls_ = false;  // What is in flight is a poll, after EAGAIN.
  Errno lost_error_{ECANCELED};
  // From the submission to the result, for who waits.
  static constexpr uint32_t kUnderWay = 0;
  static constexpr uint32_t kAwaited = 1;
  static constexpr uint32_t kReady = 2;
  std::atomic<uint32_t> progress_{kUnderWay};
  std::atomic<uint32_t> users_{2};
};

}  // namespace orrery

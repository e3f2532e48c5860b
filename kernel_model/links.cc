// Chains, drains, and what comes when a request has ended. Follows io_submit_sqe(),
// io_queue_sqe_fallback(), io_disarm_next() and io_drain_req().
//
// Invariant: the members of a chain behind its head are in no table: nothing but the one before
// them starts or ends them.
#include <liburing.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {
namespace {

size_t ChainLength(const Request& head) {
  size_t length = 0;
  for (const Request* member = &head; member != nullptr; member = member->link) ++length;
  return length;
}

void FailInPreparation(Request& request, int32_t result) {
  request.failed = true;
  request.result = result;
}

}  // namespace

// --- Submission

void RingCore::ReadLinks(Request& request, unsigned flags) {
  request.hard_linked = (flags & IOSQE_IO_HARDLINK) != 0;
  request.linked = request.hard_linked || (flags & IOSQE_IO_LINK) != 0;
  request.skip_success = (flags & IOSQE_CQE_SKIP_SUCCESS) != 0;
}

int32_t RingCore::ReadFlags(Request& request, unsigned flags) {
  if (request.skip_success) drain_disabled_ = true;
  if ((flags & IOSQE_IO_DRAIN) != 0) {
    if (drain_disabled_) return -EOPNOTSUPP;  // Fact L8.
    request.drains = true;
    drain_active_ = true;
    if (chain_head_ != nullptr) {
      chain_head_->drains = chain_head_->on_worker = true;
      drain_next_ = true;
    }
  }
  if (drain_active_) request.on_worker = true;
  if (drain_next_ && chain_head_ == nullptr) {
    drain_next_ = false;
    drain_active_ = true;
    request.drains = request.on_worker = true;
  }
  return 0;
}

void RingCore::Place(Request& request, int32_t prepared) {
  if (prepared != 0) {
    // Fact U6: the chain is built to its end, and then fails as a whole.
    FailInPreparation(request, prepared);
    if (chain_head_ != nullptr && !chain_head_->failed) {
      FailInPreparation(*chain_head_, -ECANCELED);
    }
  }
  if (chain_head_ == nullptr && !request.linked) {
    Launch(request);
    return;
  }
  if (chain_head_ == nullptr) {
    chain_head_ = &request;
  } else {
    chain_last_->link = &request;
  }
  chain_last_ = &request;
  if (request.linked) return;
  chain_last_ = nullptr;
  Launch(*std::exchange(chain_head_, nullptr));
}

void RingCore::Launch(Request& head) {
  if (head.failed || head.on_worker) {
    LaunchSlowly(head);
  } else {
    Issue(head, /*from_task_work=*/false);
  }
}

void RingCore::LaunchSlowly(Request& head) {
  if (head.failed) {
    head.hard_linked = false;  // Fact L3: an error of preparation breaks a hard link, too.
    End(head, head.result);
  } else if (drain_active_) {
    HoldBack(head);
  } else {
    StartWorker(head);
  }
}

void RingCore::CloseChain() {
  if (chain_head_ == nullptr) return;
  chain_last_ = nullptr;
  // Facts U13, L6: a chain ends with its submission, and such a chain starts on a worker.
  LaunchSlowly(*std::exchange(chain_head_, nullptr));
}

// --- What follows an end

void RingCore::Flush() {
  if (!ended_since_flush() && !posted_since_flush_) return;
  posted_since_flush_ = false;
  for (const CompletionQueue::Entry& entry : unflushed_) completions.Post(entry);
  unflushed_.clear();
  Announce();
  const std::vector<Request*> ended = std::exchange(ended_, {});
  for (Request* request : ended) {
    if (request->state == RequestState::kNotifying) {
      Notify(*request);
      continue;
    }
    if (request->held) {
      request->state = RequestState::kHeld;
      ++held_requests_;
      continue;
    }
    Follow(*request);
    pool_.Free(*request);
  }
  freed_since_flush_ = 0;
  if (drain_active_) LetGo();
}

void RingCore::Follow(Request& ended) {
  if (ended.timeout_follows) DisarmLinkTimeout(ended);
  if (ended.failed && !ended.hard_linked) {
    EndRestLater(ended);
    return;
  }
  Request* const next = std::exchange(ended.link, nullptr);
  if (next == nullptr) return;
  next->state = RequestState::kStarting;  // Fact V10.
  QueueTaskWork(*next, /*forced=*/true);
}

void RingCore::EndRestLater(Request& broken) {
  Request* const first = std::exchange(broken.link, nullptr);
  if (first == nullptr) return;
  for (Request* member = first; member != nullptr; member = member->link) {
    member->silent = broken.skip_success;  // Fact L7.
    member->skip_success = false;
  }
  first->state = RequestState::kFailing;
  QueueTaskWork(*first, /*forced=*/true);
}

void RingCore::EndRest(Request& first) {
  Request* next = nullptr;
  for (Request* member = &first; member != nullptr; member = next) {
    next = std::exchange(member->link, nullptr);
    member->state = RequestState::kFailing;
    End(*member, member->failed ? member->result : -ECANCELED);
  }
}

// --- Drains

void RingCore::HoldBack(Request& head) {
  held_back_.push_back(&head);
  held_back_requests_ += ChainLength(head);
  const bool drains = head.drains;
  LetGo();
  if (!drains && held_back_.empty()) drain_active_ = false;
}

void RingCore::LetGo() {
  // As io_queue_deferred(): a drain, and the first one behind it, wait until nothing else is left.
  bool drain_seen = false;
  bool first = true;
  while (!held_back_.empty()) {
    Request& head = *held_back_.front();
    drain_seen |= head.drains;
    const size_t in_flight = pool_.size() + freed_since_flush_;
    if ((drain_seen || first) && in_flight != held_back_requests_) return;
    held_back_.pop_front();
    held_back_requests_ -= ChainLength(head);
    head.state = RequestState::kStarting;
    QueueTaskWork(head, /*forced=*/true);
    first = false;
  }
}

}  // namespace orrery::model

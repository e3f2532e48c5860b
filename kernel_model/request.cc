#include "kernel_model/request.h"

#include <algorithm>

#include "base/check.h"
#include "base/prng.h"
#include "kernel_model/memory_guard.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr size_t kBucketsAtStart = 64;

}  // namespace

bool Faults(const Request& request, size_t bytes) {
  if (!request.bad_memory) return false;
  size_t offset = request.cursor_offset;
  for (size_t index = request.cursor_index; index < request.iovecs.size() && bytes > 0; ++index) {
    const iovec& part = request.iovecs[index];
    if (part.iov_len > offset && IsNowhere(part.iov_base)) return true;
    bytes -= std::min(bytes, part.iov_len - offset);
    offset = 0;
  }
  return false;
}

RequestTable::RequestTable() : buckets_(kBucketsAtStart) {}

size_t RequestTable::BucketOf(uint64_t user_data) const {
  return Mix64(user_data) & (buckets_.size() - 1);
}

void RequestTable::Link(Request& request) {
  Request*& bucket = buckets_[BucketOf(request.user_data)];
  request.same_bucket_previous = nullptr;
  request.same_bucket_next = bucket;
  if (bucket != nullptr) bucket->same_bucket_previous = &request;
  bucket = &request;
}

void RequestTable::Insert(Request& request) {
  ORRERY_CHECK(!request.tracked);
  if (size_ == buckets_.size()) Grow();
  Link(request);
  request.newer = nullptr;
  request.older = newest_;
  if (newest_ != nullptr) newest_->newer = &request;
  newest_ = &request;
  request.tracked = true;
  ++size_;
}

void RequestTable::Remove(Request& request) {
  if (!request.tracked) return;
  if (request.same_bucket_previous != nullptr) {
    request.same_bucket_previous->same_bucket_next = request.same_bucket_next;
  } else {
    buckets_[BucketOf(request.user_data)] = request.same_bucket_next;
  }
  if (request.same_bucket_next != nullptr) {
    request.same_bucket_next->same_bucket_previous = request.same_bucket_previous;
  }
  if (request.newer != nullptr) {
    request.newer->older = request.older;
  } else {
    newest_ = request.older;
  }
  if (request.older != nullptr) request.older->newer = request.newer;
  request.tracked = false;
  --size_;
}

Request* RequestTable::Find(uint64_t user_data) const {
  Request* request = buckets_[BucketOf(user_data)];
  while (request != nullptr && request->user_data != user_data) request = request->same_bucket_next;
  return request;
}

Request* RequestTable::NextSame(const Request& request) {
  Request* next = request.same_bucket_next;
  while (next != nullptr && next->user_data != request.user_data) next = next->same_bucket_next;
  return next;
}

void RequestTable::Grow() {
  buckets_.assign(buckets_.size() * 2, nullptr);
  // Oldest first, so that the newest of a bucket stays in front.
  Request* oldest = newest_;
  while (oldest != nullptr && oldest->older != nullptr) oldest = oldest->older;
  for (Request* request = oldest; request != nullptr; request = request->newer) Link(*request);
}

}  // namespace orrery::model

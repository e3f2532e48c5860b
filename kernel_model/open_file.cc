#include "kernel_model/open_file.h"

#include "base/check.h"
#include "kernel_model/datagram.h"

namespace orrery::model {

OpenFile::OpenFile() = default;
OpenFile::~OpenFile() = default;

void WaitQueue::Add(Request& request) {
  ORRERY_CHECK(!request.in_wait_queue);
  request.in_wait_queue = true;
  Request* const previous = request.exclusive ? tail_ : nullptr;
  Request* const next = request.exclusive ? nullptr : head_;
  request.wait_previous = previous;
  request.wait_next = next;
  (previous != nullptr ? previous->wait_next : head_) = &request;
  (next != nullptr ? next->wait_previous : tail_) = &request;
}

void WaitQueue::Remove(Request& request) {
  if (!request.in_wait_queue) return;
  request.in_wait_queue = false;
  Request* const previous = request.wait_previous;
  Request* const next = request.wait_next;
  (previous != nullptr ? previous->wait_next : head_) = next;
  (next != nullptr ? next->wait_previous : tail_) = previous;
  request.wait_previous = request.wait_next = nullptr;
}

bool DescriptorTable::full() const { return size_ + kFirst >= descriptors_max_; }

int DescriptorTable::Insert(OpenFile& file) {
  ORRERY_CHECK(!full());
  int fd = lowest_maybe_free_;
  while (fd < end() && files_[static_cast<size_t>(fd)] != nullptr) ++fd;
  if (fd == end()) {
    files_.push_back(nullptr);
    close_on_exec_.push_back(false);
  }
  files_[static_cast<size_t>(fd)] = &file;
  close_on_exec_[static_cast<size_t>(fd)] = false;
  lowest_maybe_free_ = fd + 1;
  ++size_;
  return fd;
}

void DescriptorTable::SetCloseOnExec(int fd, bool on) {
  ORRERY_CHECK(Find(fd) != nullptr);
  close_on_exec_[static_cast<size_t>(fd)] = on;
}

OpenFile* DescriptorTable::Find(int fd) const {
  return fd >= 0 && fd < end() ? files_[static_cast<size_t>(fd)] : nullptr;
}

OpenFile* DescriptorTable::Remove(int fd) {
  OpenFile* const file = Find(fd);
  if (file == nullptr) return nullptr;
  files_[static_cast<size_t>(fd)] = nullptr;
  if (fd < lowest_maybe_free_) lowest_maybe_free_ = fd;
  --size_;
  return file;
}

}  // namespace orrery::model

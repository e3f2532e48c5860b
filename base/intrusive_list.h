// A doubly linked list whose links live in its elements: no allocation, removal from the middle in
// O(1).
//
// Invariant: an element is in at most one list per link member, and outlives its membership. Owned
// and used by one thread; owns none of its elements.
#pragma once

#include <cstddef>

#include "base/check.h"
#include "base/element_of.h"

namespace orrery {

// A list link. Embed one per list that an element may be in.
struct ListLink {
  ListLink* previous = nullptr;
  ListLink* next = nullptr;

  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { ORRERY_CHECK_MSG(!linked(), "an element died while it was in a list"); }

  bool linked() const { return next != nullptr; }
};

template <typename T, ListLink T::* kLink>
class IntrusiveList {
 public:
  IntrusiveList() { head_.previous = head_.next = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    Clear();
    head_.previous = head_.next = nullptr;
  }

  bool empty() const { return head_.next == &head_; }
  size_t size() const { return size_; }

  // REQUIRES: `element` is not in a list by this link.
  void PushBack(T& element) {
    ListLink& link = element.*kLink;
    ORRERY_CHECK(!link.linked());
    link.previous = head_.previous;
    link.next = &head_;
    head_.previous->next = &link;
    head_.previous = &link;
    ++size_;
  }

  // The oldest element, or null.
  T* front() { return empty() ? nullptr : Element(head_.next); }

  // The element behind `element`, or null. REQUIRES: `element` is in this list.
  T* Next(T& element) {
    ListLink* next = (element.*kLink).next;
    return next == &head_ ? nullptr : Element(next);
  }

  // Takes the oldest element out and returns it; null when empty.
  T* PopFront() {
    T* element = front();
    if (element != nullptr) Remove(*element);
    return element;
  }

  // REQUIRES: `element` is in this list.
  void Remove(T& element) {
    ListLink& link = element.*kLink;
    ORRERY_CHECK(link.linked());
    link.previous->next = link.next;
    link.next->previous = link.previous;
    link.previous = link.next = nullptr;
    --size_;
  }

  void Clear() {
    while (PopFront() != nullptr) {
    }
  }

 private:
  static T* Element(ListLink* link) { return ElementOf<kLink, T>(link); }

  ListLink head_;
  size_t size_ = 0;
};

}  // namespace orrery

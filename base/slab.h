// A growing pool of slots named by {index, generation} handles.
//
// Invariant: a handle finds its object until that object is released, and nothing ever after; a
// stale handle is answered with null, not trusted. Addresses of objects are stable for their life:
// the kernel may know them. Owned and used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"

namespace orrery {

struct SlotHandle {
  uint32_t index = 0;
  uint32_t generation = 0;
  friend constexpr bool operator==(SlotHandle, SlotHandle) = default;
};

template <typename T>
class Slab {
 public:
  static constexpr uint32_t kSlotsPerPage = 64;

  // Holds at most `slots_max` objects; memory is taken a page at a time as needed.
  explicit Slab(uint32_t slots_max) : slots_max_(slots_max) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (uint32_t index = 0; index < slots_made_; ++index) {
      if (SlotAt(index).used) Object(SlotAt(index))->~T();
    }
  }

  // Makes a T from its handle and `arguments`. Null when the slab is full.
  template <typename... Arguments>
  T* Allocate(Arguments&&... arguments) {
    if (free_.empty() && !Grow()) return nullptr;
    const uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = SlotAt(index);
    slot.used = true;
    ++size_;
    const SlotHandle handle{.index = index, .generation = slot.generation};
    return new (slot.storage) T(handle, std::forward<Arguments>(arguments)...);
  }

  // REQUIRES: `handle` names a live object.
  void Release(SlotHandle handle) {
    T* object = Find(handle);
    ORRERY_CHECK_MSG(object != nullptr, "release of a slot that is not in use");
    object->~T();
    Slot& slot = SlotAt(handle.index);
    slot.used = false;
    ++slot.generation;
    --size_;
    free_.push_back(handle.index);
  }

  // The object that `handle` names, or null when it has been released.
  T* Find(SlotHandle handle) {
    if (handle.index >= slots_made_) return nullptr;
    Slot& slot = SlotAt(handle.index);
    if (!slot.used || slot.generation != handle.generation) return nullptr;
    return Object(slot);
  }

  // Asks the processor to fetch the slot's first cache line; any handle will do.
  void Prefetch(SlotHandle handle) {
    if (handle.index < slots_made_) __builtin_prefetch(SlotAt(handle.index).storage);
  }

  uint32_t size() const { return size_; }
  uint32_t slots_max() const { return slots_max_; }

  // Calls visit(T&) for every live object in the order of indices.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (uint32_t index = 0; index < slots_made_; ++index) {
      if (SlotAt(index).used) visit(*Object(SlotAt(index)));
    }
  }

 private:
  struct Slot {
    alignas(T) unsigned char storage[sizeof(T)];
    uint32_t generation = 0;
    bool used = false;
  };

  Slot& SlotAt(uint32_t index) { return pages_[index / kSlotsPerPage][index % kSlotsPerPage]; }
  // The storage holds a T made by placement new whenever the slot is in use.
  static T* Object(Slot& slot) { return std::launder(reinterpret_cast<T*>(slot.storage)); }

  bool Grow() {
    if (slots_made_ >= slots_max_) return false;
    if (slots_made_ % kSlotsPerPage == 0) pages_.push_back(std::make_unique<Slot[]>(kSlotsPerPage));
    free_.push_back(slots_made_++);
    return true;
  }

  uint32_t slots_max_;
  uint32_t slots_made_ = 0;
  uint32_t size_ = 0;
  std::vector<std::unique_ptr<Slot[]>> pages_;
  std::vector<uint32_t> free_;
};

}  // namespace orrery

// A stale handle that finds somebody else's object hands one connection's completion to another.
#include "base/slab.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery {
namespace {

// Counts its lives, so that a destructor that runs twice or never is seen.
struct Counted {
  Counted(SlotHandle own_handle, int value_in, int* alive_in)
      : handle(own_handle), value(value_in), alive(alive_in) {
    ++*alive;
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive; }

  SlotHandle handle;
  int value;
  int* alive;
};

TEST(Slab, GivesTheObjectItsHandle) {
  int alive = 0;
  Slab<Counted> slab(4);
  Counted* object = slab.Allocate(7, &alive);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->value, 7);
  EXPECT_EQ(slab.Find(object->handle), object);
  EXPECT_EQ(slab.size(), 1U);
  EXPECT_EQ(alive, 1);
}

TEST(Slab, StaleHandleFindsNothing) {
  int alive = 0;
  Slab<Counted> slab(1);
  const SlotHandle first = slab.Allocate(1, &alive)->handle;
  slab.Release(first);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(slab.Find(first), nullptr);

  Counted* second = slab.Allocate(2, &alive);
  EXPECT_EQ(second->handle.index, first.index);
  EXPECT_NE(second->handle.generation, first.generation);
  EXPECT_EQ(slab.Find(first), nullptr);
  EXPECT_EQ(slab.Find(second->handle), second);
}

TEST(Slab, UnknownIndexFindsNothing) {
  int alive = 0;
  Slab<Counted> slab(1000);
  (void)slab.Allocate(1, &alive);
  EXPECT_EQ(slab.Find({.index = 1, .generation = 0}), nullptr);
  EXPECT_EQ(slab.Find({.index = 999'999, .generation = 0}), nullptr);
}

TEST(Slab, FullIsAnAnswer) {
  int alive = 0;
  Slab<Counted> slab(2);
  const SlotHandle first = slab.Allocate(1, &alive)->handle;
  ASSERT_NE(slab.Allocate(2, &alive), nullptr);
  EXPECT_EQ(slab.Allocate(3, &alive), nullptr);
  EXPECT_EQ(alive, 2);
  slab.Release(first);
  EXPECT_NE(slab.Allocate(4, &alive), nullptr);
}

TEST(Slab, AddressesStayWhileItGrows) {
  int alive = 0;
  constexpr uint32_t kObjects = 3 * Slab<Counted>::kSlotsPerPage + 1;
  Slab<Counted> slab(kObjects);
  std::vector<Counted*> objects;
  for (uint32_t i = 0; i < kObjects; ++i) {
    objects.push_back(slab.Allocate(static_cast<int>(i), &alive));
    ASSERT_NE(objects.back(), nullptr);
  }
  EXPECT_EQ(slab.Allocate(0, &alive), nullptr);
  for (uint32_t i = 0; i < kObjects; ++i) {
    EXPECT_EQ(objects[i]->value, static_cast<int>(i));
    EXPECT_EQ(slab.Find(objects[i]->handle), objects[i]);
  }
}

TEST(Slab, DestroysWhatIsLeft) {
  int alive = 0;
  {
    Slab<Counted> slab(100);
    const SlotHandle released = slab.Allocate(0, &alive)->handle;
    for (int i = 0; i < 70; ++i) ASSERT_NE(slab.Allocate(i, &alive), nullptr);
    slab.Release(released);
    EXPECT_EQ(alive, 70);
  }
  EXPECT_EQ(alive, 0);
}

TEST(SlabDeathTest, ReleasingTwiceIsAMistake) {
  int alive = 0;
  Slab<Counted> slab(2);
  const SlotHandle handle = slab.Allocate(1, &alive)->handle;
  slab.Release(handle);
  EXPECT_DEATH(slab.Release(handle), "not in use");
}

// Against a map that never reuses anything.
RC_GTEST_PROP(Slab, AgreesWithANaiveModel, (const std::vector<uint8_t>& steps)) {
  const uint32_t slots_max = *rc::gen::inRange<uint32_t>(1, 150);
  int alive = 0;
  Slab<Counted> slab(slots_max);
  std::map<int, SlotHandle> live;  // The value of each live object, and its handle.
  std::vector<SlotHandle> dead;
  int next_value = 0;

  for (const uint8_t step : steps) {
    if (step % 3 != 0) {
      Counted* object = slab.Allocate(next_value, &alive);
      RC_ASSERT((object == nullptr) == (live.size() == slots_max));
      if (object == nullptr) continue;
      live.emplace(next_value++, object->handle);
    } else if (!live.empty()) {
      auto victim = live.begin();
      std::advance(victim, step % live.size());
      slab.Release(victim->second);
      dead.push_back(victim->second);
      live.erase(victim);
    }
  }

  RC_ASSERT(slab.size() == live.size());
  RC_ASSERT(alive == static_cast<int>(live.size()));
  for (const auto& [value, handle] : live) {
    Counted* object = slab.Find(handle);
    RC_ASSERT(object != nullptr);
    RC_ASSERT(object->value == value);
    RC_ASSERT(object->handle == handle);
  }
  for (const SlotHandle handle : dead) RC_ASSERT(slab.Find(handle) == nullptr);

  std::set<int> visited;
  std::optional<uint32_t> last_index;
  slab.ForEach([&](Counted& object) {
    RC_ASSERT(!last_index || *last_index < object.handle.index);
    last_index = object.handle.index;
    visited.insert(object.value);
  });
  RC_ASSERT(visited.size() == live.size());
}

}  // namespace
}  // namespace orrery

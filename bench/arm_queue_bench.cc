// What a turn pays for its arm queue: pushing and walking, with few or many connections besides.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "base/slab.h"
#include "runtime/arm_queue.h"

namespace orrery {
namespace {

struct Element {
  explicit Element(SlotHandle handle) : own_handle(handle) {}
  SlotHandle handle() const { return own_handle; }
  SlotHandle own_handle;
  bool arm_queued = false;
  char rest_of_a_connection[200] = {};
};

// Arguments: connections in all, connections with work.
void PushAndWalk(benchmark::State& state) {
  const auto all = static_cast<uint32_t>(state.range(0));
  const auto active = static_cast<uint32_t>(state.range(1));
  Slab<Element> slab(all);
  std::vector<Element*> elements;
  for (uint32_t index = 0; index < all; ++index) elements.push_back(slab.Allocate());
  ArmQueue<Element> queue;
  const uint32_t stride = all / active;
  for (auto _ : state) {
    for (uint32_t index = 0; index < active; ++index) queue.Push(*elements[index * stride]);
    queue.Walk(slab, [](Element& element) {
      benchmark::DoNotOptimize(element.rest_of_a_connection[0]);
      return true;
    });
  }
  state.SetItemsProcessed(state.iterations() * active);
}
BENCHMARK(PushAndWalk)->Args({50, 50})->Args({10'000, 50})->Args({10'000, 10'000});

}  // namespace
}  // namespace orrery

// A kernel with a context on it, for tests of what waits for the kernel: on Linux, on the fake
// kernel, and there with faults. Test code only.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/errno.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/scripted_choice.h"
#include "runtime/coro/io_context.h"
#include "runtime/model_world.h"
#include "runtime/ring/ring.h"
#include "runtime/test_world.h"

namespace orrery::coro {

struct WorldKind {
  const char* name;
  std::unique_ptr<TestWorld> (*make)();
  bool faults = false;
};
inline void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

inline model::ModelOptions SmallMachine(model::TaskWork task_work) {
  model::ModelOptions options;
  options.task_work = task_work;
  options.socket_buffer_bytes = 2000;  // Smaller than what the tests send.
  return options;
}

template <model::TaskWork kTaskWork>
std::unique_ptr<TestWorld> MakeBenign() {
  return std::make_unique<ModelWorld>(SmallMachine(kTaskWork),
                                      std::make_unique<model::ScriptedChoice>());
}

template <model::TaskWork kTaskWork, uint64_t kSeed>
std::unique_ptr<TestWorld> MakeFaulty() {
  return std::make_unique<ModelWorld>(SmallMachine(kTaskWork),
                                      std::make_unique<SeededChoice>(kSeed, /*one_in=*/4));
}

// A test gets a world and a context; at its end the context must have nothing in flight, and every
// descriptor must be closed.
class IoTest : public testing::TestWithParam<WorldKind> {
 protected:
  IoTest()
      : world_(GetParam().make()),
        // So few entries that operations wait for room.
        ring_(*world_->kernel().MakeRing({.sq_entries = 4, .cq_entries = 8})),
        descriptors_before_(world_->open_descriptors()),
        io_(*ring_, world_->kernel(),
            {.operations = {}, .log = [this](std::string_view line) { log_.emplace_back(line); }}) {
  }
  ~IoTest() override {
    EXPECT_TRUE(io_.finished());
    EXPECT_EQ(io_.operations().active(), 0u);
    EXPECT_EQ(world_->open_descriptors(), descriptors_before_);
  }

  IoContext& io() { return io_; }
  // What the context has said.
  const std::vector<std::string>& log() const { return log_; }
  bool faults() const { return GetParam().faults; }

 private:
  std::unique_ptr<TestWorld> world_;
  std::unique_ptr<Ring> ring_;
  size_t descriptors_before_;
  std::vector<std::string> log_;
  IoContext io_;
};

// 0: there is none.
template <typename T>
int ErrorOf(const std::expected<T, Errno>& result) {
  return result ? 0 : result.error().value();
}

inline std::string NameOf(const testing::TestParamInfo<WorldKind>& instance) {
  return instance.param.name;
}

// Every kernel there is.
inline auto AllWorlds() {
  constexpr auto kDeferred = model::TaskWork::kDeferred;
  constexpr auto kPrompt = model::TaskWork::kPrompt;
  return testing::Values(WorldKind{"Linux", [] { return MakeLinuxWorld(0); }},
                         WorldKind{"ModelDeferred", MakeBenign<kDeferred>},
                         WorldKind{"ModelPrompt", MakeBenign<kPrompt>},
                         WorldKind{"FaultsDeferred1", MakeFaulty<kDeferred, 1>, true},
                         WorldKind{"FaultsDeferred2", MakeFaulty<kDeferred, 2>, true},
                         WorldKind{"FaultsDeferred3", MakeFaulty<kDeferred, 3>, true},
                         WorldKind{"FaultsPrompt1", MakeFaulty<kPrompt, 1>, true},
                         WorldKind{"FaultsPrompt2", MakeFaulty<kPrompt, 2>, true});
}

}  // namespace orrery::coro

// Both kernels where nothing goes wrong by itself, for tests that run on each. Test code only.
#pragma once

#include <memory>
#include <ostream>
#include <string>

#include "gtest/gtest.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/model_world.h"
#include "runtime/test_world.h"

namespace orrery {

inline std::unique_ptr<TestWorld> MakeBenignLinux() { return MakeLinuxWorld(0); }

template <model::TaskWork kTaskWork>
std::unique_ptr<TestWorld> MakeBenignModel() {
  return std::make_unique<ModelWorld>(model::ModelOptions{.task_work = kTaskWork},
                                      std::make_unique<model::BenignChoice>());
}

// A test's parameter.
struct BenignWorld {
  const char* name;
  std::unique_ptr<TestWorld> (*make)();
};
// What GoogleTest prints of it.
inline void PrintTo(const BenignWorld& world, std::ostream* out) { *out << world.name; }

inline auto BenignWorlds() {
  return testing::Values(BenignWorld{"Linux", MakeBenignLinux},
                         BenignWorld{"ModelDeferred", MakeBenignModel<model::TaskWork::kDeferred>},
                         BenignWorld{"ModelPrompt", MakeBenignModel<model::TaskWork::kPrompt>});
}
inline std::string NameOf(const testing::TestParamInfo<BenignWorld>& instance) {
  return instance.param.name;
}

}  // namespace orrery

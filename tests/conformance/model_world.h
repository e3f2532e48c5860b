// The model as a World: a benign kernel (every choice is 0) whose clock moves when a test waits.
#pragma once

#include <memory>

#include "tests/conformance/world.h"

namespace orrery::conformance {

// A rule of the ring that the test body breaks fails the test.
std::unique_ptr<World> MakeModelWorld(bool deferred);

}  // namespace orrery::conformance

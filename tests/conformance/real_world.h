// The real kernel as a World: peers are non-blocking sockets on loopback, in this thread.
#pragma once

#include <memory>

#include "tests/conformance/world.h"

namespace orrery::conformance {

// Its rings have deferred task work or none of the set-up flags; MakeRing fails where the kernel
// does not have that mode.
std::unique_ptr<World> MakeRealWorld(bool deferred);

}  // namespace orrery::conformance

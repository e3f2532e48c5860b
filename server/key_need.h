// How much of its keys a command needs to see, when they are on several shards. No state.
#pragma once

#include <cstdint>

namespace orrery::server {

enum class KeyNeed : uint8_t {
  kNothing,   // It overwrites them, whatever they are.
  kPresence,  // Their bytes do not matter.
  kValue,
};

}  // namespace orrery::server

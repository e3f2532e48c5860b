// A picture as one HTML page that needs nothing else: no network, no other file, no build.
//
// The page's own sources are the files of tools/view/page/, which the build puts into this library;
// README.md there says what they do. The picture's data is in the page as JSON.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"
#include "tools/view/picture.h"

namespace orrery::view {

// Which run it is, for the page's head.
struct PageHead {
  std::string scenario;
  std::string strategy;
  std::string replay;  // The command that runs it again.
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t events = 0;  // Of the whole run.
  Nanoseconds virtual_time = 0;
};

std::string WritePage(const PageHead& head, const Picture& picture);

}  // namespace orrery::view

#include "base/mark.h"

#include <utility>

namespace orrery {

constinit const Mark* Mark::first_ = nullptr;

Mark::Mark(const char* name) : name_(name), next_(std::exchange(first_, this)) {}

}  // namespace orrery

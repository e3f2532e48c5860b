// How often a test's process has asked the allocator for memory, for tests that say how often it
// may.
//
// Whoever depends on this gets the operators new and delete of allocation_count.cc instead of the
// C++ library's. Counted is every operator new of the process, the test framework's included; the
// difference between two counts is what was done in between. For tests of one thread.
#pragma once

#include <cstddef>

namespace orrery {

size_t AllocationCount();

}  // namespace orrery

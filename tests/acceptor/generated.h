// The acceptor's generated programs as subjects of the same comparison: small ones, in which the
// kernel has no freedom but that of late packets. Whatever time does, Linux must do what the model
// does. Functions of a seed.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/acceptor/outcomes.h"

namespace orrery::acceptor {

// Nothing when the program of this seed is not small, or has workers or timers.
std::optional<Subject> GeneratedSubject(uint64_t seed);

}  // namespace orrery::acceptor

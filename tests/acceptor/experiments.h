// Small programs about the freedom of the kernel: for each, the model can say everything that may
// come of it, and Linux can be asked as often as one likes. Plain data and functions.
#pragma once

#include <span>
#include <string_view>

#include "sim/odometer.h"
#include "tests/acceptor/lab.h"
#include "tests/acceptor/surroundings.h"

namespace orrery::acceptor {

struct Experiment {
  std::string_view name;
  std::string_view about;
  void (*body)(Lab&);
  // What the kernel is free to do in it. What the world does is added by the enumeration.
  sim::OdometerScope (*scope)();
  ModelSettings settings = {};
};

std::span<const Experiment> Experiments();
// Null when none has this name.
const Experiment* FindExperiment(std::string_view name);

}  // namespace orrery::acceptor

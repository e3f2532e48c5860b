// What surrounds an experiment: a kernel, and time and peers that do as they please.
//
// On Linux this is the machine, with delays drawn from a seed and peers on threads of their own. On
// the model it is an odometer: whatever may be so or so is asked, so that all of it can be
// enumerated. What the world does (when a peer acts, how long something takes) is asked as
// Site::kSchedule; what the kernel does, as its own sites.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/ring/ring.h"
#include "sim/odometer.h"
#include "tests/conformance/world.h"

namespace orrery::acceptor {

class Surroundings {
 public:
  virtual ~Surroundings() = default;

  virtual conformance::World& world() = 0;
  virtual bool real() const = 0;

  // Before it, and after Rest(), the kernel is benign and nobody acts.
  virtual void Start() = 0;
  // Everything that was begun beside the program has happened.
  virtual void Rest() = 0;

  // Somebody else does these, one after the other, while the program goes on: sooner or later.
  // They may use the world as a peer does. At most one Beside() for each peer at a time.
  virtual void Beside(std::vector<std::function<void()>> actions) = 0;
  // A while passes, of which nobody knows how long it is.
  virtual void Moment() = 0;
  // So much time passes; on Linux it does so by itself.
  virtual void Pass(Nanoseconds duration) = 0;
  // `timeout`: of the wait.
  virtual EnterResult Enter(Ring& ring, unsigned to_submit, unsigned min_complete,
                            Nanoseconds timeout) = 0;
};

// Linux. What is not determined by the program is a matter of luck; `seed` varies the delays.
std::unique_ptr<Surroundings> MakeRealSurroundings(uint64_t seed);

struct ModelSettings {
  size_t socket_buffer_bytes = 64 * 1024;
};

// The model, one run of the odometer. Broken rules are kept.
class ModelSurroundings : public Surroundings {
 public:
  // The first rule that was broken; empty: none.
  virtual const std::string& violation() const = 0;
};
std::unique_ptr<ModelSurroundings> MakeModelSurroundings(const ModelSettings& settings,
                                                         sim::Odometer& odometer);

}  // namespace orrery::acceptor

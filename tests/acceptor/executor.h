// Runs a program on a kernel, real or fake, through the same World as the conformance tests.
//
// What differs between the kernels is with the Driver: what a step's time is, and what becomes of
// the observations (recorded, or compared). Every operation has ended when Run() returns true, so
// that a real kernel writes to no memory afterwards. One thread.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/trace.h"
#include "tests/conformance/world.h"

namespace orrery::acceptor {

// From here on: the ids of the cancels of everything, behind the program.
inline constexpr uint32_t kCancelId = 2'000'000;
// From here on: how observations call peers that exchange datagrams.
inline constexpr uint32_t kDatagramPeerId = 1000;
// On Linux: how long an Enter waits at most, but the last ones for an acknowledgement.
inline constexpr Nanoseconds kRealWait = 1 * kMillisecond;
// A send of no more never has to wait while its peer has read everything.
inline constexpr int32_t kShortSendMax = 1000;

class Driver {
 public:
  virtual ~Driver() = default;
  // A turn begins: a step is about to be carried out.
  virtual void BeginTurn(const Turn& turn) = 0;
  // A turn is over, but for waiting for workers of the kernel that it started.
  virtual void EndTurn() = 0;
  // A kernel whose workers run beside the program.
  virtual bool real() const = 0;
  // False: go no further.
  virtual bool Observe(const Observation& observation) = 0;
  // How long an Enter that waits does so at most. `last`: for an acknowledgement of a
  // peer, which it may delay.
  virtual Nanoseconds WaitBound(bool last) = 0;
  // A peer has connected.
  virtual void Connected(conformance::World::Peer peer) = 0;
  // Peer `number` reads: how much of it at most.
  virtual size_t PeerReads(uint32_t number, size_t bytes_max) = 0;
  // When a timeout that this Enter submits is to fire: of a short one, and of one of no time at
  // all, linked or not.
  struct Time {
    Nanoseconds time = 0;
    bool absolute = false;
  };
  virtual Time ShortTimeout(uint32_t id) = 0;
  virtual Time ZeroLinkTimeout(uint32_t id) = 0;
  virtual Time ZeroTimeout(uint32_t id) = 0;
  // Lets more time pass than a short timeout takes.
  virtual void Pause() = 0;
};

// False when the driver stopped it.
bool Run(const Program& program, conformance::World& world, Driver& driver);

// Runs it on Linux, on a ring with deferred task work, and writes everything down. Ignores SIGPIPE
// in this process.
Trace Record(const Program& program);

}  // namespace orrery::acceptor

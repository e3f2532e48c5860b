// A machine made from a seed, a program on it that was written for Linux, and its peers: what a
// test of other people's io_uring code is made of.
//
//   sim::ProgramWorld world(seed);
//   world.Start([] { return echo_serve(echo_listen(7)); });
//   sim::StreamPeer& peer = world.AddPeer(7, world.Bytes(10'000));
//   EXPECT_TRUE(world.RunUntilPeersLeave()) << world.Story();
//   EXPECT_EQ(peer.received(), peer.sent()) << world.Story();
//   EXPECT_TRUE(world.Stop(SIGTERM)) << world.Story();
//
// The program is linked with //kernel_model:liburing. The seed decides everything: the sizes and
// the faults of the machine, what the peers do, who runs when. Same seed, same hash().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "kernel_model/program/program.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/world.h"

namespace orrery::sim {

// The far end of a connection: connects as soon as somebody listens, sends its bytes in pieces,
// ends its stream, and reads until the program ends, too. It pauses, and it reads slowly, as its
// seed says.
class StreamPeer final : public Actor {
 public:
  struct Options {
    // Goes without a word after it sent so many bytes, with a reset.
    size_t vanishes_after = SIZE_MAX;
    // Ends its stream when all is sent. Otherwise it waits for the program to end it.
    bool ends = true;
  };
  StreamPeer(model::ModelKernel& kernel, uint64_t seed, uint16_t port, std::string bytes,
             const Options& options);

  const std::string& sent() const { return bytes_; }
  const std::string& received() const { return received_; }
  // The stream has ended, or the peer has vanished.
  bool left() const { return left_; }
  // The program reset the connection, or refused it for good.
  bool was_reset() const { return was_reset_; }

  // --- Actor.
  bool Ready(Nanoseconds now) const override { return !left_ && now >= next_at_; }
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

 private:
  bool SendSome();
  bool ReceiveSome();
  size_t Piece();

  model::ModelKernel& kernel_;
  Prng prng_;
  uint16_t port_;
  std::string bytes_;
  Options options_;
  bool connected_ = false;
  model::ModelKernel::PeerId peer_ = 0;
  size_t done_ = 0;
  bool ended_ = false;
  bool left_ = false;
  bool was_reset_ = false;
  Nanoseconds next_at_ = 0;
  std::string received_;
};

class ProgramWorld {
 public:
  struct Options {
    model::ModelOptions machine;
    SiteRates rates;  // Of the faults; all benign by default.
    Nanoseconds time_max = 1000 * kSecond;
    uint64_t steps_max = 2'000'000;
  };
  // What a seed draws: sizes of the machine, and the rates of about half of the faults.
  static Options DrawOptions(uint64_t seed);

  explicit ProgramWorld(uint64_t seed) : ProgramWorld(seed, DrawOptions(seed)) {}
  ProgramWorld(uint64_t seed, const Options& options);
  ProgramWorld(const ProgramWorld&) = delete;
  ProgramWorld& operator=(const ProgramWorld&) = delete;
  ~ProgramWorld();

  // `main` runs when the world does, from its beginning to its return or exit(). Once.
  void Start(std::function<int()> main);
  // A reference that lives as long as the world.
  StreamPeer& AddPeer(uint16_t port, std::string bytes, const StreamPeer::Options& options = {});
  // Any other peer, which reaches the program through kernel(). It must live as long as the world
  // is run, and RunUntilPeersLeave() does not wait for it.
  void AddActor(Actor& actor);
  // Bytes for a peer, and other things that a test draws.
  std::string Bytes(size_t count);
  Prng& prng() { return prng_; }

  // Each runs the world until something has come: false when it never does, or when the program
  // broke a rule of the ring before. Story() then says what happened.
  bool RunUntil(const std::function<bool()>& done);
  bool RunUntilPeersLeave();
  bool RunUntilExit();
  // Sends a signal and waits for the program's end.
  bool Stop(int signal);

  // REQUIRES: started.
  model::Program& program() { return *program_; }
  model::ModelKernel& kernel() { return kernel_; }
  const EventLog& log() const { return log_; }
  // The identity of the run so far.
  uint64_t hash() const { return log_.hash(); }
  // For people: the seed, how the last run ended, the broken rule if any, the last events.
  std::string Story(size_t events_max = 30) const;

 private:
  // A program's user data are often addresses, which differ from build to build. Here an operation
  // is known by its number instead: as slot 0 in that generation.
  class Anonymous final : public model::Observer {
   public:
    explicit Anonymous(ProgramWorld& world) : world_(world) {}
    void OnEvent(const model::Event& event) override;
    void OnViolation(std::string_view invariant, std::string_view detail) override;

   private:
    ProgramWorld& world_;
    uint64_t operations_ = 0;
    std::map<int64_t, int64_t> newest_;  // By user data.
  };
  class Runner;

  const uint64_t seed_;
  const Options options_;
  Prng prng_;
  RandomChoice choice_;
  EventLog log_;
  Anonymous observer_;
  model::ModelKernel kernel_;
  World world_;
  std::unique_ptr<model::Program> program_;
  std::unique_ptr<Runner> runner_;
  std::vector<std::unique_ptr<StreamPeer>> peers_;
  uint64_t last_number_ = 0;  // Of an actor; the program's is 0.
  StopReason reason_ = StopReason::kPredicate;
};

}  // namespace orrery::sim

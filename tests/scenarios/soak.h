// Runs seeds for as long as one likes, on several processors, and keeps what fails.
//
// Work is done in child processes: blocks of seeds, and, for a seed that failed, its plan and a
// shrunk one. A seed that crashes or hangs ends its child, is noted like any other failure, and the
// block goes on behind it. Failures are counted by signature; of each signature the first few have
// their plan written to a folder, the first one a shrunk plan as well.
//
// One thread; it waits in Step() and nowhere else. Invariant: a seed counts once, when its result
// is known.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "sim/child.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

struct SoakOptions {
  std::vector<const Scenario*> scenarios;
  uint64_t first_seed = 0;
  // Of each scenario; UINT64_MAX: until told to stop.
  uint64_t seeds_max = UINT64_MAX;
  unsigned jobs = 1;
  // Where plans of failures go; made when the first one comes.
  std::string folder;
  // A run that takes longer hangs.
  Nanoseconds processor_time_max = 60 * kSecond;
  uint64_t seeds_a_block = 64;
  uint64_t plans_a_signature = 5;
  uint64_t shrink_runs_max = 5'000;
};

// Failures of one signature.
struct SoakFailure {
  struct Seed {
    std::string scenario;
    uint64_t seed = 0;
    std::string plan_path;  // Empty: not written.
    uint64_t lines = 0;
  };
  uint64_t count = 0;
  std::vector<Seed> seeds;  // The first ones.
  std::string report;       // Of the first one.
  // The first one's shrunk plan.
  std::string small_path;
  uint64_t small_lines = 0;
};

struct SoakTotals {
  uint64_t seeds = 0;
  uint64_t events = 0;
  Nanoseconds virtual_time = 0;
  uint64_t failed = 0;
  std::map<std::string, SoakFailure> failures;  // By signature.
  std::set<std::string> marks;                  // Those reached.
};

class Soak {
 public:
  explicit Soak(const SoakOptions& options);
  ~Soak();
  Soak(const Soak&) = delete;
  Soak& operator=(const Soak&) = delete;

  // Waits for news, at most `timeout`, and takes it in. False when all is done.
  bool Step(Nanoseconds timeout);
  // Begins no more blocks; what runs is finished.
  void StopSoon() { stopping_ = true; }
  // Drops the blocks that run, and finishes only the plans of what has failed, unshrunk.
  void StopNow();

  const SoakTotals& totals() const { return totals_; }
  // Files that could not be written.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Job;
  struct Failed {
    const Scenario* scenario = nullptr;
    uint64_t seed = 0;
    std::string signature;
    bool shrink = false;
  };

  std::unique_ptr<Job> NextJob();
  std::unique_ptr<Job> BlockFrom(const Scenario& scenario, uint64_t seed, uint64_t end);
  std::unique_ptr<Job> KeepFailure(Failed failed);
  void FillSlots();
  // Takes in whole lines that the job's child has written.
  void TakeLines(Job& job);
  void TakeLine(Job& job, std::string_view line);
  void OnEnd(Job& job);
  void OnFailure(const Scenario& scenario, uint64_t seed, const std::string& signature,
                 std::string report);
  void StorePlan(const Job& job, const std::string& text);
  void StoreShrunk(const Job& job, const std::string& text);
  bool Write(const std::string& path, const std::string& text);

  SoakOptions options_;
  uint64_t blocks_begun_ = 0;
  bool stopping_ = false;
  bool shrinking_ = true;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Failed> to_keep_;
  // Rests of blocks whose child crashed or hung.
  struct Rest {
    const Scenario* scenario = nullptr;
    uint64_t seed = 0;
    uint64_t end = 0;
  };
  std::vector<Rest> rests_;
  SoakTotals totals_;
  std::vector<std::string> problems_;
};

}  // namespace orrery::scenarios

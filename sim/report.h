// What a person reads when a run fails: the broken rule, when, what the connection concerned had
// just been through, and the one command that runs it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "sim/event_log.h"

namespace orrery::sim {

// Which run this is. By its plan's file when there is one, else by its seed.
struct RunIdentity {
  std::string scenario;
  uint64_t seed = 0;
  std::string plan_path;
  // How its choices were made; empty: not told.
  std::string strategy = {};
};

// "bazel run //tools:replay -- --scenario=server --seed=0x2a".
std::string ReplayCommand(const RunIdentity& identity);

struct ReportOptions {
  size_t connection_events_max = 25;
  size_t recent_events_max = 25;
};

// REQUIRES: the log has a violation.
std::string RenderFailure(const RunIdentity& identity, const EventLog& log,
                          const ReportOptions& options);

// While it lives, an ORRERY_CHECK that fails prints the run, its last events and the command before
// the process aborts. One at a time in a process.
class ScopedCheckReport {
 public:
  // What else is to be done with the log before the end.
  using Then = std::function<void(const EventLog& log)>;

  // `log` must outlive this.
  ScopedCheckReport(const RunIdentity& identity, const EventLog& log, Then then = {});
  ~ScopedCheckReport();
  ScopedCheckReport(const ScopedCheckReport&) = delete;
  ScopedCheckReport& operator=(const ScopedCheckReport&) = delete;

 private:
  static void Print(void* context);

  RunIdentity identity_;
  const EventLog& log_;
  Then then_;
};

}  // namespace orrery::sim

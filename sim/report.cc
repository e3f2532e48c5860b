#include "sim/report.h"

#include <cinttypes>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/plan.h"

namespace orrery::sim {
namespace {

std::string Quoted(const std::string& path) {
  return path.find_first_of(" '\"$\\") == std::string::npos ? path : "'" + path + "'";
}

void AppendEvents(const std::string& title, const std::vector<LoggedEvent>& events,
                  std::string& text) {
  if (events.empty()) return;
  text += title + "\n";
  for (const LoggedEvent& event : events) text += "  " + Render(event) + "\n";
}

std::string RenderMoment(const char* name, Nanoseconds time, uint64_t event) {
  char line[128];
  std::snprintf(line, sizeof(line), "%s %.6f ms of virtual time, after event %" PRIu64 "\n", name,
                static_cast<double>(time) / kMillisecond, event);
  return line;
}

// How it was decided who goes first, and the command that runs it again.
std::string RenderHow(const RunIdentity& identity) {
  const std::string by =
      identity.strategy.empty() ? std::string() : "  by:     " + identity.strategy + "\n";
  return by + "  replay: " + ReplayCommand(identity) + "\n";
}

}  // namespace

std::string ReplayCommand(const RunIdentity& identity) {
  const std::string program = "bazel run //tools:replay --";
  if (!identity.plan_path.empty()) return program + " --plan=" + Quoted(identity.plan_path);
  return program + " --scenario=" + identity.scenario + " --seed=" + HexOf(identity.seed);
}

std::string RenderFailure(const RunIdentity& identity, const EventLog& log,
                          const ReportOptions& options) {
  ORRERY_CHECK(log.violation().has_value());
  const Violation& violation = *log.violation();
  std::string text = "violated: " + violation.invariant + "\n";
  text += "  seen:   " + violation.detail + "\n";
  text += RenderMoment("  at:    ", violation.time, violation.event);
  text += RenderHow(identity);
  if (violation.has_connection) {
    AppendEvents("last events of connection " + std::to_string(violation.connection) + ":",
                 log.RecentOf(violation.connection, options.connection_events_max), text);
  }
  AppendEvents("last events:", log.Recent(options.recent_events_max), text);
  return text;
}

ScopedCheckReport::ScopedCheckReport(const RunIdentity& identity, const EventLog& log, Then then)
    : identity_(identity), log_(log), then_(std::move(then)) {
  SetCheckFailureHook(&ScopedCheckReport::Print, this);
}

ScopedCheckReport::~ScopedCheckReport() { SetCheckFailureHook(nullptr, nullptr); }

void ScopedCheckReport::Print(void* context) {
  const auto& report = *static_cast<const ScopedCheckReport*>(context);
  std::string text = RenderMoment("  at:    ", report.log_.now(), report.log_.count());
  text += RenderHow(report.identity_);
  AppendEvents("last events:", report.log_.Recent(ReportOptions{}.recent_events_max), text);
  std::fputs(text.c_str(), stderr);
  if (report.then_) report.then_(report.log_);
}

}  // namespace orrery::sim

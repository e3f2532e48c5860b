// replay --html and --trace: a run as a page and as a trace for other viewers.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "sim/event_log.h"
#include "sim/transcript.h"
#include "tests/scenarios/scenario.h"
#include "tools/view/page.h"

namespace orrery::tools {

// Files as the caller gave them; empty: not asked for.
struct ViewPaths {
  std::string html;
  std::string trace;

  bool any() const { return !html.empty() || !trace.empty(); }
};

// Watches one run, and writes what was asked for. Nothing is watched when nothing was.
class Views {
 public:
  // `head` says which run it is; what the run turns out to be is filled in.
  Views(const ViewPaths& paths, view::PageHead head);
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  // Has the run watched, also one that a failing check ends: then the files are written before the
  // process dies. This must outlive the run.
  void Watch(scenarios::RunOptions& options);

  // After a run. The error names the file.
  std::expected<void, std::string> Write(const scenarios::RunResult& result);

 private:
  std::expected<void, std::string> WriteFiles(const std::optional<sim::Violation>& violation) const;

  ViewPaths paths_;  // As files of this process.
  view::PageHead head_;
  sim::Transcript transcript_;
};

}  // namespace orrery::tools

#include "tools/replay_views.h"

#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <utility>

#include "tools/from_caller.h"
#include "tools/view/picture.h"
#include "tools/view/trace_events.h"

namespace orrery::tools {
namespace {

std::expected<void, std::string> WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return std::unexpected(path + ": cannot be written");
  return {};
}

}  // namespace

Views::Views(const ViewPaths& paths, view::PageHead head)
    : paths_{.html = FromCaller(paths.html), .trace = FromCaller(paths.trace)},
      head_(std::move(head)) {}

void Views::Watch(scenarios::RunOptions& options) {
  if (!paths_.any()) return;
  options.transcript = &transcript_;
  options.on_failed_check = [this](const sim::EventLog& log) {
    head_.hash = log.hash();
    head_.events = log.count();
    head_.virtual_time = log.now();
    const sim::Violation violation{.invariant = "check",
                                   .cause = {},
                                   .detail = "an ORRERY_CHECK failed; what it said is on stderr",
                                   .time = log.now(),
                                   .event = log.count()};
    if (const auto written = WriteFiles(violation); !written) {
      fmt::print(stderr, "replay: {}\n", written.error());
    }
  };
}

std::expected<void, std::string> Views::Write(const scenarios::RunResult& result) {
  head_.hash = result.hash;
  head_.events = result.events;
  head_.virtual_time = result.virtual_time;
  return WriteFiles(result.violation);
}

std::expected<void, std::string> Views::WriteFiles(
    const std::optional<sim::Violation>& violation) const {
  if (!paths_.any()) return {};
  const view::Picture picture = view::MakePicture(transcript_, violation);
  if (!paths_.html.empty()) {
    if (auto written = WriteFile(paths_.html, view::WritePage(head_, picture)); !written)
      return written;
    fmt::print(stderr, "page          {}\n", paths_.html);
  }
  if (!paths_.trace.empty()) {
    if (auto written = WriteFile(paths_.trace, view::WriteTraceEvents(picture)); !written)
      return written;
    fmt::print(stderr, "trace         {}, for ui.perfetto.dev or chrome://tracing\n", paths_.trace);
  }
  return {};
}

}  // namespace orrery::tools

// Has the model explain a trace of the server on the real ring, as //tools:record writes it.

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tests/acceptor/server_trace.h"
#include "tests/acceptor/server_trace_acceptor.h"
#include "tools/from_caller.h"

namespace {

using orrery::acceptor::ExplainServerTrace;
using orrery::acceptor::ReadTrace;
using orrery::acceptor::TraceAcceptorOptions;
using orrery::acceptor::TraceVerdict;
using orrery::tools::FromCaller;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Arguments {
  std::string trace;
  uint64_t budget = TraceAcceptorOptions{}.steps_per_completion_max;
  bool json = false;
};

std::string_view NameOf(TraceVerdict::Kind kind) {
  switch (kind) {
    case TraceVerdict::Kind::kAccepted:
      return "accepted";
    case TraceVerdict::Kind::kRefused:
      return "refused";
    case TraceVerdict::Kind::kOutOfBudget:
      return "out of budget";
    case TraceVerdict::Kind::kUnsupported:
      return "unsupported";
  }
  return "";
}

void PrintJson(const TraceVerdict& verdict, double seconds) {
  fmt::print("{}\n", nlohmann::json{{"verdict", NameOf(verdict.kind)},
                                    {"reason", verdict.reason},
                                    {"place", verdict.place},
                                    {"enters", verdict.enters},
                                    {"submissions", verdict.submissions},
                                    {"completions", verdict.completions},
                                    {"late_completions", verdict.late_completions},
                                    {"late_in_enter_max", verdict.late_in_enter_max},
                                    {"buffers_published", verdict.publications},
                                    {"starved", verdict.starved},
                                    {"connections", verdict.connections},
                                    {"received_bytes", verdict.received_bytes},
                                    {"sent_bytes", verdict.sent_bytes},
                                    {"inferences", verdict.steps},
                                    {"seconds", seconds}}
                         .dump());
}

void Print(const TraceVerdict& verdict, double seconds) {
  if (verdict.kind != TraceVerdict::Kind::kAccepted) {
    fmt::print("not explained at {}:\n{}\n\n", verdict.place.empty() ? "all" : verdict.place,
               verdict.reason);
    if (!verdict.window.empty()) fmt::print("{}\n", verdict.window);
  }
  fmt::print("verdict               {}\n", NameOf(verdict.kind));
  fmt::print("enters explained      {}\n", verdict.enters);
  fmt::print("SQEs carried out      {}\n", verdict.submissions);
  fmt::print("completions explained {}\n", verdict.completions);
  fmt::print("  by task work        {}, at most {} in one Enter\n", verdict.late_completions,
             verdict.late_in_enter_max);
  fmt::print("  starved receives    {}\n", verdict.starved);
  fmt::print("buffers published     {}\n", verdict.publications);
  fmt::print("connections           {}\n", verdict.connections);
  fmt::print("bytes received, sent  {}, {}\n", verdict.received_bytes, verdict.sent_bytes);
  fmt::print("inferences            {}\n", verdict.steps);
  fmt::print("seconds               {:.1f}\n", seconds);
}

int Run(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  const auto trace = ReadTrace(FromCaller(arguments.trace));
  if (!trace) {
    fmt::print(stderr, "accept_trace: {}: {}\n", arguments.trace, trace.error());
    return kWrongUse;
  }
  const bool shows_progress = !arguments.json && ::isatty(STDERR_FILENO) != 0;
  TraceAcceptorOptions options{.steps_per_completion_max = arguments.budget};
  if (shows_progress) {
    options.progress = [&](size_t events) {
      fmt::print(stderr, "\r{} of {} events explained", events, trace->events.size());
    };
  }
  const TraceVerdict verdict = ExplainServerTrace(*trace, options);
  if (shows_progress) fmt::print(stderr, "\n");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  arguments.json ? PrintJson(verdict, seconds.count()) : Print(verdict, seconds.count());
  return verdict.kind == TraceVerdict::Kind::kAccepted ? 0 : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Has the model explain a trace that //tools:record wrote, in full.");
  app.footer(
      "\nExit codes: 0 accepted, 1 not explained (or out of budget, or unsupported), 2 wrong use.");
  app.add_option("--trace", arguments.trace, "The trace.")->required()->type_name("FILE");
  app.add_option("--budget", arguments.budget, "Inferences for one completion, on average.")
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--json", arguments.json, "One line of JSON instead of text.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : kWrongUse;
  }
  return Run(arguments);
}

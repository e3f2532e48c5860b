// accept: runs generated programs on Linux, and has the model explain every completion.
//
// One process, one thread. Exit code 0: everything was explained. 1: something was not, or the
// search for an explanation ran out of budget; the shortest program that shows it is printed. 2:
// wrong use, also a program file that cannot be read.

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/acceptor/acceptor.h"
#include "tests/acceptor/executor.h"
#include "tests/acceptor/generator.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/shrink.h"
#include "tests/acceptor/trace.h"
#include "tools/from_caller.h"

namespace {

using orrery::acceptor::AcceptorOptions;
using orrery::acceptor::Explain;
using orrery::acceptor::Generate;
using orrery::acceptor::Program;
using orrery::acceptor::Record;
using orrery::acceptor::Shrink;
using orrery::acceptor::ToText;
using orrery::acceptor::Trace;
using orrery::acceptor::Verdict;
using orrery::tools::FromCaller;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;
constexpr uint64_t kProgressEvery = 100;
constexpr size_t kShrinkTriesMax = 400;
// A race of the real kernel comes back in one of these.
constexpr int kShownAttempts = 20;

struct Arguments {
  uint64_t programs = 1000;
  uint64_t seed = 1;
  uint32_t families = orrery::acceptor::kDefaultFamilies;
  size_t budget = AcceptorOptions{}.runs_max;
  std::string program;
  std::string trace;
  std::string write;
  bool json = false;
};

struct Totals {
  uint64_t programs = 0;
  uint64_t explained = 0;
  uint64_t unexplained = 0;
  uint64_t out_of_budget = 0;
  uint64_t completions = 0;  // Of the programs that were explained.
  uint64_t runs = 0;
  uint64_t departures = 0;   // Choices that were not benign.
  uint64_t late_events = 0;  // Packets of peers, and threads that woke up.
};

// A program that was not explained, made short.
struct Failure {
  std::string name;
  Program program;
  Trace trace;
  Verdict verdict;
  bool again = false;  // The short one shows it; otherwise it was a race, and this is the long one.
};

Failure MakeShort(const std::string& name, const Program& program, const Trace& trace,
                  const Verdict& verdict, const AcceptorOptions& options) {
  const auto fails = [&](const Program& candidate) {
    return Explain(candidate, Record(candidate), options).kind != Verdict::Kind::kExplained;
  };
  const Program shortest = Shrink(program, fails, kShrinkTriesMax);
  for (int attempt = 0; attempt < kShownAttempts; ++attempt) {
    const Trace shown = Record(shortest);
    const Verdict again = Explain(shortest, shown, options);
    if (again.kind != Verdict::Kind::kExplained) return {name, shortest, shown, again, true};
  }
  return {name, program, trace, verdict, false};
}

void Print(const Failure& failure, const std::string& repeat) {
  fmt::print("{}, {} of {} completions explained{}\n\n{}\n{}\n", failure.name,
             failure.verdict.explained, failure.trace.observations.size(),
             failure.verdict.kind == Verdict::Kind::kOutOfBudget ? " (out of budget)" : "",
             failure.again ? "The shortest program that shows it:"
                           : "It did not come back when it was repeated; the whole program:",
             ToText(failure.program));
  fmt::print("What Linux did:\n{}\n", ToText(failure.trace));
  const auto said = [](const std::string& text) { return text.empty() ? "nothing more" : text; };
  fmt::print("not explained: {}\nthe model did: {}\n", said(failure.verdict.observed),
             said(failure.verdict.modelled));
  if (!failure.verdict.violation.empty())
    fmt::print("violation:     {}\n", failure.verdict.violation);
  fmt::print("to repeat:     {}\n\n", repeat);
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) fmt::print(stderr, "accept: cannot write {}\n", path);
  return static_cast<bool>(file);
}

// As it was recorded, whether or not it comes back.
bool Write(const std::string& directory, const std::string& name, const Program& program,
           const Trace& trace) {
  const std::string path = FromCaller(directory) + "/" + name;
  return WriteFile(path + ".program", ToText(program)) &&
         WriteFile(path + ".trace", Serialize(trace));
}

// What `arguments` ask for, and counts it. False: something was not explained.
class Tool {
 public:
  explicit Tool(const Arguments& arguments) : arguments_(arguments) {
    options_.runs_max = arguments.budget;
  }

  void Judge(const std::string& name, const Program& program, const std::string& repeat) {
    Judge(name, program, Record(program), repeat);
  }

  void Judge(const std::string& name, const Program& program, const Trace& trace,
             const std::string& repeat) {
    const Verdict verdict = Explain(program, trace, options_);
    ++totals_.programs;
    totals_.runs += verdict.runs;
    if (verdict.kind == Verdict::Kind::kExplained) {
      ++totals_.explained;
      totals_.completions += trace.completions();
      totals_.departures += verdict.departures;
      totals_.late_events += verdict.late_events;
      if (!arguments_.trace.empty() && !arguments_.json) {
        fmt::print("explained with these choices:\n{}\n", verdict.how);
      }
      return;
    }
    const bool out_of_budget = verdict.kind == Verdict::Kind::kOutOfBudget;
    ++(out_of_budget ? totals_.out_of_budget : totals_.unexplained);
    names_.push_back(name + (out_of_budget ? " (out of budget)" : ""));
    // What cannot be written has been said.
    if (!arguments_.write.empty()) (void)Write(arguments_.write, name, program, trace);
    if (shown_ || arguments_.json) return;
    shown_ = true;
    Print(arguments_.trace.empty() ? MakeShort(name, program, trace, verdict, options_)
                                   : Failure{name, program, trace, verdict, false},
          repeat);
  }

  void Progress() const {
    if (arguments_.json || ::isatty(STDERR_FILENO) == 0) return;
    fmt::print(stderr, "\r{} programs, {} completions explained, {} programs not", totals_.programs,
               totals_.completions, totals_.unexplained + totals_.out_of_budget);
  }

  int Finish() const {
    if (arguments_.json) {
      fmt::print("{}\n", nlohmann::json{{"programs", totals_.programs},
                                        {"explained", totals_.explained},
                                        {"unexplained", totals_.unexplained},
                                        {"out_of_budget", totals_.out_of_budget},
                                        {"completions_explained", totals_.completions},
                                        {"model_runs", totals_.runs},
                                        {"departures", totals_.departures},
                                        {"late_events", totals_.late_events},
                                        {"not_explained", names_},
                                        {"seed", arguments_.seed}}
                             .dump());
    } else {
      if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
      fmt::print("programs              {}\n", totals_.programs);
      fmt::print("explained             {}\n", totals_.explained);
      fmt::print("not explained         {}: {} unexplained, {} out of budget\n", names_.size(),
                 totals_.unexplained, totals_.out_of_budget);
      for (const std::string& name : names_) fmt::print("  {}\n", name);
      fmt::print("completions explained {}\n", totals_.completions);
      fmt::print("runs of the model     {}\n", totals_.runs);
      fmt::print("choices not benign    {}\n", totals_.departures);
      fmt::print("late packets, threads {}\n", totals_.late_events);
    }
    return totals_.explained == totals_.programs ? 0 : kFailed;
  }

 private:
  const Arguments& arguments_;
  AcceptorOptions options_;
  Totals totals_;
  std::vector<std::string> names_;  // What was not explained.
  bool shown_ = false;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(FromCaller(path));
  std::stringstream text;
  text << file.rdbuf();
  return file ? text.str() : "";
}

int RunFile(const Arguments& arguments) {
  const auto program = orrery::acceptor::Parse(ReadFile(arguments.program));
  if (!program) {
    fmt::print(stderr, "accept: {}: {}\n", arguments.program, program.error());
    return kWrongUse;
  }
  Tool tool(arguments);
  const std::string repeat = "bazel run //tools:accept -- --program=" + arguments.program;
  if (!arguments.trace.empty()) {
    const auto trace = orrery::acceptor::ParseTrace(ReadFile(arguments.trace));
    if (!trace) {
      fmt::print(stderr, "accept: {}: {}\n", arguments.trace, trace.error());
      return kWrongUse;
    }
    tool.Judge("trace", *program, *trace, repeat + " --trace=" + arguments.trace);
    return tool.Finish();
  }
  for (uint64_t run = 0; run < arguments.programs; ++run) {
    tool.Judge("program-" + std::to_string(run), *program, repeat);
  }
  return tool.Finish();
}

int RunSeeds(const Arguments& arguments) {
  Tool tool(arguments);
  for (uint64_t index = 0; index < arguments.programs; ++index) {
    const std::string seed = std::to_string(arguments.seed + index);
    tool.Judge("seed-" + seed, Generate(arguments.seed + index, arguments.families),
               "bazel run //tools:accept -- --programs=1 --seed=" + seed);
    if (index % kProgressEvery == 0) tool.Progress();
  }
  return tool.Finish();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Checks the model against this kernel by explaining what programs see of it.");
  app.add_option("--programs", arguments.programs, "How many; their seeds are consecutive.");
  app.add_option("--seed", arguments.seed, "Of the first one.");
  app.add_option("--families", arguments.families,
                 "What programs may be about, a sum of: 1 links, 2 zero copy, 4 accepting into "
                 "slots, 8 bundles, 16 incremental buffers, 32 drains, 64 pipes, 128 files, 256 "
                 "datagrams, 512 long sends, 1024 reads into provided buffers. Default: all but "
                 "drains and long sends.");
  app.add_option("--budget", arguments.budget, "Runs of the model for one program.");
  CLI::Option* const file =
      app.add_option("--program", arguments.program, "A program as --write leaves it, instead.");
  app.add_option("--trace", arguments.trace,
                 "What Linux did with that program, as --write leaves it: it is not run again.")
      ->needs(file);
  app.add_option("--write", arguments.write,
                 "A folder for the programs that were not explained, and what Linux did.");
  app.add_flag("--json", arguments.json, "One line of JSON instead of text.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : kWrongUse;
  }
  return file->count() > 0 ? RunFile(arguments) : RunSeeds(arguments);
}

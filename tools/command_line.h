// What the tools' command lines have in common: exit codes, and how a wrong use is told.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace orrery::tools {

// Exit codes beside 0.
inline constexpr int kFailed = 1;
inline constexpr int kWrongUse = 2;

// Prints "tool: message" to stderr and returns kWrongUse.
int WrongUse(std::string_view tool, std::string_view message);

// Reads the arguments into what the options of `app` are bound to. Nothing: go on; else the exit
// code, after the help or after what is wrong was printed.
std::optional<int> Parse(CLI::App& app, int argc, char** argv);

}  // namespace orrery::tools

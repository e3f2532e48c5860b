#include "tools/command_line.h"

#include <fmt/core.h>

#include <cstdio>

namespace orrery::tools {

int WrongUse(std::string_view tool, std::string_view message) {
  fmt::print(stderr, "{}: {}\n", tool, message);
  return kWrongUse;
}

std::optional<int> Parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return WrongUse(app.get_name(), std::string(error.what()) + " (--help explains)");
  }
  return std::nullopt;
}

}  // namespace orrery::tools

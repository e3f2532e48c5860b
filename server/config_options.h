// The configuration at the start: a file in redis.conf's syntax and the command line, which wins.
//
//     orrery-server [FILE | --config FILE] [--maxclients 100 ...]
//
// Every parameter is an option, and every option of the program may stand in the file. Used once,
// before the server starts.
#pragma once

#include <CLI/CLI.hpp>
#include <expected>
#include <string>
#include <vector>

#include "server/config.h"
#include "server/config_file.h"

namespace orrery::server {

class ConfigOptions {
 public:
  // Adds the parameters' options to `app`, which must outlive this.
  explicit ConfigOptions(CLI::App& app);
  ConfigOptions(const ConfigOptions&) = delete;
  ConfigOptions& operator=(const ConfigOptions&) = delete;

  // Reads the file that the command line names, if it does. What to parse: the options of the
  // program that the file has, and behind them the command line's. The error is one line for a
  // person.
  std::expected<std::vector<std::string>, std::string> Arguments(int argc, const char* const* argv);

  // What the file and the parsed options make of `config`. The error is one line for a person.
  std::expected<void, std::string> Apply(ServerConfig& config) const;

  // The file, as an absolute path; empty when there is none.
  const std::string& path() const { return path_; }
  // Directives of the file that change nothing here.
  const std::vector<std::string>& without_effect() const { return without_effect_; }

 private:
  std::expected<void, std::string> ReadFile(std::vector<std::string>& arguments);

  CLI::App& app_;
  std::string path_;
  std::vector<Directive> from_file_;
  std::vector<Directive> from_command_line_;
  std::vector<std::string> without_effect_;
};

}  // namespace orrery::server

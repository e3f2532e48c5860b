#include "server/config_options.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "server/config_store.h"

namespace orrery::server {
namespace {

constexpr std::string_view kConfig = "--config";

// Takes the file off the front of the command line: the first argument that is no option, or
// --config and its value anywhere.
std::string TakePath(std::vector<std::string>& arguments) {
  if (!arguments.empty() && !arguments.front().starts_with('-')) {
    std::string path = std::move(arguments.front());
    arguments.erase(arguments.begin());
    return path;
  }
  const auto found = std::ranges::find(arguments, kConfig);
  if (found == arguments.end() || found + 1 == arguments.end()) return "";
  std::string path = std::move(found[1]);
  arguments.erase(found, found + 2);
  return path;
}

}  // namespace

ConfigOptions::ConfigOptions(CLI::App& app) : app_(app) {
  const ServerConfig defaults;
  app.add_option_function<std::string>(
         std::string(kConfig), [](const std::string&) {},
         "A file in redis.conf's syntax, or the first argument; options count more")
      ->type_name("FILE");
  for (const ConfigParameter& parameter : ConfigParameters()) {
    const std::string name(parameter.name);
    app.add_option_function<std::vector<std::string>>(
           "--" + name,
           [this, name](const std::vector<std::string>& values) {
             from_command_line_.push_back(
                 {.name = name, .values = values, .origin = "command line"});
           },
           std::string(parameter.summary))
        ->expected(1, parameter.words_per_line == 0 ? 1 : 64)
        ->type_name("VALUE")
        ->default_str(parameter.get(defaults))
        ->group("Configuration");
  }
}

std::expected<std::vector<std::string>, std::string> ConfigOptions::Arguments(
    int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (std::string path = TakePath(arguments); !path.empty()) {
    path_ = std::filesystem::absolute(path).string();
    std::vector<std::string> options;
    if (auto result = ReadFile(options); !result) return std::unexpected(result.error());
    arguments.insert(arguments.begin(), options.begin(), options.end());
  }
  return arguments;
}

std::expected<void, std::string> ConfigOptions::ReadFile(std::vector<std::string>& arguments) {
  auto directives = ReadConfigFile(path_, ReadWholeFile);
  if (!directives) return std::unexpected(directives.error());
  for (Directive& directive : *directives) {
    const std::string option = "--" + directive.name;
    switch (KindOf(directive)) {
      case DirectiveKind::kParameter:
        from_file_.push_back(std::move(directive));
        break;
      case DirectiveKind::kWithoutEffect:
        without_effect_.push_back(directive.name);
        break;
      case DirectiveKind::kUnknown:
        if (app_.get_option_no_throw(option) == nullptr || option == kConfig) {
          return std::unexpected(
              directive.origin + ": unknown directive '" + directive.name +
              "' (take the line out; --help and CONFIG GET * list what there is)");
        }
        if (directive.values.size() != 1) {
          return std::unexpected(directive.origin + ": " + directive.name + ": it takes one value");
        }
        arguments.push_back(option + "=" + directive.values.front());
        break;
    }
  }
  return {};
}

std::expected<void, std::string> ConfigOptions::Apply(ServerConfig& config) const {
  for (const auto* directives : {&from_file_, &from_command_line_}) {
    for (const Directive& directive : *directives) {
      if (auto result = ApplyDirective(directive, config); !result) return result;
    }
  }
  return {};
}

}  // namespace orrery::server

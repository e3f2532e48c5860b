#include "server/slow_log.h"

#include <algorithm>
#include <utility>

#include "server/config.h"
#include "server/text.h"

namespace orrery::server {
namespace {

bool IsSecret(const Command& command, size_t index) {
  if (index == 0) return false;
  const std::string_view name = command[0];
  if (EqualsIgnoreCase(name, "auth")) return true;
  if (EqualsIgnoreCase(name, "hello")) {
    return EqualsIgnoreCase(command[index - 1], "auth") ||
           (index >= 2 && EqualsIgnoreCase(command[index - 2], "auth"));
  }
  if (EqualsIgnoreCase(name, "config") && EqualsIgnoreCase(command[1], "set") && index >= 3) {
    const ConfigParameter* parameter = FindConfigParameter(command[index - 1]);
    return parameter != nullptr && parameter->secret;
  }
  return false;
}

std::string Shortened(std::string_view argument) {
  if (argument.size() <= SlowLog::kArgumentBytesMax) return std::string(argument);
  return std::string(argument.substr(0, SlowLog::kArgumentBytesMax)) + "... (" +
         std::to_string(argument.size() - SlowLog::kArgumentBytesMax) + " more bytes)";
}

}  // namespace

void SlowLog::Add(SlowCommand command, uint64_t commands_max) {
  command.id = next_id_;
  next_id_ += id_step_;
  commands_.push_front(std::move(command));
  Trim(commands_max);
}

void SlowLog::Trim(uint64_t commands_max) {
  while (commands_.size() > commands_max) commands_.pop_back();
}

std::vector<std::string> KeptArguments(const Command& command) {
  const size_t kept = std::min(command.size(), SlowLog::kArgumentsMax);
  std::vector<std::string> arguments;
  for (size_t index = 0; index < kept; ++index) {
    if (index + 1 == kept && command.size() > kept) {
      arguments.push_back("... (" + std::to_string(command.size() - kept + 1) + " more arguments)");
    } else {
      arguments.push_back(IsSecret(command, index) ? "(redacted)" : Shortened(command[index]));
    }
  }
  return arguments;
}

}  // namespace orrery::server

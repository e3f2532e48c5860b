// The families of commands; each is the array of one file. For the command table only.
#pragma once

#include <span>

#include "server/command_table.h"

namespace orrery::server {

std::span<const CommandSpec> ConnectionCommands();     // commands_connection.cc
std::span<const CommandSpec> StringCommands();         // commands_string.cc
std::span<const CommandSpec> KeyCommands();            // commands_key.cc
std::span<const CommandSpec> ServerCommands();         // commands_server.cc
std::span<const CommandSpec> IntrospectionCommands();  // commands_introspection.cc

}  // namespace orrery::server

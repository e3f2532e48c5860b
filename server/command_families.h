// The families of commands; each is the array of one file. For the command table only.
#pragma once

#include <span>

#include "server/command_table.h"

namespace orrery::server {

std::span<const CommandSpec> ConnectionCommands();     // commands_connection.cc
std::span<const CommandSpec> ClientCommands();         // commands_client.cc
std::span<const CommandSpec> StringCommands();         // commands_string.cc
std::span<const CommandSpec> CounterCommands();        // commands_counter.cc
std::span<const CommandSpec> LcsCommands();            // commands_lcs.cc
std::span<const CommandSpec> BitCommands();            // commands_bit.cc
std::span<const CommandSpec> BitFieldCommands();       // commands_bitfield.cc
std::span<const CommandSpec> KeyCommands();            // commands_key.cc
std::span<const CommandSpec> ExpiryCommands();         // commands_expiry.cc
std::span<const CommandSpec> ScanCommands();           // commands_scan.cc
std::span<const CommandSpec> ObjectCommands();         // commands_object.cc
std::span<const CommandSpec> DumpCommands();           // commands_dump.cc
std::span<const CommandSpec> PubSubCommands();         // commands_pubsub.cc
std::span<const CommandSpec> TransactionCommands();    // commands_transaction.cc
std::span<const CommandSpec> ServerCommands();         // commands_server.cc
std::span<const CommandSpec> SlowLogCommands();        // commands_slowlog.cc
std::span<const CommandSpec> ConfigCommands();         // commands_config.cc
std::span<const CommandSpec> IntrospectionCommands();  // commands_introspection.cc

}  // namespace orrery::server

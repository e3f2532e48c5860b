// Runs one command, whoever has parsed it and wherever its reply goes.
//
// Finds out what the arguments ask for, whether it may, and calls the handler. No state
// of its own; used by the thread of the shard whose context it is given.
#pragma once

#include <cstdint>

#include "server/client.h"
#include "server/command_table.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/server_context.h"

namespace orrery::server {

// Runs one command, or queues it between MULTI and EXEC: then it has been moved away. `spec` is
// what the table has under its name (null: nothing), and `first_key_hash` the hash of its first
// key, if it has keys.
void Execute(Command& command, const CommandSpec* spec, uint64_t first_key_hash, Client& client,
             ServerContext& server, ReplyWriter& reply);

// Whether the checks of Execute(), a pause, a muted reply and the slow log have nothing to say to a
// plain command of the client; until something that is not plain has run. One shard's only.
bool RunsPlainly(const Client& client, const ServerContext& server);

// Execute() of a plain command (CommandSpec::is_plain) with the right number of arguments, fewer
// than kManyArguments. REQUIRES: RunsPlainly(), and Keyspace::CountUses() has been said.
inline void ExecutePlain(const Command& command, const CommandSpec& spec, uint64_t first_key_hash,
                         Client& client, ServerContext& server, ReplyWriter& reply) {
  if (server.observer != nullptr) server.observer->OnCommand(client, command, server.now_ms);
  client.last_command = &spec;
  CommandCall call{.arguments = command,
                   .spec = spec,
                   .client = client,
                   .server = server,
                   .reply = reply,
                   .first_key_hash = first_key_hash};
  RunCounted(call, false);
}

// What the command would do, by the flags of commands: of EXEC, what those do that it would run.
uint32_t FlagsOf(const CommandSpec& spec, const Client& client);

}  // namespace orrery::server

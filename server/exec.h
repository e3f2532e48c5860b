// EXEC, where it must stop between two of its commands. See commands_transaction.cc.
#pragma once

#include "server/client.h"
#include "server/command_table.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/server_context.h"

namespace orrery::server {

// Goes on with the EXEC that runs for `client`, behind the command that has waited for all shards
// (ClientTransaction::waits) and whose reply has been written. It may wait again.
void ContinueExec(const Command& exec, const CommandSpec& spec, Client& client,
                  ServerContext& server, ReplyWriter& reply);

}  // namespace orrery::server

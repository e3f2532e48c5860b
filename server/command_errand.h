// A command whose reply is not in its connection's output yet: it runs on another shard, or it has
// run and the reply of one before it is not there.
//
// Its arguments are copied into it once (large ones become bodies), and its reply is written into
// memory of its own, so that neither shard touches what belongs to the other.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_table.h"
#include "server/errand.h"
#include "server/lock_table.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/slow_log.h"

namespace orrery::server {

class Router;

struct CommandErrand : Errand {
  CommandErrand(unsigned its_home, Router& its_router)
      : Errand(ErrandKind::kCommand, its_home), router(its_router) {}

  // --- The home's, also while it is away.

  // Whose command it is. Null: the client has gone, and so does the reply.
  Client* client = nullptr;
  // The reply that comes behind this one; or in the pool.
  CommandErrand* next = nullptr;
  // Its reply is there, or several: those that come behind it may be added.
  bool complete = false;
  bool publication = false;  // It is here for its reply only.
  uint32_t replies = 1;
  uint32_t target = 0;
  // Given on to what the reply borrows, which is given back through it.
  Router& router;

  // --- Of whoever has it.

  // What the command needs to know of its client.
  uint64_t client_id = 0;
  RespVersion version = RespVersion::k2;
  bool muted = false;
  bool no_touch = false;
  const CommandSpec* spec = nullptr;  // As the table finds it by its name.
  Command command;
  // The keys that it waits for.
  LockRequest lock{*this};
  // It was slow: for the log of its home, where its client is. Otherwise null.
  std::unique_ptr<SlowCommand> slow;

 private:
  static constexpr size_t kBlocksKept = 2;
  OutputBlockPool blocks_{kBlocksKept};

 public:
  PendingOutput reply{blocks_};
};

}  // namespace orrery::server

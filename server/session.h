// What the server keeps for one connection.
//
// Made with the connection's first event and gone with its last. Owned by the shard.
#pragma once

#include "base/intrusive_list.h"
#include "runtime/connection.h"
#include "server/client.h"
#include "server/input_buffer.h"

namespace orrery::server {

struct Session {
  explicit Session(Connection& its_connection) : connection(its_connection) {}

  Connection& connection;
  Client client;
  // Received and not processed: an unfinished frame, or what waits while reads are paused.
  InputBuffer input;
  // The peer will send nothing more; the connection is finished when `input` has been processed.
  bool end_of_input = false;
  // In the shard's list of those whose next command a pause holds back.
  ListLink paused_link;
  // Over the limit of clients: told so, and never served.
  bool refused = false;
};

}  // namespace orrery::server

// What the server keeps for one connection.
//
// Made with the connection's first event and gone with its last. Owned by the shard.
#pragma once

#include "base/intrusive_list.h"
#include "base/units.h"
#include "runtime/connection.h"
#include "runtime/operations/timing_wheel.h"
#include "server/client.h"
#include "server/input_buffer.h"

namespace orrery::server {

// The timer is that of ClientLimits.
struct Session : Timer {
  explicit Session(Connection& its_connection) : connection(its_connection) {}

  Connection& connection;
  Client client;
  // Received and not processed: an unfinished frame, or what waits while reads are paused.
  InputBuffer input;
  // The peer will send nothing more; the connection is finished when `input` has been processed.
  bool end_of_input = false;
  // Nothing more is read from the client: it gets the replies that are due, then the end.
  bool finishing = false;
  // In the shard's list of those whose next command a pause holds back.
  ListLink paused_link;
  // In the shard's list of those who have more to get than they may.
  ListLink doomed_link;
  // Told why it is not served, and that was all.
  bool refused = false;
  // Of ClientLimits: since when its output has been over the soft limit; whether the kernel was
  // asked how much of an argument has come.
  Nanoseconds over_soft_limit_since = kNever;
  bool asked = false;
};

}  // namespace orrery::server

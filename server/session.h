// What the server keeps for one connection. Small on purpose, as Client is.
//
// Made with the connection's first event and gone with its last. Owned by the shard.
#pragma once

#include <memory>

#include "base/intrusive_list.h"
#include "base/units.h"
#include "runtime/connection.h"
#include "runtime/operations/timing_wheel.h"
#include "server/client.h"
#include "server/input_buffer.h"

namespace orrery::server {

struct Session;

// What ClientLimits knows of a client; the timer is of these limits.
struct LimitState : Timer {
  explicit LimitState(Session& its_session) : session(its_session) {}

  Session& session;
  // Since when its output has been over the soft limit.
  Nanoseconds over_soft_limit_since = kNever;
  // The kernel was asked how much of an argument has come.
  bool asked = false;
};

struct Session {
  explicit Session(Connection& its_connection) : connection(its_connection) {}

  Connection& connection;
  Client client;
  // Received and not processed: an unfinished frame, or what waits while reads are paused.
  InputBuffer input;
  // Null until one of the limits in time holds for it.
  std::unique_ptr<LimitState> limits;
  // The peer will send nothing more; the connection is finished when `input` has been processed.
  bool end_of_input = false;
  // Nothing more is read from the client: it gets the replies that are due, then the end.
  bool finishing = false;
  // Told why it is not served, and that was all.
  bool refused = false;
  // Costs too much: it is cut off at the end of the turn.
  bool doomed = false;
  // In the shard's list of those whose next command a pause holds back.
  ListLink paused_link;
};

}  // namespace orrery::server

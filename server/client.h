// What the commands know of a connection's client.
//
// Made with the connection and gone with it. Owned by the connection's session; used by the shard's
// thread only. Small on purpose: most clients are idle and have no name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/units.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"

namespace orrery::server {

struct Client {
  // What few clients have.
  struct Names {
    std::string name;
    std::string library_name;
    std::string library_version;
  };

  // Made on first use.
  Names& mutable_names() {
    if (names == nullptr) names = std::make_unique<Names>();
    return *names;
  }

  // Unique in the life of the server, from 1.
  uint64_t id = 0;
  Nanoseconds connected_ns = 0;
  RespParser parser;
  RespVersion version = RespVersion::k2;
  // No more commands are read from this client: it gets the replies written so far, then the end of
  // the stream.
  bool closing = false;
  // What it reads does not count as used (CLIENT NO-TOUCH).
  bool no_touch = false;
  std::unique_ptr<Names> names;
  // "127.0.0.1:53120", for CLIENT INFO; may stay empty.
  std::string address;
  std::string local_address;
};

}  // namespace orrery::server

// What the commands know of a connection's client.
//
// Made with the connection and gone with it. Owned by the connection's session; used by the shard's
// thread only. Small on purpose: most clients are idle and have no name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/intrusive_list.h"
#include "base/units.h"
#include "server/client_transaction.h"
#include "server/config.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/subscription.h"

namespace orrery::server {

struct Client;
struct CommandErrand;
struct CommandSpec;

// A client's command that runs on several shards: its later ones wait for its end. Base of what
// runs it, which outlives the client if need be.
struct WideCommand {
  Client* client = nullptr;  // Null: it has gone, and nothing is replied.
  bool muted = false;
};

// Why a client's next command is not read yet.
enum class RouteWait : uint8_t {
  kNothing,
  kReplies,  // To those before it, all of them.
  kCredit,   // Too many commands are on their way to its shard.
  kCommand,  // A wide one has not ended.
  kEnd,      // There is none: a wide one was the last.
};

// Where a client's commands are, when there are several shards. The router's.
struct ClientRoute {
  explicit ClientRoute(Client& its_client) : client(its_client) {}

  Client& client;
  // Those whose replies are not in the output yet, in their order.
  CommandErrand* first = nullptr;
  CommandErrand* last = nullptr;
  uint32_t count = 0;         // Of replies in them.
  uint32_t publications = 0;  // Of those that are messages on their way.
  RouteWait wait = RouteWait::kNothing;
  // Its commands wait for each other: what is read ahead of them would be read again.
  bool waited = false;
  // Something has come for it in this turn.
  bool touched = false;
  // With kCredit: the shard; and its place among those that wait for the same one.
  uint32_t stalled_for = 0;
  ListLink stalled_link;
  // What its later commands wait for, with kCommand.
  WideCommand* wide = nullptr;

  bool owes_replies() const { return count > 0 || wide != nullptr; }
};

struct Client {
  // What few clients have.
  struct Names {
    std::string name;
    std::string library_name;
    std::string library_version;
    // "127.0.0.1:53120". Asked for when first wanted; empty before, and when the peer had gone.
    std::string address;
    std::string local_address;
  };

  // Made on first use.
  Names& mutable_names() {
    if (names_ == nullptr) names_ = std::make_unique<Names>();
    return *names_;
  }
  const Names& names() const {
    static const Names kNone;
    return names_ == nullptr ? kNone : *names_;
  }

  // Which of the limits of output holds for it.
  ClientClass client_class() const {
    return subscriber != nullptr ? ClientClass::kPubSub : ClientClass::kNormal;
  }
  // Whether it listens to channels and speaks a protocol in which it may do little else.
  bool only_listens() const { return subscriber != nullptr && version == RespVersion::k2; }
  // Whether it is between MULTI and EXEC.
  bool in_multi() const { return transaction != nullptr && transaction->queues; }

  // Whether replies to its commands are due from elsewhere.
  bool owes_replies() const { return route != nullptr && route->owes_replies(); }

  size_t transaction_bytes() const {
    return transaction == nullptr ? 0 : transaction->memory_bytes();
  }

  // Unique in the life of the server, from 1, whatever shard it is on.
  uint64_t id = 0;
  Nanoseconds connected_ns = 0;
  Nanoseconds last_command_ns = 0;
  RespParser parser;
  RespVersion version = RespVersion::k2;
  // It has said the password, or there was none when it came.
  bool authenticated = true;
  // No more commands are read from this client: it gets the replies written so far, then the end of
  // the stream.
  bool closing = false;
  // CLIENT REPLY: nothing is replied; nothing to the next command; nothing to this one.
  bool reply_off = false;
  bool skip_next_reply = false;
  bool skip_reply = false;
  // CLIENT NO-EVICT, and NO-TOUCH: what it reads does not count as used.
  bool no_evict = false;
  bool no_touch = false;
  int descriptor = -1;
  uint32_t connection_index = 0;  // Of the connection's slot.
  // The command that it ran last; null before the first.
  const CommandSpec* last_command = nullptr;
  // Null while it listens to nothing. Subscriptions alone changes it.
  std::unique_ptr<Subscriber> subscriber;
  // From MULTI or WATCH to the end of the transaction.
  std::unique_ptr<ClientTransaction> transaction;
  // Null where there is one shard.
  std::unique_ptr<ClientRoute> route;
  // Of all clients, in the order of their ids.
  ListLink link;

 private:
  std::unique_ptr<Names> names_;
};

// Back to where no command is queued and no key is watched.
inline void EndTransaction(Client& client) { client.transaction.reset(); }

using ClientList = IntrusiveList<Client, &Client::link>;

}  // namespace orrery::server

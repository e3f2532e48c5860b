// Several shards without threads and rings, for tests: each takes its turn when the test says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "server/hash_slot.h"
#include "server/router.h"
#include "server/shard_group.h"
#include "server/testing_host.h"
#include "server/testing_output.h"
#include "server/testing_session.h"

namespace orrery::server {

class RoutedSession;

// One shard, and who its clients are.
class TestingShard : private RoutedClients, private TestingHost {
 public:
  TestingShard(ShardGroup& group, unsigned index, const RouterOptions& options)
      : router_({.group = &group, .index = index}, options, server_.context, *this) {
    server_.context.prng = Prng(index);
    server_.context.host = this;
  }

  TestingServer& server() { return server_; }
  Router& router() { return router_; }
  CommandProcessor& processor() { return processor_; }
  // Connections that were handed to it.
  std::vector<int> adopted;

  // Takes mail, lets its clients go on, and sends mail.
  void Turn() {
    router_.Turn();
    router_.mail().Flush([](unsigned) {});
  }

 private:
  friend class RoutedSession;

  RoutedSession& SessionOf(const Client& client) const;

  // RoutedClients.
  PendingOutput* OutputOf(Client& client) override;
  void Continue(Client& client) override;
  void Adopt(int descriptor) override { adopted.push_back(descriptor); }

  // ServerHost.
  void Kill(Client& client) override;
  bool Push(Client& client, PushMessage& message) override;
  Nanoseconds MonotonicNow() override { return server_.context.monotonic_ns; }
  void Configure(const ServerConfig& config) override { server_.context.config = config; }

  TestingServer server_;
  Router router_;
  CommandProcessor processor_{server_.context, &router_};
  std::vector<RoutedSession*> sessions_;
};

class TestingShards {
 public:
  explicit TestingShards(unsigned shards, const RouterOptions& options = {},
                         const MailboxOptions& mailboxes = {})
      : group_({.shards = shards,
                .capacity = mailboxes.capacity,
                .budget_per_source = mailboxes.budget_per_source}) {
    for (unsigned index = 0; index < shards; ++index) shards_.emplace_back(group_, index, options);
  }
  // What is away comes home first.
  ~TestingShards() { Settle(); }

  TestingShard& operator[](unsigned index) { return shards_[index]; }
  ShardGroup& group() { return group_; }

  // Turns of all until no mail has moved for some rounds.
  void Settle() {
    for (int quiet = 0; quiet < 3; ++quiet) {
      const uint64_t before = received();
      for (TestingShard& shard : shards_) shard.Turn();
      if (received() != before) quiet = 0;
    }
  }

  // A key of the shard.
  std::string KeyOf(unsigned shard, const std::string& name = "key") const {
    for (int number = 0;; ++number) {
      std::string key = name + ":" + std::to_string(number);
      if (ShardOfKey(key, static_cast<uint32_t>(shards_.size())) == shard) return key;
    }
  }

 private:
  uint64_t received() {
    uint64_t received = 0;
    for (TestingShard& shard : shards_) received += shard.router().mail().counters().received;
    return received;
  }

  ShardGroup group_;
  std::deque<TestingShard> shards_;
};

// A client of one of them.
class RoutedSession {
 public:
  RoutedSession(TestingShards& shards, unsigned home) : shards_(shards), home_(shards[home]) {
    client_.id = shards.group().NextClientId();
    client_.route = std::make_unique<ClientRoute>(client_);
    home_.server_.context.clients.PushBack(client_);
    home_.sessions_.push_back(this);
  }
  RoutedSession(const RoutedSession&) = delete;
  RoutedSession& operator=(const RoutedSession&) = delete;
  ~RoutedSession() {
    home_.server_.subscriptions.Drop(client_);
    if (client_.link.linked()) home_.server_.context.clients.Remove(client_);
    home_.router_.Forget(client_);
    std::erase(home_.sessions_, this);
  }

  Client& client() { return client_; }
  const InputBuffer& unread() const { return unread_; }
  ProcessEnd last_end() const { return end_; }
  PendingOutput& output() { return output_; }
  bool killed() const { return killed_; }

  // Sends `bytes`; what can run here has run then.
  void Send(std::string_view bytes) {
    unread_.Append(bytes);
    Continue();
  }
  void Send(const std::vector<std::string>& arguments) { Send(TestingSession::Encode(arguments)); }

  // Goes on with what was sent, as far as it may.
  void Continue() {
    const ProcessResult result = home_.processor_.Process(unread_.view(), client_, output_,
                                                          std::numeric_limits<size_t>::max());
    unread_.ConsumeFront(result.consumed_bytes);
    end_ = result.end;
  }

  // Takes what has been replied.
  std::string Take() { return TakeOutput(output_); }
  // The replies to one command or more.
  std::string Run(const std::string& lines) {
    Send(lines + "\r\n");
    shards_.Settle();
    return Take();
  }
  std::string Call(const std::vector<std::string>& arguments) {
    Send(arguments);
    shards_.Settle();
    return Take();
  }

 private:
  friend class TestingShard;

  TestingShards& shards_;
  TestingShard& home_;
  bool killed_ = false;
  Client client_;
  InputBuffer unread_;
  PendingOutput output_{home_.server_.pool};
  ProcessEnd end_ = ProcessEnd::kNeedMore;
};

inline RoutedSession& TestingShard::SessionOf(const Client& client) const {
  for (RoutedSession* session : sessions_) {
    if (&session->client_ == &client) return *session;
  }
  CheckFailed(__FILE__, __LINE__, "a session has the client", "it has gone");
}

inline PendingOutput* TestingShard::OutputOf(Client& client) {
  RoutedSession& session = SessionOf(client);
  return session.killed_ ? nullptr : &session.output_;
}

inline void TestingShard::Continue(Client& client) {
  RoutedSession& session = SessionOf(client);
  if (!session.killed_) session.Continue();
}

inline bool TestingShard::Push(Client& client, PushMessage& message) {
  PendingOutput* output = OutputOf(client);
  if (output != nullptr) message.AppendTo(*output, client.version);
  return output != nullptr;
}

inline void TestingShard::Kill(Client& client) {
  SessionOf(client).killed_ = true;
  server_.context.clients.Remove(client);
}

}  // namespace orrery::server

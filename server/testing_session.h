// A client of a server without a network, for tests: what it sends runs at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/siphash.h"
#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_table.h"
#include "server/commands.h"
#include "server/input_buffer.h"
#include "server/keyspace.h"
#include "server/server_context.h"
#include "server/subscriptions.h"
#include "server/testing_output.h"

namespace orrery::server {

// A server's shard, at a time that the test sets.
struct TestingServer {
  TestingServer() {
    context.now_ms = 1'700'000'000'000;
    context.now_us = context.now_ms * 1000;
    context.identity.run_id = std::string(40, 'a');
  }

  Keyspace keyspace{SipHashKey{.low = 1, .high = 2}};
  Subscriptions subscriptions{keyspace.hash()};
  CommandTable table;
  ServerContext context{.keyspace = keyspace, .subscriptions = subscriptions, .commands = table};
  CommandProcessor processor{context};
  OutputBlockPool pool;
};

class TestingSession {
 public:
  explicit TestingSession(TestingServer& server) : server_(server), output_(server.pool) {
    client_.id = ++server.context.stats.connections_received;
    server.context.clients.PushBack(client_);
  }
  TestingSession(const TestingSession&) = delete;
  TestingSession& operator=(const TestingSession&) = delete;
  ~TestingSession() {
    server_.subscriptions.Drop(client_);
    server_.context.clients.Remove(client_);
  }

  Client& client() { return client_; }
  PendingOutput& output() { return output_; }
  const InputBuffer& unread() const { return unread_; }

  // Appends `bytes` to what the client has sent and runs what is complete, as a connection does.
  ProcessEnd Send(std::string_view bytes,
                  size_t output_bytes_max = std::numeric_limits<size_t>::max()) {
    unread_.Append(bytes);
    const ProcessResult result =
        server_.processor.Process(unread_.view(), client_, output_, output_bytes_max);
    unread_.ConsumeFront(result.consumed_bytes);
    return result.end;
  }

  // Takes everything replied so far.
  std::string Take() { return TakeOutput(output_); }

  // The reply to one command.
  std::string Call(const std::vector<std::string>& arguments) {
    Send(Encode(arguments));
    return Take();
  }
  // The same for a line like "SET key value", in the inline syntax.
  std::string Run(std::string_view line) {
    Send(std::string(line) + "\r\n");
    return Take();
  }

  static std::string Encode(const std::vector<std::string>& arguments) {
    std::string frame = "*" + std::to_string(arguments.size()) + "\r\n";
    for (const std::string& argument : arguments) {
      frame += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
    }
    return frame;
  }

 private:
  TestingServer& server_;
  Client client_;
  InputBuffer unread_;
  PendingOutput output_;
};

}  // namespace orrery::server

// What every command must answer: the keyspace as a std::map, one command after the other, nothing
// clever.
//
// The semantics and the texts are those of Redis 7.0 (CLIENT SETINFO: 7.2), written from its
// behaviour and apart from //server; a test compares them with redis-server where one is installed.
// Expiry is lazy: a key whose time has come is taken away when it is looked up. Single-threaded,
// deterministic.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::scenarios {

// What a reply must be.
struct Expectation {
  enum class Kind : uint8_t {
    kExact,         // These bytes.
    kInteger,       // An integer from low to high.
    kPrefix,        // Any reply that begins with these bytes (what the server says about itself).
    kConnectionId,  // An integer: the same for each connection at all times, different for any two.
  };
  Kind kind = Kind::kExact;
  std::string bytes;
  int64_t low = 0;
  int64_t high = 0;

  bool Matches(std::string_view reply) const;
  std::string Describe() const;
};

class SequentialModel {
 public:
  // What the server keeps for a connection.
  struct Connection {
    int protocol = 2;
    std::string name;
    bool quit = false;  // QUIT has been executed: nothing after it is.
  };

  // Executes a command at `now_ms`, Unix time in milliseconds. REQUIRES: arguments is not empty.
  Expectation Execute(Connection& connection, const std::vector<std::string>& arguments,
                      int64_t now_ms);

 private:
  struct Value {
    std::string bytes;
    std::optional<int64_t> expires_at_ms;
  };
  struct Call;  // One command being executed.

  struct Command {
    std::string_view name;
    int arity;  // As Redis counts: the command's name included; negative means "at least".
    Expectation (SequentialModel::*execute)(Call&);
  };
  static const std::vector<Command>& Commands();
  static const std::vector<Command>& ClientCommands();

  Expectation ExecuteIn(const std::vector<Command>& commands, Call& call,
                        std::string_view container);

  // The live value, or null; takes away an expired one.
  Value* Find(const std::string& key, int64_t now_ms);

  Expectation Ping(Call& call);
  Expectation Echo(Call& call);
  Expectation Quit(Call& call);
  Expectation Select(Call& call);
  Expectation Hello(Call& call);
  Expectation CommandInfo(Call& call);
  Expectation Info(Call& call);
  Expectation Client(Call& call);
  Expectation ClientId(Call& call);
  Expectation ClientSetName(Call& call);
  Expectation ClientGetName(Call& call);
  Expectation ClientSetInfo(Call& call);
  Expectation DatabaseSize(Call& call);
  Expectation FlushAll(Call& call);
  Expectation Get(Call& call);
  Expectation Set(Call& call);
  Expectation Delete(Call& call);
  Expectation Exists(Call& call);
  Expectation Increment(Call& call);
  Expectation Decrement(Call& call);
  Expectation Add(Call& call, int64_t delta);
  Expectation MultiGet(Call& call);
  Expectation MultiSet(Call& call);
  Expectation Expire(Call& call);
  Expectation ExpireMs(Call& call);
  Expectation ExpireIn(Call& call, bool seconds);
  Expectation TimeToLive(Call& call);
  Expectation TimeToLiveMs(Call& call);
  Expectation Append(Call& call);

  std::map<std::string, Value> values_;
};

}  // namespace orrery::scenarios

// What every command must answer: the keyspace as a std::map, one command after the other, nothing
// clever.
//
// The semantics and the texts are those of Redis 7.0 (CLIENT SETINFO: 7.2), written from its
// behaviour and apart from //server; a test compares them with redis-server where one is installed.
// Expiry is lazy: a key whose time has come is taken away when it is looked up. Single-threaded,
// deterministic.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::scenarios {

// What a reply must be.
struct Expectation {
  enum class Kind : uint8_t {
    kExact,         // These bytes.
    kInteger,       // An integer from low to high.
    kPrefix,        // Any reply that begins with these bytes (what the server says about itself).
    kConnectionId,  // An integer: the same for each connection at all times, different for any two.
    kAnyOrder,      // An array of the bulks `choices`, in any order.
    kScan,          // A cursor, and an array of some of `choices`; of all, if `whole`.
    kOneOf,         // One of `choices`.
    kArray,         // An array of `elements`.
    kNone,          // Nothing is replied.
  };
  Kind kind = Kind::kExact;
  std::string bytes;
  int64_t low = 0;
  int64_t high = 0;
  std::vector<std::string> choices = {};
  std::vector<Expectation> elements = {};
  bool whole = false;
  // CLIENT KILL: the client that it ends, if it is there.
  std::optional<uint64_t> kills = std::nullopt;
  bool spares_itself = true;
  // What connections get that have not asked for it, this one included: in this order, and before
  // the reply.
  struct Push {
    uint64_t connection;  // SequentialModel::Connection::number.
    std::string bytes;
  };
  std::vector<Push> pushes = {};
  // It depends on who listens to what at this moment.
  bool about_listeners = false;

  bool Matches(std::string_view reply) const;
  std::string Describe() const;
};

// The time of a command, in milliseconds.
struct Moment {
  int64_t wall_ms = 0;  // Unix time, which may jump.
  int64_t monotonic_ms = 0;
};

class SequentialModel {
 public:
  // What the server keeps for a connection.
  struct Connection {
    int protocol = 2;
    std::string name;
    bool quit = false;  // QUIT has been executed: nothing after it is.
    // CLIENT REPLY: nothing is replied, nothing to the next command, nothing to this one.
    bool replies_off = false;
    bool skips_next = false;
    bool skips = false;
    bool touches = true;  // CLIENT NO-TOUCH.
    // It has said the password, or there was none when it came.
    bool authenticated = true;
    uint64_t number = 0;  // For pushes.
    // What it listens to, by TopicKind, in the order in which it began.
    std::array<std::vector<std::string>, 3> topics = {};
    bool listens() const { return !topics[0].empty() || !topics[1].empty() || !topics[2].empty(); }
    // After MULTI: what is queued, and whether something could not be.
    bool queues = false;
    bool refused = false;
    std::vector<std::vector<std::string>> queued;
    // What it watches: how often each key had changed, and whether it was there.
    struct Watched {
      uint64_t changes = 0;
      bool there = false;
    };
    std::map<std::string, Watched> watched;
  };

  // What the server is set up with. Empty: none.
  void SetPassword(std::string password) { password_ = std::move(password); }
  bool has_password() const { return !password_.empty(); }
  // Whether the keys take more memory than they may: only the server knows.
  void SetOutOfMemory(bool out_of_memory) { out_of_memory_ = out_of_memory; }

  // Executes a command. A connection that listens to channels stays where it is until it Leave()s.
  // REQUIRES: arguments is not empty.
  Expectation Execute(Connection& connection, const std::vector<std::string>& arguments,
                      Moment now);

  // The connection listens to nothing any more.
  void Leave(Connection& connection);

  // Whether CLIENT PAUSE holds the command back at that time.
  bool MustWait(const Connection& connection, const std::vector<std::string>& arguments,
                Moment now) const;

  // A key that expired at `expires_at_ms` is there no more, even if the wall clock goes back. What
  // a command has put in its place since stays.
  void Forget(const std::string& key, int64_t expires_at_ms);
  // Whether the key had expired by then and is still there.
  bool HasExpired(const std::string& key, int64_t now_ms) const;
  // How many keys had expired by then and are still there.
  uint64_t Expired(int64_t now_ms) const;

  // Whether somebody has stopped the server.
  bool shut_down() const { return shut_down_; }
  // What CONFIG SET has made of maxclients, if anything.
  std::optional<uint64_t> clients_max() const { return clients_max_; }

  // For who compares keyspaces: equal values (bytes, expiry, what OBJECT ENCODING says) have equal
  // fingerprints, others the same one in 1 of 2^64 cases. Of a key that is not there: 0.
  uint64_t FingerprintOf(const std::string& key) const;
  // Of all keys together.
  uint64_t Fingerprint() const;
  // The keys and the beginnings of their values.
  std::string Describe() const;

 private:
  // What OBJECT ENCODING has to know beyond the bytes; see the functions that set it.
  enum class Encoding : uint8_t { kNatural, kRaw, kText, kOwnInteger };
  struct Value {
    std::string bytes;
    std::optional<int64_t> expires_at_ms;
    Encoding encoding = Encoding::kNatural;
    int64_t used_at_s = 0;

    uint64_t Fingerprint() const;
  };
  struct Call;  // One command being executed.

  struct Command {
    std::string_view name;
    int arity;  // As Redis counts: the command's name included; negative means "at least".
    Expectation (SequentialModel::*execute)(Call&);
    bool writes = false;  // Or waits for the end of a pause of writes like those that do.
    // What its second word may be; null: anything.
    const std::vector<Command>& (*subcommands)() = nullptr;
  };
  static const std::vector<Command>& Commands();
  static const std::vector<Command>& CommandCommands();
  static const std::vector<Command>& ClientCommands();
  static const std::vector<Command>& ObjectCommands();
  static const std::vector<Command>& ConfigCommands();
  static const std::vector<Command>& SlowLogCommands();
  static const std::vector<Command>& PubSubCommands();
  static const Command* FindCommand(const std::vector<Command>& commands, std::string_view name);
  // The command that arguments name, or a subcommand; its full name, like "client|id".
  struct Named {
    const Command* command;
    std::string name;
  };
  // Or the reply to what is neither run nor queued: there is no such command, or it takes other
  // arguments.
  static std::expected<Named, Expectation> Resolve(const std::vector<std::string>& arguments);

  static bool TakesArguments(const Command& command, size_t arguments);
  // Whether it is a command that writes, and would not be refused.
  static bool Writes(const std::vector<std::string>& arguments);
  Expectation ExecuteOrQueue(Call& call);
  // Nothing: it may be run or queued.
  std::optional<Expectation> Refusal(const Call& call,
                                     const std::expected<Named, Expectation>& named) const;

  // The live value, or null. An expired one stays until Forget(), and lives again when the wall
  // clock goes back.
  Value* Peek(const std::string& key, int64_t now_ms);
  // The same; it counts as used.
  Value* Find(Call& call, const std::string& key);
  // Who watches the key will know.
  void Change(const std::string& key) { ++changes_[key]; }
  // Sets a value as SET does.
  Value& Assign(Call& call, const std::string& key, std::string bytes,
                std::optional<int64_t> expires_at_ms = std::nullopt);

  // sequential_model.cc: connections and the server.
  Expectation Ping(Call& call);
  Expectation Echo(Call& call);
  Expectation Quit(Call& call);
  Expectation Select(Call& call);
  // Between MULTI and EXEC, whether it is not queued.
  static bool RunsInMulti(std::string_view name);
  // Nothing: the password has been said, and there is memory.
  std::optional<Expectation> Prohibition(const Call& call, std::string_view name) const;
  bool Authenticates(const std::string& user, const std::string& password) const;
  Expectation Auth(Call& call);
  Expectation Shutdown(Call& call);
  Expectation SlowLogGet(Call& call);
  Expectation SlowLogLength(Call& call);
  Expectation SlowLogReset(Call& call);
  Expectation Hello(Call& call);
  Expectation Reset(Call& call);
  Expectation CommandCount(Call& call);
  Expectation CommandDetails(Call& call);
  Expectation Info(Call& call);
  Expectation Time(Call& call);
  Expectation SwapDatabases(Call& call);
  Expectation Debug(Call& call);
  Expectation Lolwut(Call& call);
  Expectation ConfigGet(Call& call);
  Expectation ConfigSet(Call& call);
  Expectation ConfigResetStatistics(Call& call);
  Expectation ConfigRewrite(Call& call);
  Expectation ClientId(Call& call);
  Expectation ClientInfo(Call& call);
  Expectation ClientList(Call& call);
  Expectation ClientSetName(Call& call);
  Expectation ClientGetName(Call& call);
  Expectation ClientSetInfo(Call& call);
  Expectation ClientKill(Call& call);
  Expectation ClientPause(Call& call);
  Expectation ClientUnpause(Call& call);
  Expectation ClientReply(Call& call);
  Expectation ClientNoEvict(Call& call);
  Expectation ClientNoTouch(Call& call);

  // sequential_model_transactions.cc
  Expectation Multi(Call& call);
  Expectation Exec(Call& call);
  Expectation Discard(Call& call);
  Expectation Watch(Call& call);
  Expectation Unwatch(Call& call);

  // sequential_model_strings.cc
  Expectation Get(Call& call);
  Expectation Set(Call& call);
  Expectation SetIfAbsent(Call& call);
  Expectation SetWithTime(Call& call);
  Expectation GetAndSet(Call& call);
  Expectation GetAndDelete(Call& call);
  Expectation GetAndExpire(Call& call);
  Expectation Length(Call& call);
  Expectation GetRange(Call& call);
  Expectation SetRange(Call& call);
  Expectation Append(Call& call);
  Expectation MultiGet(Call& call);
  Expectation MultiSet(Call& call);
  Expectation MultiSetIfAbsent(Call& call);
  Expectation Increment(Call& call);
  Expectation Decrement(Call& call);
  Expectation IncrementBy(Call& call);
  Expectation DecrementBy(Call& call);
  Expectation IncrementByFloat(Call& call);
  Expectation Add(Call& call, int64_t delta);
  Expectation CommonSubsequence(Call& call);

  // sequential_model_bits.cc
  Expectation SetBit(Call& call);
  Expectation GetBit(Call& call);
  Expectation CountBits(Call& call);
  Expectation FindBit(Call& call);
  Expectation CombineBits(Call& call);
  Expectation BitField(Call& call);

  // sequential_model_keys.cc
  Expectation DatabaseSize(Call& call);
  Expectation FlushAll(Call& call);
  Expectation Delete(Call& call);
  Expectation Exists(Call& call);
  Expectation Touch(Call& call);
  Expectation Type(Call& call);
  Expectation Expire(Call& call);
  Expectation ExpiryOf(Call& call);
  Expectation Persist(Call& call);
  Expectation Keys(Call& call);
  Expectation Scan(Call& call);
  Expectation RandomKey(Call& call);
  Expectation Rename(Call& call);
  Expectation Copy(Call& call);
  Expectation ObjectEncoding(Call& call);
  Expectation ObjectReferences(Call& call);
  Expectation ObjectIdleTime(Call& call);
  Expectation ObjectFrequency(Call& call);
  Expectation ObjectHelp(Call& call);
  Expectation Dump(Call& call);
  Expectation Restore(Call& call);

  // sequential_model_pubsub.cc
  enum class TopicKind : uint8_t { kChannel, kPattern, kShardChannel };
  struct Topic {
    TopicKind kind;
    std::string name;
    std::vector<const Connection*> listeners;  // In the order in which they came.
  };
  // Whether the connection listens and speaks RESP2, in which it may do little else.
  static bool OnlyListens(const Connection& connection);
  static std::optional<Expectation> RefusalOfListener(const Call& call, std::string_view name);
  Topic* FindTopic(TopicKind kind, const std::string& name);
  void Listen(Connection& connection, TopicKind kind, const std::string& name);
  void Unlisten(Connection& connection, TopicKind kind, const std::string& name);
  // Tells the connection that it does, or does not any more, listen to this.
  static Expectation::Push Announce(const Call& call, TopicKind kind, std::string_view name_bytes);
  Expectation Subscribe(Call& call);
  Expectation Unsubscribe(Call& call);
  Expectation Publish(Call& call);
  Expectation PubSubChannels(Call& call);
  Expectation PubSubListeners(Call& call);
  Expectation PubSubPatterns(Call& call);

  std::vector<Topic> topics_;  // In the order in which they came to be. None is without listeners.
  std::map<std::string, Value> values_;
  // How often each key has changed.
  std::map<std::string, uint64_t> changes_;
  // A key for which the command that was executed last put an expired value in the place of another
  // one with the same expiry: the first to be forgotten is the other one.
  std::optional<std::string> twin_;
  static constexpr int64_t kNotPaused = -1;
  // CLIENT PAUSE: to this millisecond of the monotonic clock, all commands or those that write.
  int64_t paused_until_ms_ = kNotPaused;
  bool pause_writes_only_ = true;
  std::optional<uint64_t> clients_max_;
  std::string password_;
  bool out_of_memory_ = false;
  bool shut_down_ = false;
};

}  // namespace orrery::scenarios

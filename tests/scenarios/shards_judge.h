// Watches all clients of a server of several shards, and says whether what they were told is legal.
//
// There is no one order of execution to hold such a server to, so everything follows from what its
// clients see. Its rules, by name:
//   reply-mismatch        a reply whose bytes follow from its place in the stream is another one
//   reply-malformed       a reply is not RESP, or not of the kind that its command has
//   reply-without-command nothing that was sent is without a reply
//   linearizability       no order of all operations on keys explains their replies
//                         (tests/linearizability)
//   publish-...           see publish_ledger.h
//   connection-lost       the server ends a connection without a reason, or more of them than
//   CLIENT
//                         KILL says
//   reply-lost            a connection ended in order, but not all replies came
//   liveness              at the end, with faults off, a complete command has no reply
//
// Violations go to the event log, once. Owned by the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/event_log.h"
#include "tests/linearizability/history.h"
#include "tests/scenarios/client_judge.h"
#include "tests/scenarios/publish_ledger.h"

namespace orrery::scenarios {

class ShardsJudge final : public ClientJudge {
 public:
  // `log` must outlive the judge.
  ShardsJudge(sim::EventLog& log, uint32_t shards) : log_(log), shards_(shards) {}
  ShardsJudge(const ShardsJudge&) = delete;
  ShardsJudge& operator=(const ShardsJudge&) = delete;

  // --- ClientJudge.
  void OnConnected(uint64_t connection, uint64_t client) override;
  void OnSent(uint64_t connection, Unit unit) override;
  void OnReply(uint64_t connection, std::string_view reply) override;
  void OnMalformedReply(uint64_t connection, std::string_view problem) override;
  void OnEnd(uint64_t connection, bool reset, std::string_view rest) override;
  void OnHalfClosed(uint64_t connection) override;
  void OnDeaf(uint64_t connection) override;
  void OnGone(uint64_t connection) override;
  bool Outstanding(uint64_t connection) const override;
  bool ServerEnds(uint64_t connection) const override;

  // Some shard executes this command of a connection now, or queues it, and takes this for the
  // time. The time is believed, by which keys expire; all else that follows is a hint for the
  // search, and nothing is held against the server.
  void OnExecuted(uint64_t connection, bool in_transaction,
                  const std::vector<std::string>& arguments, int64_t clock_ms);
  // The server has cut the client off for what it costs.
  void OnCutOff(uint64_t connection);
  // From now on the server may end connections.
  void OnServerStops();
  // The server is set up to end connections before a slow client may have read all.
  void AllowHastyEnds() { hasty_ends_ = true; }
  // Reports the first connection with something outstanding as a violation.
  void CheckNothingOutstanding();
  // At the end: whether no more connections were lost than have been killed.
  void CheckKills();
  // At the end: whether one order explains all. At most `steps_max` steps for each part.
  void CheckHistory(uint64_t steps_max);

  uint64_t replies() const { return replies_; }
  uint64_t messages() const { return ledger_.received(); }
  uint64_t operations() const { return history_.operations().size(); }
  uint64_t transactions() const { return transactions_; }
  uint64_t aborted() const { return aborted_; }
  uint64_t search_steps() const { return search_steps_; }
  // Parts of the history that were too much for the budget.
  uint64_t undecided() const { return undecided_; }

 private:
  // A reply that must come.
  struct Pending {
    enum class Kind : uint8_t {
      kExact,         // `expected`.
      kOfType,        // Begins as `expected`; what it says is not judged.
      kOperation,     // Of the history.
      kTransaction,   // The same; the reply to EXEC.
      kSubscribed,    // `expected`, about the subscription `number`, if it is a new one.
      kUnsubscribed,  // The same.
      kPublished,     // Of the message `number`.
      kKilled,        // How many clients have been killed.
    };
    static constexpr size_t kNone = SIZE_MAX;
    Kind kind = Kind::kExact;
    std::string expected;
    size_t number = kNone;
    std::string command;  // For messages.
  };
  struct Client {
    uint64_t client = 0;
    int protocol = 2;
    std::deque<Pending> pending;
    uint64_t reply_count = 0;
    // MULTI: what is queued, and whether something of it was refused.
    bool in_transaction = false;
    bool refused = false;
    std::vector<linearizability::Arguments> queued;
    std::vector<size_t> watches;  // Operations of the history.
    // By the transaction in the history: its messages, by their places among its commands.
    std::map<size_t, std::map<size_t, size_t>> published;
    std::map<std::pair<TopicKind, std::string>, size_t> topics;
    bool ending = false;          // Has sent what ends its connection; nothing after it counts,
    bool more_after_end = false;  // but there was more.
    bool half_closed = false;
    bool deaf = false;
    bool cut_off = false;
    bool ended = false;  // By the server, or by itself.
  };

  Client* Find(uint64_t connection);
  void Expect(Client& client, Pending::Kind kind, std::string expected, std::string command,
              size_t number = Pending::kNone);
  void OnCommand(uint64_t connection, Client& client, std::vector<std::string> arguments);
  // Commands that have a meaning beyond the keys. False: it is none of them.
  bool OnTransactionCommand(uint64_t connection, Client& client,
                            const std::vector<std::string>& arguments);
  bool OnConnectionCommand(Client& client, const std::vector<std::string>& arguments);
  bool OnPublishCommand(uint64_t connection, Client& client,
                        const std::vector<std::string>& arguments);
  bool OnControlCommand(Client& client, const std::vector<std::string>& arguments);
  void OnExec(uint64_t connection, Client& client);
  bool OnOneShard(const linearizability::Arguments& arguments) const;
  // Begins an operation of the history.
  size_t Call(linearizability::Operation operation);
  void OnSubscription(uint64_t connection, Client& client, TopicKind kind, bool begins,
                      const std::string& topic);
  bool IsMessage(const Client& client, std::string_view reply) const;
  void OnMessage(uint64_t connection, std::string_view reply);
  void Settle(uint64_t connection, const Pending& pending, std::string_view reply);
  void SettleTransaction(uint64_t connection, const Pending& pending, std::string_view reply);
  void SettlePublished(uint64_t connection, const std::string& command, size_t message,
                       std::string_view reply);
  void SettleKilled(uint64_t connection, const Pending& pending, std::string_view reply);
  // Any client may be killed from now on, or have been by now.
  void ExpectEnds();
  void Report(uint64_t connection, const PublishLedger::Finding& finding);
  void Violate(std::string_view invariant, uint64_t connection, std::string detail);

  const linearizability::Arguments exec_ = {"EXEC"};
  sim::EventLog& log_;
  const uint32_t shards_;
  std::map<uint64_t, Client> clients_;
  linearizability::History history_;
  // Operations that nobody has seen executed, by connection and command; of a transaction that is
  // EXEC. Those that are none of the history are Pending::kNone.
  std::map<std::pair<uint64_t, linearizability::Arguments>, std::deque<size_t>> unseen_;
  PublishLedger ledger_;
  // CLIENT KILL: how many are on their way, how many clients have been killed, and how many have
  // seen an end that nothing else explains.
  uint64_t kills_open_ = 0;
  uint64_t killed_ = 0;
  uint64_t lost_ = 0;
  bool server_stops_ = false;
  bool hasty_ends_ = false;
  uint64_t replies_ = 0;
  uint64_t transactions_ = 0;
  uint64_t aborted_ = 0;
  uint64_t search_steps_ = 0;
  uint64_t undecided_ = 0;
};

}  // namespace orrery::scenarios

// Watches all clients of a run and the server's order of execution, and says whether what happened
// is legal.
//
// The judge is told when the last byte of a unit entered a client's stream, when the server
// executes a command, and when a reply arrives, each as it happens. Its rules, by name:
//   executed-before-sent      the server executes what the client has not sent completely
//   executed-wrong-command    ... not the next one that the client sent, with exactly its arguments
//   executed-after-end        ... something after QUIT, a protocol error or CLIENT KILL
//   executed-while-paused     ... something that CLIENT PAUSE holds back
//   executed-while-full       ... something of a client who has as much to get as it may
//   executed-by-wrong-clock   ... at another time than the wall clock says
//   expired-early             the server removes a key whose time has not come
//   reply-without-command     a reply arrives and nothing executed is without one
//   reply-mismatch            a reply, or what comes unasked, is not what the sequential model says
//   reply-malformed           not RESP at all
//   connection-id             CLIENT ID changes, or two connections have the same
//   connection-lost           the server ends a connection without a reason
//   too-many-clients          it serves more than it may
//   reply-lost                a connection ended in order, but not all replies or the error came
//   before liveness                  at the end, with faults off, a complete command has no reply
//
// Violations go to the event log, once; after the first one nothing more is judged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/event_log.h"
#include "tests/scenarios/admission.h"
#include "tests/scenarios/client_judge.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::scenarios {

class Judge final : public ClientJudge {
 public:
  // `log` must outlive the judge.
  explicit Judge(sim::EventLog& log) : log_(log) {}
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

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

  // --- From the server, in the order of execution.
  // `server_ms` is the wall clock as the server has it, `now` what the clocks say.
  void OnExecuted(uint64_t connection, const std::vector<std::string>& arguments, int64_t server_ms,
                  Moment now);
  // It is about to execute something of a client who has `output_bytes` to get.
  void CheckOutput(uint64_t connection, size_t output_bytes, size_t output_max);
  // It removes a key that expired then.
  void OnExpired(const std::string& key, int64_t expires_at_ms, Moment now);

  // It has more to get than it may, or has cost too much in another way.
  void OnCutOff(uint64_t connection);

  // Lets a client in, and has forgotten it.
  void OnServed(uint64_t connection);
  // It listens to nothing any more.
  void OnLeaving(uint64_t connection);
  void OnForgotten(uint64_t connection);

  // What a new client has to say first; empty: nothing.
  void SetPassword(std::string password) { model_.SetPassword(std::move(password)); }
  // Whether the keys take more memory than they may, when the next command is executed.
  void SetOutOfMemory(bool out_of_memory) { model_.SetOutOfMemory(out_of_memory); }
  // Whether CLIENT PAUSE holds commands back.
  bool Paused(Moment now) const { return model_.MustWait({}, {"SET", "k", "v"}, now); }

  // --- From the kernel and the scenario. How many the server may have, and which it has.
  Admission& admission() { return admission_; }
  // From now on the server may end connections, once all that it has executed is answered.
  void OnServerStops() { server_stops_ = true; }
  bool server_stops() const { return server_stops_; }
  // The server is set up to end connections before a slow client may have read all: what is lost
  // after QUIT, bad input, a half-close or the stop is lost by its leave.
  void AllowHastyEnds() { hasty_ends_ = true; }
  // Says which connection the server's client of an id has, if any; without it, nobody is killed.
  void FindClientsBy(std::function<std::optional<uint64_t>(uint64_t)> connection_of_id) {
    connection_of_id_ = std::move(connection_of_id);
  }
  // Whether a live connection waits for an answer to something that it sent completely.
  bool AnythingOutstanding() const;
  // How many keys had expired by then, and the server still has them.
  uint64_t ExpiredKeys(int64_t now_ms) const { return model_.Expired(now_ms); }
  // Reports the first connection with something outstanding as a violation.
  void CheckNothingOutstanding();

  uint64_t executed() const { return executed_; }
  uint64_t replies() const { return replies_; }

 private:
  struct Pending {
    Expectation expectation;
    std::string command;    // For the message.
    bool optional = false;  // The server may have known by then that the client was going.
  };
  struct Client {
    uint64_t client = 0;
    SequentialModel::Connection session;
    std::deque<Unit> sent;  // Not executed yet.
    // Executed and not replied to yet, and what it is to get unasked; in the order in which it
    // comes.
    std::deque<Pending> expected;
    uint64_t units = 0;  // How many have been taken from `sent`.
    uint64_t reply_count = 0;
    int64_t id = 0;  // What CLIENT ID said; 0: nothing yet.
    bool half_closed = false;
    bool deaf = false;
    bool refused = false;  // Told that there are too many.
    bool killed = false;   // By CLIENT KILL or a limit; what it had to get may be lost.
    bool error_received = false;
    bool ended = false;  // By the server, or by itself.
  };

  Client* Find(uint64_t connection);
  // Whether the server may know by now that the client takes nothing more.
  bool MayBeLeaving(const Client& client) const;
  // Whether something must still come for what has been executed.
  static bool Owes(const Client& client);
  // Lets the receivers expect what `command` sends them, and the reply be what it may be while some
  // listeners are leaving.
  void ExpectPushes(Expectation& expectation, const std::string& command);
  // Takes units that need no answer from the front of what was sent.
  static void SkipSilent(Client& client);
  // Whether the client has sent bad input that, with its replies off, ends the connection silently.
  static bool EndsSilently(const Client& client);
  // Whether something that was sent completely can still be answered and is not.
  static bool Unanswered(const Client& client);
  void CheckId(uint64_t connection, Client& client, std::string_view reply);
  // Notes what CLIENT KILL on `connection` does.
  void Kill(uint64_t connection, const Expectation& expectation);
  void Violate(std::string_view invariant, uint64_t connection, std::string detail);

  sim::EventLog& log_;
  SequentialModel model_;
  Admission admission_;
  std::map<uint64_t, Client> clients_;
  std::map<int64_t, uint64_t> connections_by_id_;
  std::function<std::optional<uint64_t>(uint64_t)> connection_of_id_;
  bool server_stops_ = false;
  bool hasty_ends_ = false;
  uint64_t executed_ = 0;
  uint64_t replies_ = 0;
};

}  // namespace orrery::scenarios

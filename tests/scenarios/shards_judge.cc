#include "tests/scenarios/shards_judge.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "server/hash_slot.h"
#include "tests/linearizability/checker.h"
#include "tests/linearizability/footprint.h"
#include "tests/scenarios/resp.h"

namespace orrery::scenarios {
namespace {

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kQueued = "+QUEUED\r\n";

std::string Join(const std::vector<std::string>& arguments) {
  static constexpr size_t kShownMax = 8;
  std::string text;
  for (size_t at = 0; at < arguments.size() && at < kShownMax; ++at) {
    if (at > 0) text += ' ';
    text += Printable(arguments[at], 24);
  }
  return arguments.size() > kShownMax ? text + " ..." : text;
}

std::string Bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string BytesIn(std::string_view bulk) {
  const size_t line_end = bulk.find("\r\n");
  if (!bulk.starts_with('$') || line_end == std::string_view::npos) return {};
  return std::string(bulk.substr(line_end + 2, bulk.size() - line_end - 4));
}

// What is answered to these does not depend on the keys alone, but begins like this.
struct Unjudged {
  std::string_view name;
  std::string_view beginning;
  std::string_view beginning_in_resp3;
};
constexpr std::array kUnjudged = {
    Unjudged{"INFO", "$", "="},     Unjudged{"SCAN", "*2\r\n", "*2\r\n"},
    Unjudged{"CLIENT", "$", "="},  // LIST.
    Unjudged{"RANDOMKEY", "$", ""}, Unjudged{"CONFIG", "+OK\r\n", "+OK\r\n"},
};

}  // namespace

void ShardsJudge::OnConnected(uint64_t connection, uint64_t client) {
  log_.Note("connected", connection, static_cast<int64_t>(client), 0);
  const bool added = clients_.emplace(connection, Client{}).second;
  ORRERY_CHECK_MSG(added, "two clients on one connection");
  clients_[connection].client = client;
}

void ShardsJudge::OnSent(uint64_t connection, Unit unit) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  if (unit.kind == Unit::Kind::kSilent) return;
  if (client->ending) {
    client->more_after_end = true;
    return;
  }
  if (unit.kind == Unit::Kind::kError) {
    client->ending = true;
    ledger_.OnEnding(connection);
    Expect(*client, Pending::Kind::kExact, std::move(unit.error), "bad input");
    return;
  }
  log_.Note("sent-command", connection, static_cast<int64_t>(unit.arguments.size()), 0,
            Join(unit.arguments));
  OnCommand(connection, *client, std::move(unit.arguments));
}

void ShardsJudge::Expect(Client& client, Pending::Kind kind, std::string expected,
                         std::string command, size_t number) {
  client.pending.push_back({.kind = kind,
                            .expected = std::move(expected),
                            .number = number,
                            .command = std::move(command)});
}

void ShardsJudge::OnCommand(uint64_t connection, Client& client,
                            std::vector<std::string> arguments) {
  if (OnTransactionCommand(connection, client, arguments) ||
      OnConnectionCommand(client, arguments) || OnControlCommand(client, arguments) ||
      OnPublishCommand(connection, client, arguments)) {
    if (client.ending) ledger_.OnEnding(connection);
    return;
  }
  std::string text = Join(arguments);
  for (const Unjudged& unjudged : kUnjudged) {
    if (unjudged.name != arguments[0]) continue;
    Expect(client, Pending::Kind::kOfType,
           std::string(client.protocol == 3 ? unjudged.beginning_in_resp3 : unjudged.beginning),
           std::move(text));
    return;
  }
  linearizability::Operation operation;
  operation.client = connection;
  operation.protocol = client.protocol;
  operation.flows = OnOneShard(arguments);
  operation.commands.push_back(std::move(arguments));
  Expect(client, Pending::Kind::kOperation, "", std::move(text), Call(std::move(operation)));
}

bool ShardsJudge::OnTransactionCommand(uint64_t connection, Client& client,
                                       const std::vector<std::string>& arguments) {
  const std::string& name = arguments[0];
  if (name == "MULTI") {
    const bool nested = client.in_transaction;
    client.in_transaction = true;
    Expect(client, Pending::Kind::kExact,
           nested ? "-ERR MULTI calls can not be nested\r\n" : std::string(kOk), name);
    return true;
  }
  if (name == "EXEC") {
    OnExec(connection, client);
    return true;
  }
  if (name == "DISCARD") {
    const bool open = std::exchange(client.in_transaction, false);
    if (open) client.watches.clear();
    client.queued.clear();
    client.refused = false;
    Expect(client, Pending::Kind::kExact,
           open ? std::string(kOk) : "-ERR DISCARD without MULTI\r\n", name);
    return true;
  }
  if (name == "WATCH" && client.in_transaction) {
    Expect(client, Pending::Kind::kExact, "-ERR WATCH inside MULTI is not allowed\r\n", name);
    return true;
  }
  if (client.in_transaction && name != "QUIT") {
    // The workload has one kind of command that is not even queued.
    const bool unknown = name == "NOSUCH";
    client.refused |= unknown;
    if (!unknown) client.queued.push_back(arguments);
    Expect(client, unknown ? Pending::Kind::kOfType : Pending::Kind::kExact,
           unknown ? "-ERR unknown command" : std::string(kQueued), Join(arguments));
    return true;
  }
  if (name == "UNWATCH") {
    client.watches.clear();
    Expect(client, Pending::Kind::kExact, std::string(kOk), name);
    return true;
  }
  if (name != "WATCH") return false;
  linearizability::Operation operation;
  operation.kind = linearizability::Operation::Kind::kWatch;
  operation.client = connection;
  operation.commands.push_back(arguments);
  const size_t index = Call(std::move(operation));
  client.watches.push_back(index);
  Expect(client, Pending::Kind::kOperation, std::string(kOk), Join(arguments), index);
  return true;
}

void ShardsJudge::OnExec(uint64_t connection, Client& client) {
  const bool open = std::exchange(client.in_transaction, false);
  const bool refused = std::exchange(client.refused, false);
  std::vector<linearizability::Arguments> queued = std::exchange(client.queued, {});
  if (!open) {
    unseen_[{connection, exec_}].push_back(Pending::kNone);
    Expect(client, Pending::Kind::kExact, "-ERR EXEC without MULTI\r\n", "EXEC");
    return;
  }
  std::vector<size_t> watches = std::exchange(client.watches, {});
  if (refused) {
    unseen_[{connection, exec_}].push_back(Pending::kNone);
    Expect(client, Pending::Kind::kExact,
           "-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC");
    return;
  }
  linearizability::Operation operation;
  operation.kind = linearizability::Operation::Kind::kTransaction;
  operation.client = connection;
  operation.protocol = client.protocol;
  operation.watches = std::move(watches);
  // Messages are none of the history's.
  std::map<size_t, size_t> published;
  for (size_t place = 0; place < queued.size(); ++place) {
    if (queued[place][0] == "PUBLISH") {
      published[place] = ledger_.OnPublishSent(connection, queued[place][1], queued[place][2]);
    } else {
      operation.commands.push_back(std::move(queued[place]));
    }
  }
  const size_t number = Call(std::move(operation));
  client.published[number] = std::move(published);
  Expect(client, Pending::Kind::kTransaction, "", "EXEC", number);
}

bool ShardsJudge::OnConnectionCommand(Client& client, const std::vector<std::string>& arguments) {
  const std::string& name = arguments[0];
  if (name == "PING") {
    const bool listens = client.protocol == 2 && !client.topics.empty();
    Expect(client, Pending::Kind::kExact, listens ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n",
           name);
  } else if (name == "ECHO") {
    Expect(client, Pending::Kind::kExact, Bulk(arguments.at(1)), Join(arguments));
  } else if (name == "HELLO") {
    client.protocol = arguments.at(1) == "3" ? 3 : 2;
    Expect(client, Pending::Kind::kOfType, client.protocol == 3 ? "%" : "*", Join(arguments));
  } else if (name == "QUIT") {
    client.ending = true;
    Expect(client, Pending::Kind::kExact, std::string(kOk), name);
  } else {
    return false;
  }
  return true;
}

bool ShardsJudge::OnControlCommand(Client& client, const std::vector<std::string>& arguments) {
  if (arguments[0] != "CLIENT") return false;
  const std::string& name = arguments.at(1);
  if (name == "PAUSE" || name == "UNPAUSE") {
    Expect(client, Pending::Kind::kExact, std::string(kOk), Join(arguments));
    return true;
  }
  if (name != "KILL") return false;
  ++kills_open_;
  ExpectEnds();
  Expect(client, Pending::Kind::kKilled, ":", Join(arguments));
  return true;
}

void ShardsJudge::ExpectEnds() {
  for (const auto& [connection, client] : clients_) ledger_.OnEnding(connection);
}

bool ShardsJudge::OnPublishCommand(uint64_t connection, Client& client,
                                   const std::vector<std::string>& arguments) {
  const std::string& name = arguments[0];
  if (name == "PUBLISH") {
    Expect(client, Pending::Kind::kPublished, "", Join(arguments),
           ledger_.OnPublishSent(connection, arguments.at(1), arguments.at(2)));
    return true;
  }
  const bool begins = name == "SUBSCRIBE" || name == "PSUBSCRIBE";
  if (!begins && name != "UNSUBSCRIBE" && name != "PUNSUBSCRIBE") return false;
  const TopicKind kind = name[0] == 'P' ? TopicKind::kPattern : TopicKind::kChannel;
  for (size_t at = 1; at < arguments.size(); ++at) {
    OnSubscription(connection, client, kind, begins, arguments[at]);
  }
  return true;
}

void ShardsJudge::OnSubscription(uint64_t connection, Client& client, TopicKind kind, bool begins,
                                 const std::string& topic) {
  const auto found = client.topics.find({kind, topic});
  size_t number = Pending::kNone;
  if (begins && found == client.topics.end()) {
    number = ledger_.OnSubscribeSent(connection, kind, topic);
    client.topics[{kind, topic}] = number;
  } else if (!begins && found != client.topics.end()) {
    number = found->second;
    ledger_.OnUnsubscribeSent(number);
    client.topics.erase(found);
  }
  const std::string word =
      std::string(kind == TopicKind::kPattern ? "p" : "") + (begins ? "subscribe" : "unsubscribe");
  Expect(client, begins ? Pending::Kind::kSubscribed : Pending::Kind::kUnsubscribed,
         (client.protocol == 3 ? ">3\r\n" : "*3\r\n") + Bulk(word) + Bulk(topic) + ":" +
             std::to_string(client.topics.size()) + "\r\n",
         word + " " + Printable(topic), number);
}

void ShardsJudge::OnReply(uint64_t connection, std::string_view reply) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  ++replies_;
  ++client->reply_count;
  log_.Note("reply", connection, static_cast<int64_t>(client->reply_count),
            static_cast<int64_t>(reply.size()), Printable(reply, 40));
  if (IsMessage(*client, reply)) {
    OnMessage(connection, reply);
    return;
  }
  if (client->pending.empty()) {
    Violate("reply-without-command", connection, "received " + Printable(reply));
    return;
  }
  const Pending pending = std::move(client->pending.front());
  client->pending.pop_front();
  Settle(connection, pending, reply);
}

// A reply that looks like one of these is none: the workload asks for no such values.
bool ShardsJudge::IsMessage(const Client& client, std::string_view reply) const {
  const char mark = client.protocol == 3 ? '>' : '*';
  return reply.starts_with(mark + std::string("3\r\n$7\r\nmessage\r\n")) ||
         reply.starts_with(mark + std::string("4\r\n$8\r\npmessage\r\n"));
}

void ShardsJudge::OnMessage(uint64_t connection, std::string_view reply) {
  const auto elements = ElementsOf(reply);
  if (!elements) {
    Violate("reply-malformed", connection, Printable(reply));
    return;
  }
  const bool pattern = elements->size() == 4;
  const size_t channel = pattern ? 2 : 1;
  Report(connection,
         ledger_.OnMessage(connection, pattern ? TopicKind::kPattern : TopicKind::kChannel,
                           BytesIn((*elements)[1]), BytesIn((*elements)[channel]),
                           BytesIn((*elements)[channel + 1])));
}

void ShardsJudge::Settle(uint64_t connection, const Pending& pending, std::string_view reply) {
  using Kind = Pending::Kind;
  const bool begins_right = reply.starts_with(pending.expected);
  const bool exact = pending.kind == Kind::kExact || pending.kind == Kind::kSubscribed ||
                     pending.kind == Kind::kUnsubscribed;
  if (!begins_right || (exact && reply.size() != pending.expected.size())) {
    Violate("reply-mismatch", connection,
            "to " + pending.command + " expected " + Printable(pending.expected) + ", received " +
                Printable(reply));
    return;
  }
  switch (pending.kind) {
    case Kind::kExact:
    case Kind::kOfType:
      return;
    case Kind::kOperation:
      history_.Return(pending.number, {std::string(reply)});
      return;
    case Kind::kTransaction:
      SettleTransaction(connection, pending, reply);
      return;
    case Kind::kSubscribed:
      if (pending.number != Pending::kNone) ledger_.OnSubscribed(pending.number);
      if (kills_open_ > 0) ledger_.OnEnding(connection);
      return;
    case Kind::kUnsubscribed:
      if (pending.number != Pending::kNone) {
        Report(connection, ledger_.OnUnsubscribed(pending.number));
      }
      return;
    case Kind::kPublished:
      SettlePublished(connection, pending.command, pending.number, reply);
      return;
    case Kind::kKilled:
      SettleKilled(connection, pending, reply);
      return;
  }
}

void ShardsJudge::SettlePublished(uint64_t connection, const std::string& command, size_t message,
                                  std::string_view reply) {
  const std::optional<int64_t> receivers = IntegerIn(reply);
  if (receivers) {
    Report(connection, ledger_.OnPublished(message, *receivers));
  } else {
    Violate("reply-malformed", connection, "to " + command + " came " + Printable(reply));
  }
}

void ShardsJudge::SettleKilled(uint64_t connection, const Pending& pending,
                               std::string_view reply) {
  const std::optional<int64_t> killed = IntegerIn(reply);
  if (!killed || *killed < 0) {
    Violate("reply-malformed", connection, "to " + pending.command + " came " + Printable(reply));
    return;
  }
  --kills_open_;
  killed_ += static_cast<uint64_t>(*killed);
  ExpectEnds();
}

void ShardsJudge::SettleTransaction(uint64_t connection, const Pending& pending,
                                    std::string_view reply) {
  ++transactions_;
  const linearizability::Operation& operation = history_.operations()[pending.number];
  const auto messages = Find(connection)->published.extract(pending.number);
  const std::map<size_t, size_t>& published = messages.mapped();
  if (reply == (operation.protocol == 3 ? "_\r\n" : "*-1\r\n")) {
    ++aborted_;
    history_.ReturnAborted(pending.number);
    for (const auto& [place, message] : published) {
      Report(connection, ledger_.OnNotPublished(message));
    }
    return;
  }
  auto elements = ElementsOf(reply);
  const size_t commands = operation.commands.size() + published.size();
  if (!elements || elements->size() != commands) {
    Violate("reply-malformed", connection,
            "to EXEC of " + std::to_string(commands) + " commands came " + Printable(reply));
    return;
  }
  std::vector<std::string> replies;
  for (size_t place = 0; place < commands; ++place) {
    const auto message = published.find(place);
    if (message == published.end()) {
      replies.push_back(std::move((*elements)[place]));
    } else {
      SettlePublished(connection, "PUBLISH in EXEC", message->second, (*elements)[place]);
    }
  }
  history_.Return(pending.number, std::move(replies));
}

void ShardsJudge::OnMalformedReply(uint64_t connection, std::string_view problem) {
  Violate("reply-malformed", connection, std::string(problem));
}

void ShardsJudge::OnEnd(uint64_t connection, bool reset, std::string_view rest) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->ended = true;
  log_.Note(reset ? "saw-reset" : "saw-end", connection, static_cast<int64_t>(client->reply_count),
            static_cast<int64_t>(rest.size()));
  ledger_.OnEnding(connection);
  if (server_stops_ || client->cut_off) return;
  const bool expected = client->ending || client->half_closed;
  // What follows QUIT is not read by the server, so its close may reset the reply away.
  const bool loses_replies = hasty_ends_ || client->deaf || (reset && client->more_after_end);
  if (expected && loses_replies) return;
  if ((kills_open_ > 0 || killed_ > lost_) && (!expected || !client->pending.empty())) {
    ++lost_;
    return;
  }
  if (!expected) {
    Violate(reset ? "connection-lost/reset" : "connection-lost/ended", connection,
            std::string(reset ? "reset" : "ended") + " by the server for no reason");
    return;
  }
  if (!rest.empty()) {
    Violate("reply-lost/cut", connection, "the stream ends within a reply: " + Printable(rest));
  } else if (!client->pending.empty()) {
    Violate("reply-lost", connection,
            "the stream ended before the reply to " + client->pending.front().command);
  }
}

void ShardsJudge::OnHalfClosed(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->half_closed = true;
  ledger_.OnEnding(connection);
  log_.Note("half-close", connection, 0, 0);
}

void ShardsJudge::OnDeaf(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->deaf = true;
  log_.Note("deaf", connection, 0, 0);
}

void ShardsJudge::OnGone(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->ended = true;
  ledger_.OnEnding(connection);
  log_.Note("gone", connection, 0, 0);
}

bool ShardsJudge::Outstanding(uint64_t connection) const {
  const auto found = clients_.find(connection);
  return found != clients_.end() && !found->second.ended &&
         (!found->second.pending.empty() || ledger_.Awaits(connection));
}

bool ShardsJudge::ServerEnds(uint64_t connection) const {
  const auto found = clients_.find(connection);
  return found != clients_.end() && (server_stops_ || found->second.ending ||
                                     found->second.half_closed || found->second.cut_off);
}

bool ShardsJudge::OnOneShard(const linearizability::Arguments& arguments) const {
  const linearizability::Footprint footprint = linearizability::FootprintOf(arguments);
  if (footprint.all_keys || footprint.keys.empty()) return false;
  const uint32_t shard = server::ShardOfKey(footprint.keys.front(), shards_);
  return std::all_of(
      footprint.keys.begin(), footprint.keys.end(),
      [this, shard](std::string_view key) { return server::ShardOfKey(key, shards_) == shard; });
}

size_t ShardsJudge::Call(linearizability::Operation operation) {
  const size_t index = history_.Call(std::move(operation));
  const linearizability::Operation& called = history_.operations()[index];
  const bool transaction = called.kind == linearizability::Operation::Kind::kTransaction;
  unseen_[{called.client, transaction ? exec_ : called.commands.front()}].push_back(index);
  return index;
}

void ShardsJudge::OnExecuted(uint64_t connection, bool in_transaction,
                             const std::vector<std::string>& arguments, int64_t clock_ms) {
  // Between MULTI and EXEC it is queued.
  if (in_transaction && arguments != exec_) return;
  const auto found = unseen_.find({connection, arguments});
  if (found == unseen_.end()) return;
  const size_t index = found->second.front();
  if (index != Pending::kNone) history_.Hint(index, clock_ms);
  found->second.pop_front();
  if (found->second.empty()) unseen_.erase(found);
}

void ShardsJudge::OnCutOff(uint64_t connection) {
  Client* client = Find(connection);
  // One that has not seen yet that it is connected may have been cut off.
  if (client == nullptr) return;
  client->cut_off = true;
  ledger_.OnEnding(connection);
  log_.Note("cut-off", connection, 0, 0);
}

void ShardsJudge::OnServerStops() {
  server_stops_ = true;
  for (const auto& [connection, client] : clients_) ledger_.OnEnding(connection);
}

void ShardsJudge::CheckNothingOutstanding() {
  for (const auto& [connection, client] : clients_) {
    if (!Outstanding(connection)) continue;
    if (client.pending.empty()) {
      Violate("liveness/no-message", connection, "a message that it must get has not come");
    } else {
      Violate("liveness/no-reply", connection, "no reply to " + client.pending.front().command);
    }
    return;
  }
}

void ShardsJudge::CheckKills() {
  if (kills_open_ > 0 || lost_ <= killed_) return;
  log_.OnViolation("connection-lost", std::to_string(lost_) + " ended for no reason, and " +
                                          std::to_string(killed_) + " have been killed");
}

void ShardsJudge::CheckHistory(uint64_t steps_max) {
  const linearizability::Verdict verdict =
      linearizability::Check(history_.operations(), {.steps_max = steps_max});
  search_steps_ = verdict.steps;
  undecided_ = verdict.undecided;
  if (verdict.violated()) log_.OnViolation("linearizability", verdict.violation);
}

ShardsJudge::Client* ShardsJudge::Find(uint64_t connection) {
  const auto found = clients_.find(connection);
  return found == clients_.end() ? nullptr : &found->second;
}

void ShardsJudge::Report(uint64_t connection, const PublishLedger::Finding& finding) {
  if (finding) Violate(finding->rule, connection, finding->detail);
}

void ShardsJudge::Violate(std::string_view invariant, uint64_t connection, std::string detail) {
  const Client* client = Find(connection);
  const std::string who =
      client == nullptr ? "" : "client " + std::to_string(client->client) + ": ";
  log_.ReportViolation(invariant, who + detail, connection);
}

}  // namespace orrery::scenarios

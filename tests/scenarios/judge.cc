#include "tests/scenarios/judge.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "tests/scenarios/resp.h"

namespace orrery::scenarios {
namespace {

constexpr std::string_view kRefusal = "-ERR max number of clients reached\r\n";

std::string Join(const std::vector<std::string>& arguments) {
  static constexpr size_t kShownMax = 6;
  std::string text;
  for (size_t index = 0; index < arguments.size() && index < kShownMax; ++index) {
    if (!text.empty()) text += ' ';
    text += Printable(arguments[index], 24);
  }
  if (arguments.size() > kShownMax) text += " ...";
  return text;
}

}  // namespace

void Judge::OnConnected(uint64_t connection, uint64_t client) {
  log_.Note("connected", connection, static_cast<int64_t>(client), 0);
  const bool added = clients_.emplace(connection, Client{}).second;
  ORRERY_CHECK_MSG(added, "two clients on one connection");
  clients_[connection].client = client;
  clients_[connection].session.number = connection;
}

void Judge::OnSent(uint64_t connection, Unit unit) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->sent.push_back(std::move(unit));
}

void Judge::OnReply(uint64_t connection, std::string_view reply) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  ++replies_;
  ++client->reply_count;
  log_.Note("reply", connection, static_cast<int64_t>(client->reply_count),
            static_cast<int64_t>(reply.size()), Printable(reply, 40));
  while (!client->expected.empty() && client->expected.front().optional &&
         !client->expected.front().expectation.Matches(reply)) {
    client->expected.pop_front();
  }
  if (!client->expected.empty()) {
    const Pending pending = std::move(client->expected.front());
    client->expected.pop_front();
    if (!pending.expectation.Matches(reply)) {
      Violate("reply-mismatch", connection,
              "to " + pending.command + " expected " + pending.expectation.Describe() +
                  ", received " + Printable(reply));
    } else if (pending.expectation.kind == Expectation::Kind::kConnectionId) {
      CheckId(connection, *client, reply);
    }
    return;
  }
  if (reply == kRefusal && !client->refused && admission_.MayRefuse(connection)) {
    client->refused = true;
    return;
  }
  SkipSilent(*client);
  const bool error_due = !client->sent.empty() && client->sent.front().kind == Unit::Kind::kError &&
                         !EndsSilently(*client) && !client->session.quit && !client->error_received;
  if (!error_due) {
    Violate("reply-without-command", connection, "received " + Printable(reply));
    return;
  }
  client->error_received = true;
  if (reply != client->sent.front().error) {
    Violate("reply-mismatch", connection,
            "to bad input expected " + Printable(client->sent.front().error) + ", received " +
                Printable(reply));
  }
}

void Judge::OnMalformedReply(uint64_t connection, std::string_view problem) {
  Violate("reply-malformed", connection, std::string(problem));
}

void Judge::OnEnd(uint64_t connection, bool reset, std::string_view rest) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->ended = true;
  log_.Note(reset ? "saw-reset" : "saw-end", connection, static_cast<int64_t>(client->reply_count),
            static_cast<int64_t>(rest.size()));
  SkipSilent(*client);
  const bool bad_input = !client->sent.empty() && client->sent.front().kind == Unit::Kind::kError;
  if (client->killed || client->refused || admission_.MayDrop(connection)) return;
  const bool refused = admission_.MayRefuse(connection);
  if (!client->session.quit && !bad_input && !client->half_closed && !server_stops_ && !refused) {
    Violate(reset ? "connection-lost/reset" : "connection-lost/ended", connection,
            std::string(reset ? "reset" : "ended") + " by the server for no reason");
    return;
  }
  if (hasty_ends_ || client->deaf) return;
  // What follows QUIT is not read by the server, so its close may reset the reply away.
  if (reset && client->session.quit && !client->sent.empty()) return;
  if (refused && !server_stops_) {
    Violate("reply-lost/refusal", connection, "refused, and not told why");
  } else if (!rest.empty()) {
    Violate("reply-lost/cut", connection, "the stream ends within a reply: " + Printable(rest));
  } else if (Owes(*client)) {
    Violate("reply-lost/executed", connection,
            "the stream ended before the reply to " + client->expected.front().command);
  } else if (bad_input && !client->session.quit && !client->error_received && !server_stops_ &&
             !EndsSilently(*client)) {
    Violate("reply-lost/error", connection, "the stream ended before the error reply to bad input");
  } else if (client->half_closed && Unanswered(*client) && !server_stops_) {
    Violate("reply-lost/never-executed", connection,
            "the stream ended before " + Join(client->sent.front().arguments) +
                ", which was sent before the half-close, was executed");
  }
}

void Judge::OnHalfClosed(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->half_closed = true;
  log_.Note("half-close", connection, 0, 0);
}

void Judge::OnDeaf(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->deaf = true;
  log_.Note("deaf", connection, 0, 0);
}

void Judge::OnServed(uint64_t connection) {
  if (Client* client = Find(connection)) client->session.authenticated = !model_.has_password();
  if (!admission_.OnServed(connection)) {
    Violate("too-many-clients", connection, "let in when the server had all that it may have");
  }
}

void Judge::OnCutOff(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  log_.Note("cut-off", connection, 0, 0);
  client->killed = true;
  model_.Leave(client->session);
}

void Judge::OnLeaving(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  model_.Leave(client->session);
}

void Judge::OnForgotten(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  admission_.OnGone(connection);
  model_.Leave(client->session);
}

void Judge::OnGone(uint64_t connection) {
  Client* client = Find(connection);
  ORRERY_CHECK(client != nullptr);
  client->ended = true;
  log_.Note("gone", connection, 0, 0);
}

void Judge::OnExecuted(uint64_t connection, const std::vector<std::string>& arguments,
                       int64_t server_ms, Moment now) {
  ++executed_;
  log_.Note("executed", connection, static_cast<int64_t>(arguments.size()), server_ms,
            Join(arguments));
  Client* client = Find(connection);
  if (client == nullptr) {
    Violate("executed-before-sent", connection, "no client has this connection");
    return;
  }
  SkipSilent(*client);
  if (client->session.quit || client->killed) {
    Violate("executed-after-end", connection,
            Join(arguments) + " after " + (client->killed ? "its end" : "QUIT"));
    return;
  }
  if (client->sent.empty()) {
    Violate("executed-before-sent", connection, Join(arguments));
    return;
  }
  const Unit unit = std::move(client->sent.front());
  client->sent.pop_front();
  if (unit.kind == Unit::Kind::kError) {
    Violate("executed-after-end", connection, Join(arguments) + " after bad input");
    return;
  }
  if (unit.arguments != arguments) {
    Violate("executed-wrong-command", connection,
            "command " + std::to_string(client->units + 1) + " is " + Join(unit.arguments) +
                ", executed was " + Join(arguments));
    return;
  }
  ++client->units;
  if (server_ms != now.wall_ms) {
    Violate("executed-by-wrong-clock", connection,
            Join(arguments) + " at " + std::to_string(server_ms) + " ms, the wall clock is at " +
                std::to_string(now.wall_ms));
    return;
  }
  if (model_.MustWait(client->session, arguments, now)) {
    Violate("executed-while-paused", connection, Join(arguments));
    return;
  }
  Expectation expectation = model_.Execute(client->session, arguments, now);
  if (model_.shut_down()) OnServerStops();
  if (const auto clients_max = model_.clients_max()) admission_.SetClientsMax(*clients_max);
  if (expectation.kills) Kill(connection, expectation);
  ExpectPushes(expectation, Join(arguments));
  if (expectation.kind == Expectation::Kind::kNone) return;
  client->expected.push_back({.expectation = std::move(expectation), .command = Join(arguments)});
}

bool Judge::MayBeLeaving(const Client& client) const {
  if (client.ended || client.half_closed || server_stops_) return true;
  for (const Unit& unit : client.sent) {
    if (unit.kind != Unit::Kind::kSilent) return unit.kind == Unit::Kind::kError;
  }
  return false;
}

void Judge::ExpectPushes(Expectation& expectation, const std::string& command) {
  int64_t in_doubt = 0;
  for (Expectation::Push& push : expectation.pushes) {
    Client* receiver = Find(push.connection);
    ORRERY_CHECK(receiver != nullptr);
    const bool optional = expectation.about_listeners && MayBeLeaving(*receiver);
    if (optional) ++in_doubt;
    if (receiver->ended) continue;
    Expectation expected{.kind = Expectation::Kind::kExact, .bytes = std::move(push.bytes)};
    receiver->expected.push_back(
        {.expectation = std::move(expected), .command = command, .optional = optional});
  }
  if (!expectation.about_listeners) return;
  if (expectation.kind == Expectation::Kind::kInteger) {
    expectation.low -= in_doubt;
    return;
  }
  // Who is counted among the listeners is uncertain as soon as one of them is leaving.
  const bool uncertain = std::ranges::any_of(clients_, [this](const auto& entry) {
    return MayBeLeaving(entry.second) && entry.second.session.listens();
  });
  if (!uncertain || expectation.kind == Expectation::Kind::kNone) return;
  const bool array =
      expectation.kind == Expectation::Kind::kAnyOrder || expectation.bytes.starts_with('*');
  expectation = {.kind = Expectation::Kind::kPrefix, .bytes = array ? "*" : ":"};
}

void Judge::CheckOutput(uint64_t connection, size_t output_bytes, size_t output_max) {
  if (output_bytes < output_max) return;
  Violate("executed-while-full", connection,
          std::to_string(output_bytes) + " bytes wait to be sent, more than " +
              std::to_string(output_max) + " may not");
}

void Judge::OnExpired(const std::string& key, int64_t expires_at_ms, Moment now) {
  if (now.wall_ms <= expires_at_ms) {
    log_.ReportViolation("expired-early",
                         Printable(key) + " expires at " + std::to_string(expires_at_ms) +
                             " ms, the wall clock is at " + std::to_string(now.wall_ms),
                         0);
  }
  model_.Forget(key, expires_at_ms);
}

void Judge::Kill(uint64_t connection, const Expectation& expectation) {
  if (!connection_of_id_) return;
  const std::optional<uint64_t> victim = connection_of_id_(*expectation.kills);
  Client* client = victim ? Find(*victim) : nullptr;
  if (client == nullptr) return;
  if (*victim != connection) {
    client->killed = true;
    model_.Leave(client->session);
  } else if (!expectation.spares_itself) {
    client->session.quit = true;  // It gets the reply, and then the end.
    model_.Leave(client->session);
  }
}

bool Judge::AnythingOutstanding() const {
  for (const auto& [connection, client] : clients_) {
    if (!client.ended && Unanswered(client)) return true;
  }
  return false;
}

bool Judge::Outstanding(uint64_t connection) const {
  const auto found = clients_.find(connection);
  return found != clients_.end() && !found->second.ended && Unanswered(found->second);
}

bool Judge::ServerEnds(uint64_t connection) const {
  const auto found = clients_.find(connection);
  if (found == clients_.end()) return false;
  const Client& client = found->second;
  return server_stops_ || client.killed || client.refused || client.half_closed ||
         client.session.quit || client.error_received || EndsSilently(client);
}

void Judge::CheckNothingOutstanding() {
  for (const auto& [connection, client] : clients_) {
    if (client.ended || !Unanswered(client)) continue;
    std::string_view invariant = "liveness/no-error-reply";
    std::string what = "bad input has no error reply";
    if (Owes(client)) {
      invariant = "liveness/no-reply";
      what = "no reply to " + client.expected.front().command + ", which was executed";
    } else if (client.sent.front().kind == Unit::Kind::kCommand) {
      invariant = "liveness/never-executed";
      what = Join(client.sent.front().arguments) + " was sent completely and never executed";
    }
    Violate(invariant, connection, what);
    return;
  }
}

Judge::Client* Judge::Find(uint64_t connection) {
  const auto found = clients_.find(connection);
  return found == clients_.end() ? nullptr : &found->second;
}

bool Judge::Owes(const Client& client) {
  return std::ranges::any_of(client.expected,
                             [](const Pending& pending) { return !pending.optional; });
}

void Judge::SkipSilent(Client& client) {
  while (!client.sent.empty() && client.sent.front().kind == Unit::Kind::kSilent) {
    client.sent.pop_front();
  }
}

bool Judge::EndsSilently(const Client& client) {
  if (!client.session.replies_off && !client.session.skips) return false;
  for (const Unit& unit : client.sent) {
    if (unit.kind != Unit::Kind::kSilent) return unit.kind == Unit::Kind::kError;
  }
  return false;
}

bool Judge::Unanswered(const Client& client) {
  if (client.killed || client.refused) return false;
  if (Owes(client)) return true;
  if (client.session.quit || client.error_received || EndsSilently(client)) return false;
  for (const Unit& unit : client.sent) {
    if (unit.kind != Unit::Kind::kSilent) return true;
  }
  return false;
}

void Judge::CheckId(uint64_t connection, Client& client, std::string_view reply) {
  const int64_t id = IntegerIn(reply).value_or(0);
  const auto [found, added] = connections_by_id_.emplace(id, connection);
  if (!added && found->second != connection) {
    Violate("connection-id", connection,
            "CLIENT ID " + std::to_string(id) + " is that of connection " +
                std::to_string(found->second));
  } else if (client.id != 0 && client.id != id) {
    Violate("connection-id", connection,
            "CLIENT ID was " + std::to_string(client.id) + ", now " + std::to_string(id));
  }
  client.id = id;
}

void Judge::Violate(std::string_view invariant, uint64_t connection, std::string detail) {
  const Client* client = Find(connection);
  const std::string who =
      client == nullptr ? "" : "client " + std::to_string(client->client) + ": ";
  log_.ReportViolation(invariant, who + detail, connection);
}

}  // namespace orrery::scenarios

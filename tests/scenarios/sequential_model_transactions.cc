// What transactions must answer: MULTI to EXEC, and WATCH.

#include <algorithm>
#include <array>
#include <utility>

#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

constexpr std::array<std::string_view, 7> kRunInMulti = {"multi", "exec",  "discard", "watch",
                                                         "quit",  "reset", "debug"};

void End(SequentialModel::Connection& connection) {
  connection.queues = connection.refused = false;
  connection.queued.clear();
  connection.watched.clear();
}

}  // namespace

bool SequentialModel::RunsInMulti(std::string_view name) {
  return std::ranges::find(kRunInMulti, name) != kRunInMulti.end();
}

std::optional<Expectation> SequentialModel::Refusal(
    const Call& call, const std::expected<Named, Expectation>& named) const {
  if (!named) return named.error();
  const std::string name = call.word(0);
  if (auto refusal = Prohibition(call, name)) return refusal;
  if (auto refusal = RefusalOfListener(call, named->name)) return refusal;
  if (call.connection.queues && name == "shutdown") {
    return Error("ERR Command not allowed inside a transaction");
  }
  return std::nullopt;
}

Expectation SequentialModel::ExecuteOrQueue(Call& call) {
  Connection& connection = call.connection;
  const std::string name = call.word(0);
  const std::expected<Named, Expectation> named = Resolve(call.arguments);
  std::optional<Expectation> refusal = Refusal(call, named);
  if (refusal) {
    connection.refused = connection.queues;
    if (name != "exec") return *std::move(refusal);
    End(connection);
    std::string_view reason = std::string_view(refusal->bytes).substr(1);
    if (reason.starts_with("ERR ")) reason.remove_prefix(4);
    return Exact("-EXECABORT Transaction discarded because of: " + std::string(reason));
  }
  if (!connection.queues || RunsInMulti(name)) return (this->*named->command->execute)(call);
  connection.queued.push_back(call.arguments);
  return Exact("+QUEUED\r\n");
}

Expectation SequentialModel::Multi(Call& call) {
  if (call.connection.queues) return Error("ERR MULTI calls can not be nested");
  call.connection.queues = true;
  return Ok();
}

Expectation SequentialModel::Discard(Call& call) {
  if (!call.connection.queues) return Error("ERR DISCARD without MULTI");
  End(call.connection);
  return Ok();
}

Expectation SequentialModel::Watch(Call& call) {
  if (call.connection.queues) return Error("ERR WATCH inside MULTI is not allowed");
  for (size_t index = 1; index < call.count(); ++index) {
    const std::string& key = call.at(index);
    const bool there = Peek(key, call.now_ms) != nullptr;
    // What has expired goes at once: for this client, that is no change.
    if (!there && values_.erase(key) > 0) Change(key);
    call.connection.watched.try_emplace(
        key, Connection::Watched{.changes = changes_[key], .there = there});
  }
  return Ok();
}

Expectation SequentialModel::Unwatch(Call& call) {
  call.connection.watched.clear();
  return Ok();
}

Expectation SequentialModel::Exec(Call& call) {
  Connection& connection = call.connection;
  if (!connection.queues) return Error("ERR EXEC without MULTI");
  const bool changed = std::ranges::any_of(connection.watched, [&](const auto& entry) {
    const auto& [key, watched] = entry;
    return changes_[key] != watched.changes || (watched.there && !Peek(key, call.now_ms));
  });
  const bool refused = connection.refused;
  const std::vector<std::vector<std::string>> queued = std::move(connection.queued);
  End(connection);
  if (refused) return Error("EXECABORT Transaction discarded because of previous errors.");
  if (changed) return Exact(connection.protocol == 3 ? "_\r\n" : "*-1\r\n");
  Expectation expectation{.kind = Expectation::Kind::kArray, .bytes = {}};
  for (const std::vector<std::string>& arguments : queued) {
    Call one{.connection = connection,
             .arguments = arguments,
             .now_ms = call.now_ms,
             .monotonic_ms = call.monotonic_ms};
    expectation.elements.push_back((this->*Resolve(arguments)->command->execute)(one));
  }
  return expectation;
}

}  // namespace orrery::scenarios

#include "tests/scenarios/limits_judge.h"

#include <algorithm>

namespace orrery::scenarios {

void LimitsJudge::OnServed(uint64_t connection) {
  clients_[connection].active_at.push_back(log_.now());
}

void LimitsJudge::OnGone(uint64_t connection) { clients_.erase(connection); }

void LimitsJudge::OnActivity(uint64_t connection) {
  const auto found = clients_.find(connection);
  if (found == clients_.end()) return;
  std::deque<Nanoseconds>& times = found->second.active_at;
  times.push_back(log_.now());
  while (times.size() >= 2 && times[1] <= log_.now() - kRace) times.pop_front();
}

Nanoseconds LimitsJudge::IdleSince(const Record& record) const {
  Nanoseconds since = record.active_at.front();
  for (const Nanoseconds time : record.active_at) {
    if (time <= log_.now() - kRace) since = time;
  }
  return since;
}

bool LimitsJudge::IsOver(const server::OutputLimit& limit, const Record& record,
                         size_t output_bytes) const {
  if (limit.hard_bytes != 0 && output_bytes >= limit.hard_bytes) return true;
  return limit.soft_bytes != 0 && output_bytes >= limit.soft_bytes &&
         log_.now() - record.over_soft_limit_since.value_or(log_.now()) >=
             limit.soft_seconds * kSecond;
}

void LimitsJudge::OnCutOff(uint64_t connection, const server::Client& client,
                           server::CutReason reason, const server::ClientMemory& memory) {
  const auto found = clients_.find(connection);
  if (found == clients_.end()) return Violate("cut-off/twice", connection, 0, memory);
  const Nanoseconds idle = log_.now() - IdleSince(found->second);
  switch (reason) {
    case server::CutReason::kIdle:
      if (client.subscriber != nullptr || config_.idle_seconds_max == 0 ||
          idle < idle_seconds_max()) {
        Violate("cut-off/active", connection, idle, memory);
      }
      break;
    case server::CutReason::kInput:
      if (memory.input_bytes + memory.transaction_bytes <= config_.input_bytes_max) {
        Violate("cut-off/small", connection, idle, memory);
      }
      break;
    case server::CutReason::kOutput:
      if (!IsOver(LimitOf(client), found->second, memory.output_bytes)) {
        Violate("cut-off/small", connection, idle, memory);
      }
      break;
  }
  clients_.erase(found);
}

void LimitsJudge::OnHeld(uint64_t connection, const server::Client& client,
                         const server::ClientMemory& memory) {
  // The server looks at its clients from time to time, and may have to ask twice.
  constexpr Nanoseconds kSlack = 1 * kSecond;
  constexpr int kLooks = 3;
  const auto found = clients_.find(connection);
  if (found == clients_.end()) return;
  Record& record = found->second;
  const server::OutputLimit& limit = LimitOf(client);
  const Nanoseconds idle = log_.now() - std::max(IdleSince(record), paused_at_);
  if (client.subscriber == nullptr && config_.idle_seconds_max != 0 &&
      idle > kLooks * idle_seconds_max() + kSlack) {
    return Violate("not-cut-off/idle", connection, idle, memory);
  }
  if (limit.hard_bytes != 0 && memory.output_bytes >= limit.hard_bytes) {
    return Violate("not-cut-off/output", connection, idle, memory);
  }
  if (limit.soft_bytes == 0 || memory.output_bytes < limit.soft_bytes) {
    record.over_soft_limit_since.reset();
    return;
  }
  if (!record.over_soft_limit_since) record.over_soft_limit_since = log_.now();
  // One whose output moves may have been below the limit in between.
  if (idle > limit.soft_seconds * kSecond + kSlack &&
      log_.now() - *record.over_soft_limit_since > limit.soft_seconds * kSecond + kSlack) {
    Violate("not-cut-off/output", connection, idle, memory);
  }
}

void LimitsJudge::Violate(std::string_view invariant, uint64_t connection, Nanoseconds idle,
                          const server::ClientMemory& memory) {
  log_.ReportViolation(invariant,
                       "idle for " + std::to_string(idle / kMillisecond) + " ms, " +
                           std::to_string(memory.output_bytes) + " bytes to be sent, " +
                           std::to_string(memory.input_bytes) + " received and not processed",
                       connection);
}

}  // namespace orrery::scenarios

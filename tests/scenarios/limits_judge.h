// Watches what clients cost a server that limits it, and says whether it cuts off those who cost
// too much, and nobody else.
//
// It knows from the kernel when bytes of a connection moved, and from the server what it holds for
// each client after each turn. Its rules, by name:
//   cut-off/active        a client is cut off for its idleness, and was not idle
//   cut-off/small         ... for its output or input, and was within its limits
//   not-cut-off/idle      a client is idle for long and stays
//   not-cut-off/output    a client has more to get than it may, and stays
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "server/client.h"
#include "server/config.h"
#include "server/server_context.h"
#include "sim/event_log.h"

namespace orrery::scenarios {

class LimitsJudge {
 public:
  // `log`, whose time is that of each call, must outlive the judge.
  LimitsJudge(sim::EventLog& log, const server::ServerConfig& config)
      : log_(log), config_(config) {}
  LimitsJudge(const LimitsJudge&) = delete;
  LimitsJudge& operator=(const LimitsJudge&) = delete;

  // Bytes of the connection moved, in either direction.
  void OnActivity(uint64_t connection);
  void OnServed(uint64_t connection);
  void OnGone(uint64_t connection);
  void OnCutOff(uint64_t connection, const server::Client& client, server::CutReason reason,
                const server::ClientMemory& memory);
  // After a turn: what the server holds for a client that it has not given up.
  void OnHeld(uint64_t connection, const server::Client& client,
              const server::ClientMemory& memory);
  // After a turn in which commands are held back: who waits for that is not idle.
  void OnPause() { paused_at_ = log_.now(); }

  // Whether anything has to be watched.
  bool limits_clients() const {
    return config_.idle_seconds_max != 0 ||
           config_.output_limits != server::ServerConfig().output_limits;
  }

 private:
  struct Record {
    // When bytes moved, without those times that later ones make irrelevant.
    std::deque<Nanoseconds> active_at;
    std::optional<Nanoseconds> over_soft_limit_since;
  };

  // Whose bytes the kernel moves while the server decides is cut off all the same; and how much of
  // an argument has come the server learns by asking.
  static constexpr Nanoseconds kRace = 2 * kMillisecond;

  const server::OutputLimit& LimitOf(const server::Client& client) const {
    return config_.output_limits[static_cast<size_t>(client.client_class())];
  }
  Nanoseconds idle_seconds_max() const { return config_.idle_seconds_max * kSecond; }
  Nanoseconds IdleSince(const Record& record) const;
  bool IsOver(const server::OutputLimit& limit, const Record& record, size_t output_bytes) const;
  void Violate(std::string_view invariant, uint64_t connection, Nanoseconds idle,
               const server::ClientMemory& memory);

  sim::EventLog& log_;
  const server::ServerConfig config_;
  std::map<uint64_t, Record> clients_;  // Those that are served and not cut off.
  Nanoseconds paused_at_ = 0;
};

}  // namespace orrery::scenarios

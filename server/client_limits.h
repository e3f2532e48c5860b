// What a client may cost: how much may wait to be sent to it, and how long it may be idle.
//
// Output is looked at when it has grown. Time is looked at when the client's timer fires, and an
// active client does not move its timer: one that fires too early is set anew. So the limits cost
// nothing per command, and a client is looked at once in a `timeout`, however many there are.
// Owned by the shard, used by its thread only. Invariant: a client that one of the limits in time
// holds for has a timer that fires no later than that limit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "runtime/operations/timing_wheel.h"
#include "server/config.h"
#include "server/session.h"

namespace orrery::server {

class ClientLimits {
 public:
  // `config` must outlive this, and so must each session until it is removed.
  explicit ClientLimits(const ServerConfig& config) : config_(config) {}
  ClientLimits(const ClientLimits&) = delete;
  ClientLimits& operator=(const ClientLimits&) = delete;

  void Add(Session& session) { LookAt(session, IdleDeadline(session)); }
  void Remove(Session& session) {
    if (session.limits != nullptr && session.limits->running()) wheel_.Remove(*session.limits);
  }
  // The limits have changed: it is looked at in the next Advance(). To be called for each session.
  void Reconsider(Session& session, Nanoseconds now) { LookAt(session, now); }

  // To be asked when more waits to be sent to the client, and, while it is over its soft limit,
  // when less does. False: it is to be cut off.
  [[nodiscard]] bool OutputFits(Session& session, Nanoseconds now);
  // As OutputFits() has last seen it.
  static bool IsKnownOverSoftLimit(const Session& session) {
    return session.limits != nullptr && session.limits->over_soft_limit_since != kNever;
  }

  enum class Verdict : uint8_t {
    kStays,
    kAsk,     // An argument is being received: the shard asks how much of it has come.
    kIdle,    // To be cut off, for its idleness
    kOutput,  // or for its output.
  };

  // Calls act(Session&, Verdict) for every client about which something is to be done. Returns when
  // to call it again.
  template <typename Act>
  Nanoseconds Advance(Nanoseconds now, Act act) {
    if (wheel_.size() == 0) return kNever;
    wheel_.Advance(now, [&](Timer& timer) {
      Session& session = static_cast<LimitState&>(timer).session;
      const Decision decision = Judge(session, now);
      LookAt(session, decision.next_look);
      if (decision.verdict != Verdict::kStays) act(session, decision.verdict);
    });
    return wheel_.NextAt();
  }

 private:
  // How long the kernel usually takes to tell how much of an argument has come.
  static constexpr Nanoseconds kAnswerTime = 1 * kMillisecond;

  struct Decision {
    Verdict verdict;
    Nanoseconds next_look = kNever;
  };

  const OutputLimit& LimitOf(const Session& session) const {
    return config_.output_limits[static_cast<size_t>(session.client.client_class())];
  }
  bool IsOverHardLimit(const Session& session) const;
  bool IsOverSoftLimit(const Session& session) const;
  Decision Judge(Session& session, Nanoseconds now) const;
  Decision JudgeIdleness(Session& session, Nanoseconds now) const;
  // kNever: no limit holds.
  Nanoseconds IdleDeadline(const Session& session) const;
  Nanoseconds SoftDeadline(const Session& session) const;
  static LimitState& StateOf(Session& session);
  // Its timer fires at `time` at the latest.
  void LookAt(Session& session, Nanoseconds time);

  const ServerConfig& config_;
  TimingWheel wheel_;
};

}  // namespace orrery::server

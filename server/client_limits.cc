#include "server/client_limits.h"

#include <algorithm>

#include "base/mark.h"

namespace orrery::server {

bool ClientLimits::OutputFits(Session& session, Nanoseconds now) {
  if (IsOverHardLimit(session)) return false;
  if (!IsOverSoftLimit(session)) {
    if (!IsKnownOverSoftLimit(session)) return true;
    ORRERY_MARK("limits.below-the-soft-limit-again");
    session.limits->over_soft_limit_since = kNever;
  } else if (!IsKnownOverSoftLimit(session)) {
    StateOf(session).over_soft_limit_since = now;
    LookAt(session, SoftDeadline(session));
  }
  return true;
}

bool ClientLimits::IsOverHardLimit(const Session& session) const {
  const uint64_t hard_bytes = LimitOf(session).hard_bytes;
  return hard_bytes != 0 && session.connection.output().size_bytes() >= hard_bytes;
}

bool ClientLimits::IsOverSoftLimit(const Session& session) const {
  const uint64_t soft_bytes = LimitOf(session).soft_bytes;
  return soft_bytes != 0 && session.connection.output().size_bytes() >= soft_bytes;
}

ClientLimits::Decision ClientLimits::Judge(Session& session, Nanoseconds now) const {
  // One that is finishing has the reactor's limits.
  if (!session.connection.open()) return {.verdict = Verdict::kStays};
  if (!IsOverSoftLimit(session)) session.limits->over_soft_limit_since = kNever;
  const Nanoseconds soft_deadline = SoftDeadline(session);
  ORRERY_MARK_IF(now >= soft_deadline, "limits.output-for-too-long");
  if (IsOverHardLimit(session) || now >= soft_deadline) return {.verdict = Verdict::kOutput};
  Decision decision = JudgeIdleness(session, now);
  decision.next_look = std::min(decision.next_look, soft_deadline);
  return decision;
}

ClientLimits::Decision ClientLimits::JudgeIdleness(Session& session, Nanoseconds now) const {
  LimitState& state = *session.limits;
  const Nanoseconds deadline = IdleDeadline(session);
  if (now < deadline) {
    state.asked = false;
    return {.verdict = Verdict::kStays, .next_look = deadline};
  }
  // Subscribers wait for what others say, who is held back for the end of a pause, and others for
  // the answer of another shard.
  if (session.client.client_class() == ClientClass::kPubSub || session.paused_link.linked() ||
      session.client.owes_replies()) {
    return {.verdict = Verdict::kStays, .next_look = now + config_.idle_seconds_max * kSecond};
  }
  if (session.connection.body() != nullptr &&
      (!state.asked || session.connection.asked_about_body())) {
    ORRERY_MARK("limits.idle-in-the-middle-of-an-argument");
    state.asked = true;
    return {.verdict = Verdict::kAsk, .next_look = now + kAnswerTime};
  }
  return {.verdict = Verdict::kIdle};
}

Nanoseconds ClientLimits::IdleDeadline(const Session& session) const {
  if (config_.idle_seconds_max == 0) return kNever;
  return session.connection.last_progress() + config_.idle_seconds_max * kSecond;
}

Nanoseconds ClientLimits::SoftDeadline(const Session& session) const {
  if (!IsKnownOverSoftLimit(session)) return kNever;
  return session.limits->over_soft_limit_since + LimitOf(session).soft_seconds * kSecond;
}

LimitState& ClientLimits::StateOf(Session& session) {
  if (session.limits == nullptr) session.limits = std::make_unique<LimitState>(session);
  return *session.limits;
}

void ClientLimits::LookAt(Session& session, Nanoseconds time) {
  if (time == kNever) return;
  LimitState& state = StateOf(session);
  if (state.running() && state.deadline() <= time) return;
  Remove(session);
  wheel_.Add(state, time);
}

}  // namespace orrery::server

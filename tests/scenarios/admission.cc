#include "tests/scenarios/admission.h"

#include "base/check.h"

namespace orrery::scenarios {

void Admission::NextStep() {
  if (full()) last_full_ = step_;
  ++step_;
}

void Admission::SetClientsMax(uint64_t clients_max) {
  NextStep();
  clients_max_ = clients_max;
}

void Admission::OnAccepted(uint64_t connection) {
  NextStep();
  ++open_;
  const Connection accepted{
      .accepted_at = step_,
      .beyond_connections_max = open_ + closes_.size() > connections_max_,
  };
  const bool added = connections_.emplace(connection, accepted).second;
  ORRERY_CHECK_MSG(added, "a connection was accepted twice");
}

bool Admission::OnServed(uint64_t connection) {
  NextStep();
  const auto found = connections_.find(connection);
  ORRERY_CHECK_MSG(found != connections_.end(), "the server serves a connection that nobody made");
  found->second.served = true;
  ++served_;
  if (!found->second.closed) ++served_open_;
  return served_open_ <= clients_max_;
}

void Admission::OnGone(uint64_t connection) {
  const auto found = connections_.find(connection);
  ORRERY_CHECK_MSG(found != connections_.end() && found->second.served && !found->second.gone,
                   "the server ceases to serve a connection that it did not serve");
  NextStep();
  found->second.gone = true;
  --served_;
}

void Admission::OnClosed(uint64_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;  // Closed before it was accepted.
  Connection& closed = found->second;
  closed.was_full = FullSince(closed.accepted_at);
  closed.closed = true;
  NextStep();
  --open_;
  closes_.push_back(turn_);
  if (closed.served) --served_open_;
}

void Admission::OnTurn() {
  ++turn_;
  while (!closes_.empty() && closes_.front() + kTurnsToSee <= turn_) closes_.pop_front();
}

bool Admission::MayRefuse(uint64_t connection) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end() || found->second.served) return false;
  const Connection& refused = found->second;
  return refused.closed ? refused.was_full : FullSince(refused.accepted_at);
}

bool Admission::MayDrop(uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found != connections_.end() && !found->second.served &&
         found->second.beyond_connections_max;
}

}  // namespace orrery::scenarios

#include "sim/event_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/prng.h"
#include "sim/transcript.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;

// Whether bytes, a connection or an end moved: an attempt that moved nothing is none.
bool IsMovement(const Event& event) {
  if (event.kind == EventKind::kPeer) {
    const bool read = event.a == static_cast<int64_t>(model::PeerAction::kRead);
    return read ? event.b != 0 : event.a != 0;
  }
  if (event.kind == EventKind::kSent || event.kind == EventKind::kReceived) return event.a != 0;
  return IsAboutConnection(event.kind);
}

bool IsActivity(const Event& event) {
  switch (event.kind) {
    case EventKind::kEnter:
    case EventKind::kReturn:
    case EventKind::kFault:
      return false;
    case EventKind::kPeer:
      return IsMovement(event);
    default:
      return true;
  }
}

}  // namespace

uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = Combine(0, bytes.size());
  for (size_t start = 0; start < bytes.size(); start += 8) {
    uint64_t word = 0;
    const size_t length = std::min<size_t>(8, bytes.size() - start);
    for (size_t index = 0; index < length; ++index) {
      word |= uint64_t{static_cast<unsigned char>(bytes[start + index])} << (8 * index);
    }
    hash = Combine(hash, word);
  }
  return hash;
}

void EventLog::OnEvent(const Event& event) {
  Fold(static_cast<uint64_t>(event.kind), event, 0);
  const bool about_connection = IsAboutConnection(event.kind);
  if (IsMovement(event)) ++progress_;
  if (IsActivity(event)) ++activity_;
  Keep({.number = count_, .hash = hash_, .time = now_, .event = event, .note = {}, .text = {}},
       about_connection ? std::optional(event.entity) : std::nullopt);
}

void EventLog::OnViolation(std::string_view invariant, std::string_view detail) {
  Violate({.invariant = std::string(invariant),
           .cause = {},
           .detail = std::string(detail),
           .time = now_,
           .event = count_});
}

void EventLog::OnSqe(const io_uring_sqe& sqe) {
  if (transcript_ != nullptr) transcript_->OnSqe(sqe);
}

void EventLog::OnBytes(std::span<const std::byte> bytes) {
  if (transcript_ != nullptr) transcript_->OnBytes(bytes);
}

void EventLog::Note(std::string_view name, uint64_t connection, int64_t a, int64_t b,
                    std::string_view text) {
  const Event event{.kind = {}, .entity = connection, .a = a, .b = b, .c = 0};
  Fold(kNoteKind, event, Combine(HashBytes(name), HashBytes(text)));
  ++progress_;
  ++activity_;
  static constexpr size_t kTextMax = 120;
  Keep({.number = count_,
        .hash = hash_,
        .time = now_,
        .event = event,
        .note = name,
        .text = std::string(text.substr(0, kTextMax))},
       connection);
}

void EventLog::ReportViolation(std::string_view invariant, std::string_view detail,
                               uint64_t connection) {
  Violate({.invariant = std::string(invariant),
           .cause = {},
           .detail = std::string(detail),
           .time = now_,
           .event = count_,
           .connection = connection,
           .has_connection = true});
}

uint64_t EventLog::count(EventKind kind) const {
  const auto found = count_by_kind_.find(static_cast<uint64_t>(kind));
  return found == count_by_kind_.end() ? 0 : found->second;
}

std::vector<LoggedEvent> EventLog::Recent(size_t events_max) const {
  const size_t events = std::min(events_max, recent_.size());
  return {recent_.end() - static_cast<ptrdiff_t>(events), recent_.end()};
}

std::vector<LoggedEvent> EventLog::RecentOf(uint64_t connection, size_t events_max) const {
  const auto found = recent_by_connection_.find(connection);
  if (found == recent_by_connection_.end()) return {};
  const size_t events = std::min(events_max, found->second.size());
  return {found->second.end() - static_cast<ptrdiff_t>(events), found->second.end()};
}

void EventLog::Fold(uint64_t kind, const Event& event, uint64_t text_hash) {
  const std::array<uint64_t, 7> words = {
      static_cast<uint64_t>(now_),
      kind,
      event.entity,
      static_cast<uint64_t>(event.a),
      static_cast<uint64_t>(event.b),
      static_cast<uint64_t>(event.c),
      text_hash,
  };
  for (const uint64_t word : words) hash_ = Combine(hash_, word);
  ++count_by_kind_[kind];
  if (++count_ == limits_.events_max) {
    OnViolation("endless", fmt::format("the run has not ended after {} events", count_));
  }
}

void EventLog::Keep(const LoggedEvent& event, std::optional<uint64_t> connection) {
  if (transcript_ != nullptr) transcript_->OnEvent(event);
  recent_.push_back(event);
  if (recent_.size() > limits_.recent_max) recent_.pop_front();
  if (!connection.has_value()) return;
  std::deque<LoggedEvent>& mine = recent_by_connection_[*connection];
  mine.push_back(event);
  if (mine.size() > limits_.recent_per_connection_max) mine.pop_front();
}

void EventLog::Violate(Violation violation) {
  if (violation_.has_value()) return;
  if (const size_t slash = violation.invariant.find('/'); slash != std::string::npos) {
    violation.cause = violation.invariant.substr(slash + 1);
    violation.invariant.resize(slash);
  }
  violation_ = std::move(violation);
}

}  // namespace orrery::sim

// What happened in a run: a rolling hash over every event, the last events for people to read, and
// the first violation.
//
// The hash is the identity of a run: same plan, same hash, in every build. It is exactly this: it
// starts at 0, and every event folds seven 64-bit words into it by hash = Combine(hash, word): the
// virtual time, the kind, the entity, a, b, c (signed ones in two's complement), and a hash of the
// text (0 when there is none). A note's kind is kNoteKind, and its name belongs to the text.
// Nothing else enters it, so how many events are kept for reading changes nothing.
//
// Owned by the run, used by its one thread. Invariant: after the first violation the log still
// counts and hashes, but keeps that first violation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "kernel_model/observer.h"
#include "sim/logged_event.h"

namespace orrery::sim {

class Transcript;

// The kind that a note hashes as.
inline constexpr uint64_t kNoteKind = 0xff;

// Hashes bytes: folds in the length, then the bytes as little-endian 64-bit words, the last one
// filled up with zeros.
uint64_t HashBytes(std::string_view bytes);

// A broken rule: of the ring, or of the scenario.
struct Violation {
  std::string invariant;    // A short stable name, e.g. "provided-buffer-published-twice".
  std::string cause;        // Which of its cases, where the rule has several; as stable, or empty.
  std::string detail;       // What was seen.
  Nanoseconds time = 0;     // Virtual time.
  uint64_t event = 0;       // How many events had happened.
  uint64_t connection = 0;  // The connection concerned: its number in events, when has_connection.
  bool has_connection = false;
};

class EventLog final : public model::Observer {
 public:
  struct Limits {
    // More than any run that ends; as many are the violation "endless".
    uint64_t events_max = 100'000'000;
    // How many events are kept: of the whole run, and of each connection.
    size_t recent_max = 256;
    size_t recent_per_connection_max = 64;
  };

  EventLog() : EventLog(Limits{}) {}
  // With a transcript everything is written there as well. It must outlive the log.
  explicit EventLog(const Limits& limits, Transcript* transcript = nullptr)
      : limits_(limits), transcript_(transcript) {}
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // --- model::Observer.
  void OnEvent(const model::Event& event) override;
  void OnViolation(std::string_view invariant, std::string_view detail) override;
  void OnSqe(const io_uring_sqe& sqe) override;
  void OnBytes(std::span<const std::byte> bytes) override;

  // The virtual time of what comes next. Called by the world when its clock moves.
  void set_now(Nanoseconds now) { now_ = now; }
  Nanoseconds now() const { return now_; }

  // An event of the scenario, above the model: `name` must live as long as the log (a literal).
  // `connection` is a connection's number as in the model's events.
  void Note(std::string_view name, uint64_t connection, int64_t a, int64_t b,
            std::string_view text = {});
  // A broken rule of the scenario on one connection. Here and in OnViolation(), a rule that has
  // several cases is named with the one that was met: "liveness/never-executed".
  void ReportViolation(std::string_view invariant, std::string_view detail, uint64_t connection);

  uint64_t hash() const { return hash_; }
  // Events so far.
  uint64_t count() const { return count_; }
  // Events that show that something moves: bytes, connections, notes. Submissions, completions and
  // entering the kernel are none: a shard that spins makes plenty of those.
  uint64_t progress() const { return progress_; }
  // Events that may matter to somebody who waits: all but entering and leaving the kernel, faults,
  // and attempts of peers that moved nothing.
  uint64_t activity() const { return activity_; }
  // Events of one kind.
  uint64_t count(model::EventKind kind) const;
  const std::optional<Violation>& violation() const { return violation_; }
  // Null for none.
  Transcript* transcript() const { return transcript_; }

  // The last events, oldest first: of the run, and of one connection. At most `events_max` of those
  // kept.
  std::vector<LoggedEvent> Recent(size_t events_max) const;
  std::vector<LoggedEvent> RecentOf(uint64_t connection, size_t events_max) const;

 private:
  void Fold(uint64_t kind, const model::Event& event, uint64_t text_hash);
  void Keep(const LoggedEvent& event, std::optional<uint64_t> connection);
  void Violate(Violation violation);

  Limits limits_;
  Transcript* transcript_;
  Nanoseconds now_ = 0;
  uint64_t hash_ = 0;
  uint64_t count_ = 0;
  uint64_t progress_ = 0;
  uint64_t activity_ = 0;
  std::map<uint64_t, uint64_t> count_by_kind_;
  std::optional<Violation> violation_;
  std::deque<LoggedEvent> recent_;
  std::map<uint64_t, std::deque<LoggedEvent>> recent_by_connection_;
};

}  // namespace orrery::sim

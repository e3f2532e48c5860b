// Everything that happened in a run, with what the event log has no room for: the SQEs, the bytes,
// how much freedom each choice had, and what the world decided. For pictures of a run, and for
// walking through it; a run without a transcript pays nothing for it.
//
// Filled by the run's EventLog, World and TranscriptChoice, on the run's thread. Invariant: nothing
// in here flows back into the run, so the same plan has the same hash with and without a
// transcript.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/logged_event.h"

namespace orrery::sim {

// Names and values, for people.
using Facts = std::vector<std::pair<std::string, std::string>>;

struct TranscriptEntry {
  LoggedEvent event;
  // Of a kSubmit. It holds addresses: print it with FactsOf().
  std::optional<io_uring_sqe> sqe;
  // The first of the bytes that the event moved; how many there were is in the event.
  std::string bytes;
  // Of a kFault: how many answers there were.
  uint64_t alternatives = 0;
};

// What the world decided, and the model knows nothing of: who goes first, when an interrupt comes.
struct WorldChoice {
  uint64_t after_event = 0;  // It was decided between this event and the next.
  PlannedChoice choice;
  uint64_t alternatives = 0;
};

// A shard and its ring, by their numbers in choices and in events.
struct ShardOfRing {
  uint64_t shard = 0;
  uint64_t ring = 0;
};

class Transcript {
 public:
  struct Limits {
    // The last of the events, which are those before a failure.
    size_t entries_max = 200'000;
    // Of each event.
    size_t bytes_max = 256;
  };

  Transcript() : Transcript(Limits{}) {}
  explicit Transcript(const Limits& limits) : limits_(limits) {}
  Transcript(const Transcript&) = delete;
  Transcript& operator=(const Transcript&) = delete;

  // --- For the run.
  void OnSqe(const io_uring_sqe& sqe) { sqe_ = sqe; }
  void OnBytes(std::span<const std::byte> bytes);
  void OnEvent(const LoggedEvent& event);
  void OnChoice(const PlannedChoice& choice, uint64_t alternatives);
  void OnShard(uint64_t shard, uint64_t ring) { shards_.push_back({shard, ring}); }

  // --- A question to the world: what it looks like after the step in which an event happens. Asked
  // before the run, about a connection as well if one is given; the world answers on its way.
  void AskWorld(uint64_t event, std::optional<uint64_t> connection) {
    asked_ = Question{.event = event, .connection = connection};
  }
  // For the world: whether it has to answer now that so many events have happened.
  bool WantsAnswer(uint64_t events) const {
    return asked_.has_value() && !answered_ && events >= asked_->event;
  }
  std::optional<uint64_t> asked_connection() const { return asked_->connection; }
  void Answer(Facts answer) {
    answer_ = std::move(answer);
    answered_ = true;
  }
  // Empty when nobody has answered.
  const Facts& answer() const { return answer_; }

  // --- For readers.
  const std::deque<TranscriptEntry>& entries() const { return entries_; }
  const std::deque<WorldChoice>& world_choices() const { return world_choices_; }
  const std::vector<ShardOfRing>& shards() const { return shards_; }
  // Events before the first entry.
  uint64_t left_out() const { return left_out_; }

 private:
  struct Question {
    uint64_t event = 0;
    std::optional<uint64_t> connection;
  };

  Limits limits_;
  std::deque<TranscriptEntry> entries_;
  std::deque<WorldChoice> world_choices_;
  std::vector<ShardOfRing> shards_;
  uint64_t left_out_ = 0;
  // Of the next event.
  std::optional<io_uring_sqe> sqe_;
  std::string bytes_;
  std::optional<WorldChoice> choice_;  // Until it is known to be the world's.
  std::optional<Question> asked_;
  bool answered_ = false;
  Facts answer_;
};

// Passes on another's answers and notes those that are not benign in a transcript.
class TranscriptChoice final : public model::Choice {
 public:
  // Both must outlive this.
  TranscriptChoice(model::Choice& inner, Transcript& transcript)
      : inner_(inner), transcript_(transcript) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override;

 private:
  uint64_t Keep(const PlannedChoice& choice, uint64_t alternatives);

  model::Choice& inner_;
  Transcript& transcript_;
};

// An SQE field by field, without addresses: the same in every build.
Facts FactsOf(const io_uring_sqe& sqe);
// The user data of the request that the SQE is about, when it cancels, removes or updates one.
std::optional<uint64_t> TargetOf(const io_uring_sqe& sqe);

}  // namespace orrery::sim

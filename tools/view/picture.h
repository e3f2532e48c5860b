// A run as a picture has it: lanes, events in their lanes, and requests, which join an SQE to its
// CQEs. What the page and the trace draw is decided here, once.
//
// Made of a transcript when the run is over; a plain value. Invariant: every entry of the
// transcript is one event of the picture, in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "sim/event_log.h"
#include "sim/transcript.h"

namespace orrery::view {

struct Lane {
  // In the order in which they are drawn.
  enum class Kind : uint8_t { kWorld, kShard, kRing, kConnection };
  Kind kind = Kind::kWorld;
  uint64_t number = 0;

  friend auto operator<=>(const Lane&, const Lane&) = default;
};
// "world", "shard", "ring", "conn".
std::string_view NameOf(Lane::Kind kind);
// "conn 26"; there is one world.
std::string NameOf(const Lane& lane);

struct PictureEvent {
  uint64_t number = 0;
  Nanoseconds time = 0;
  size_t lane = 0;
  // The event's kind, finer than the model's where the picture is: "submit", "peer-read"; of a note
  // its name.
  std::string kind;
  bool note = false;
  std::string text;               // As in the report.
  std::optional<size_t> request;  // The one that it begins, completes or wakes.
  uint64_t bytes_moved = 0;
  std::string bytes;  // The first of them.
  // Of a fault; `alternatives` 0: not known.
  std::optional<sim::PlannedChoice> choice = {};
  uint64_t alternatives = 0;
};

// An SQE and what became of it. Events are indices into Picture::events.
struct PictureRequest {
  std::string name;  // "receive 3.1"
  std::string opcode;
  size_t ring = 0;                   // A lane.
  std::optional<size_t> connection;  // A lane; none for an accept, say.
  size_t submitted = 0;
  std::vector<size_t> completed;
  bool ended = false;            // The last completion was terminal.
  std::optional<size_t> target;  // The request that this one is to cancel.
  sim::Facts sqe;
};

// A choice of the world's: it is no event.
struct PictureDecision {
  size_t before = 0;  // The event that comes next; the number of events at the end.
  sim::PlannedChoice choice;
  uint64_t alternatives = 0;
};

// The end of a run that broke a rule.
struct PictureFailure {
  std::string invariant;  // With its cause: "liveness/never-executed".
  std::string detail;
  Nanoseconds time = 0;
  size_t event = 0;  // The last one before it, as an index; 0 also when there is none.
  std::optional<size_t> lane;
};

struct Picture {
  std::vector<Lane> lanes;
  std::vector<PictureEvent> events;
  std::vector<PictureRequest> requests;
  std::vector<PictureDecision> decisions;
  std::optional<PictureFailure> failure;
  // Which shard drives which ring, both as lanes.
  std::vector<std::pair<size_t, size_t>> shards;
  uint64_t left_out = 0;  // Events before the first one here.
};

Picture MakePicture(const sim::Transcript& transcript,
                    const std::optional<sim::Violation>& violation);

}  // namespace orrery::view

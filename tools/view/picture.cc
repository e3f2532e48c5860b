#include "tools/view/picture.h"

#include <liburing.h>

#include <algorithm>
#include <map>
#include <set>

#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "sim/logged_event.h"
#include "sim/signature.h"

namespace orrery::view {
namespace {

using model::EventKind;
using model::PeerAction;
using sim::LoggedEvent;
using sim::TranscriptEntry;

std::string_view KindOfPeer(int64_t action) {
  switch (static_cast<PeerAction>(action)) {
    case PeerAction::kConnect:
      return "peer-connect";
    case PeerAction::kRead:
      return "peer-read";
    case PeerAction::kShutdownWrite:
      return "peer-shutdown";
    case PeerAction::kClose:
      return "peer-close";
    case PeerAction::kReset:
      return "peer-reset";
  }
  return "peer-send";
}

std::string_view KindOf(const LoggedEvent& event) {
  if (!event.note.empty()) return event.note;
  if (event.event.kind == EventKind::kPeer) return KindOfPeer(event.event.a);
  return model::NameOf(event.event.kind);
}

uint64_t BytesMoved(const LoggedEvent& event) {
  if (!event.note.empty()) return 0;
  switch (event.event.kind) {
    case EventKind::kSent:
    case EventKind::kReceived:
      return static_cast<uint64_t>(event.event.a);
    case EventKind::kPeer: {
      const bool reads = event.event.a == static_cast<int64_t>(PeerAction::kRead);
      return static_cast<uint64_t>(std::max<int64_t>(0, reads ? event.event.b : event.event.a));
    }
    default:
      return 0;
  }
}

// A request in flight, by its ring and its user data.
using RequestKey = std::pair<uint64_t, uint64_t>;

class Painter {
 public:
  Painter(const sim::Transcript& transcript, Picture& picture)
      : transcript_(transcript), picture_(picture) {}

  void Paint(const std::optional<sim::Violation>& violation) {
    FindStreams();
    MakeLanes();
    for (const TranscriptEntry& entry : transcript_.entries()) AddEvent(entry);
    AddDecisions();
    if (violation.has_value()) AddFailure(*violation);
    picture_.left_out = transcript_.left_out();
  }

 private:
  // A note may be about something that is no connection: the world's clock.
  void FindStreams() {
    for (const TranscriptEntry& entry : transcript_.entries()) {
      const LoggedEvent& event = entry.event;
      if (event.note.empty() && IsAboutConnection(event)) streams_.insert(event.event.entity);
    }
  }

  Lane LaneOfFault(const LoggedEvent& event) const {
    const std::string_view entity = model::InfoOf(static_cast<model::Site>(event.event.a)).entity;
    const uint64_t number = event.event.entity;
    if (entity == "ring") return {Lane::Kind::kRing, number};
    if (streams_.contains(number) && entity == "connection") {
      return {Lane::Kind::kConnection, number};
    }
    return {Lane::Kind::kWorld, 0};
  }

  Lane LaneOf(const LoggedEvent& event) const {
    if (event.note.empty() && event.event.kind == EventKind::kFault) return LaneOfFault(event);
    if (!IsAboutConnection(event)) return {Lane::Kind::kRing, event.event.entity};
    if (streams_.contains(event.event.entity)) {
      return {Lane::Kind::kConnection, event.event.entity};
    }
    return {Lane::Kind::kWorld, 0};
  }

  void MakeLanes() {
    std::set<Lane> lanes = {{Lane::Kind::kWorld, 0}};
    for (const TranscriptEntry& entry : transcript_.entries()) lanes.insert(LaneOf(entry.event));
    for (const sim::ShardOfRing& shard : transcript_.shards()) {
      lanes.insert({Lane::Kind::kShard, shard.shard});
      lanes.insert({Lane::Kind::kRing, shard.ring});
    }
    picture_.lanes.assign(lanes.begin(), lanes.end());
    for (const sim::ShardOfRing& shard : transcript_.shards()) {
      picture_.shards.emplace_back(IndexOf({Lane::Kind::kShard, shard.shard}),
                                   IndexOf({Lane::Kind::kRing, shard.ring}));
    }
  }

  size_t IndexOf(const Lane& lane) const {
    const auto found = std::lower_bound(picture_.lanes.begin(), picture_.lanes.end(), lane);
    return static_cast<size_t>(found - picture_.lanes.begin());
  }

  void AddEvent(const TranscriptEntry& entry) {
    const LoggedEvent& event = entry.event;
    PictureEvent drawn;
    drawn.number = event.number;
    drawn.time = event.time;
    drawn.lane = IndexOf(LaneOf(event));
    drawn.kind = KindOf(event);
    drawn.note = !event.note.empty();
    drawn.text = RenderDetail(event);
    drawn.bytes_moved = BytesMoved(event);
    drawn.bytes = entry.bytes;
    drawn.alternatives = entry.alternatives;
    if (!drawn.note) Join(entry, drawn);
    picture_.events.push_back(std::move(drawn));
  }

  void Join(const TranscriptEntry& entry, PictureEvent& drawn) {
    const model::Event& event = entry.event.event;
    const RequestKey key = {event.entity, static_cast<uint64_t>(event.a)};
    switch (event.kind) {
      case EventKind::kAccepted:
        connection_of_descriptor_[event.a] = drawn.lane;
        return;
      case EventKind::kSubmit:
        drawn.request = Submit(entry, key, drawn.lane);
        return;
      case EventKind::kComplete:
        drawn.request = Complete(key, event.c);
        return;
      case EventKind::kTimer:
        if (const auto found = in_flight_.find(key); found != in_flight_.end()) {
          drawn.request = found->second;
        }
        return;
      case EventKind::kFault:
        drawn.choice = {.site = static_cast<model::Site>(event.a),
                        .entity = event.entity,
                        .ordinal = static_cast<uint64_t>(event.b),
                        .value = static_cast<uint64_t>(event.c)};
        return;
      default:
        return;
    }
  }

  size_t Submit(const TranscriptEntry& entry, const RequestKey& key, size_t ring) {
    const size_t index = picture_.requests.size();
    PictureRequest request;
    request.name = sim::RenderUserData(key.second);
    request.opcode = sim::NameOfOpcode(static_cast<uint8_t>(entry.event.event.b));
    request.ring = ring;
    request.submitted = picture_.events.size();
    if (entry.sqe.has_value()) {
      request.sqe = sim::FactsOf(*entry.sqe);
      if (const auto target = sim::TargetOf(*entry.sqe)) {
        const auto found = in_flight_.find(RequestKey(key.first, *target));
        if (found != in_flight_.end()) request.target = found->second;
      } else if (const auto found = connection_of_descriptor_.find(entry.sqe->fd);
                 found != connection_of_descriptor_.end()) {
        request.connection = found->second;
      }
    }
    if (request.target.has_value()) {
      request.connection = picture_.requests[*request.target].connection;
    }
    picture_.requests.push_back(std::move(request));
    in_flight_[key] = index;
    return index;
  }

  // A completion without a request in flight came from another ring, or its SQE is left out.
  std::optional<size_t> Complete(const RequestKey& key, int64_t flags) {
    const auto found = in_flight_.find(key);
    if (found == in_flight_.end()) return std::nullopt;
    const size_t index = found->second;
    PictureRequest& request = picture_.requests[index];
    request.completed.push_back(picture_.events.size());
    if ((flags & IORING_CQE_F_MORE) == 0) {
      request.ended = true;
      in_flight_.erase(found);
    }
    return index;
  }

  size_t EventAfter(uint64_t number) const {
    const auto found = std::upper_bound(
        picture_.events.begin(), picture_.events.end(), number,
        [](uint64_t left, const PictureEvent& right) { return left < right.number; });
    return static_cast<size_t>(found - picture_.events.begin());
  }

  void AddDecisions() {
    for (const sim::WorldChoice& choice : transcript_.world_choices()) {
      picture_.decisions.push_back({.before = EventAfter(choice.after_event),
                                    .choice = choice.choice,
                                    .alternatives = choice.alternatives});
    }
  }

  void AddFailure(const sim::Violation& violation) {
    PictureFailure failure;
    failure.invariant = SignatureOf(violation);
    failure.detail = violation.detail;
    failure.time = violation.time;
    failure.event = std::max<size_t>(EventAfter(violation.event), 1) - 1;
    if (violation.has_connection && streams_.contains(violation.connection)) {
      failure.lane = IndexOf({Lane::Kind::kConnection, violation.connection});
    }
    picture_.failure = std::move(failure);
  }

  const sim::Transcript& transcript_;
  Picture& picture_;
  std::set<uint64_t> streams_;
  std::map<int64_t, size_t> connection_of_descriptor_;  // Lanes.
  std::map<RequestKey, size_t> in_flight_;              // Requests.
};

}  // namespace

std::string_view NameOf(Lane::Kind kind) {
  switch (kind) {
    case Lane::Kind::kWorld:
      return "world";
    case Lane::Kind::kShard:
      return "shard";
    case Lane::Kind::kRing:
      return "ring";
    case Lane::Kind::kConnection:
      return "conn";
  }
  return "?";
}

std::string NameOf(const Lane& lane) {
  const std::string kind(NameOf(lane.kind));
  return lane.kind == Lane::Kind::kWorld ? kind : kind + " " + std::to_string(lane.number);
}

Picture MakePicture(const sim::Transcript& transcript,
                    const std::optional<sim::Violation>& violation) {
  Picture picture;
  Painter(transcript, picture).Paint(violation);
  return picture;
}

}  // namespace orrery::view

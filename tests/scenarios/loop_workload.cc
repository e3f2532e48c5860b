#include "tests/scenarios/loop_workload.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "tests/scenarios/item_reader.h"

namespace orrery::scenarios {
namespace {

using sim::Json;

// A plan may be edited by hand; more than this is a mistake.
constexpr uint64_t kBytesMax = 16 * kMiB;
constexpr uint64_t kNumberMax = 1000;

constexpr std::array<std::pair<CallerStep::Kind, std::string_view>, 20> kCallerNames = {{
    {CallerStep::Kind::kNop, "nop"},
    {CallerStep::Kind::kTimeout, "timeout"},
    {CallerStep::Kind::kAccept, "accept"},
    {CallerStep::Kind::kReceive, "receive"},
    {CallerStep::Kind::kReceiveExactly, "receive_exactly"},
    {CallerStep::Kind::kSend, "send"},
    {CallerStep::Kind::kPoll, "poll"},
    {CallerStep::Kind::kClose, "close"},
    {CallerStep::Kind::kOpen, "open"},
    {CallerStep::Kind::kReadAt, "read_at"},
    {CallerStep::Kind::kWriteAt, "write_at"},
    {CallerStep::Kind::kSync, "sync"},
    {CallerStep::Kind::kDropConnection, "drop_connection"},
    {CallerStep::Kind::kCancel, "cancel"},
    {CallerStep::Kind::kGiveUp, "give_up"},
    {CallerStep::Kind::kAwait, "await"},
    {CallerStep::Kind::kWait, "wait"},
    {CallerStep::Kind::kLeave, "leave"},
    {CallerStep::Kind::kAcceptAll, "accept_all"},
    {CallerStep::Kind::kPollAll, "poll_all"},
}};

constexpr std::array<std::pair<PeerStep::Kind, std::string_view>, 5> kPeerNames = {{
    {PeerStep::Kind::kSend, "send"},
    {PeerStep::Kind::kPause, "pause"},
    {PeerStep::Kind::kHalfClose, "half_close"},
    {PeerStep::Kind::kClose, "close"},
    {PeerStep::Kind::kReset, "reset"},
}};

// --- Generating.

class Generator {
 public:
  Generator(Prng& prng, bool all_deadlines) : prng_(prng), all_deadlines_(all_deadlines) {}

  LoopWorkload Generate() {
    LoopWorkload workload;
    const uint64_t callers = prng_.Between(1, 6);
    steps_max_ = prng_.Chance(1, 4) ? 200 : 50;
    bytes_max_ = uint64_t{1} << prng_.Between(3, 15);
    slow_ = prng_.Chance(1, 3);
    deadlines_in_8_ = all_deadlines_ ? 8 : prng_.Chance(1, 2) ? 4 : 1;
    for (uint64_t caller = 0; caller < callers; ++caller) {
      workload.callers.push_back({.caller = caller, .steps = Caller()});
    }
    const uint64_t peers = prng_.Between(1, 2 * callers);
    for (uint64_t peer = 0; peer < peers; ++peer) {
      workload.peers.push_back({.peer = peer, .connect_after = Duration(), .steps = Peer()});
    }
    return workload;
  }

 private:
  Nanoseconds Duration() {
    const uint64_t high = uint64_t{1} << prng_.Between(0, slow_ ? 31 : 24);
    return static_cast<Nanoseconds>(prng_.Below(high));
  }
  uint64_t Bytes() {
    return prng_.Chance(1, 3) ? prng_.Between(1, 4) : prng_.Between(1, bytes_max_);
  }

  CallerStep::Kind AnyKind() {
    using Kind = CallerStep::Kind;
    struct Weighted {
      Kind kind;
      uint64_t weight;
    };
    static constexpr std::array kWeights = {
        Weighted{Kind::kNop, 4},     Weighted{Kind::kTimeout, 2},
        Weighted{Kind::kAccept, 4},  Weighted{Kind::kReceive, 8},
        Weighted{Kind::kSend, 8},    Weighted{Kind::kReceiveExactly, 5},
        Weighted{Kind::kPoll, 2},    Weighted{Kind::kClose, 2},
        Weighted{Kind::kOpen, 2},    Weighted{Kind::kReadAt, 4},
        Weighted{Kind::kWriteAt, 4}, Weighted{Kind::kSync, 2},
        Weighted{Kind::kCancel, 4},  Weighted{Kind::kGiveUp, 4},
        Weighted{Kind::kAwait, 5},   Weighted{Kind::kWait, 3},
        Weighted{Kind::kLeave, 1},   Weighted{Kind::kDropConnection, 1},
    };
    uint64_t total = 0;
    for (const Weighted& each : kWeights) total += each.weight;
    uint64_t pick = prng_.Below(total);
    for (const Weighted& each : kWeights) {
      if (pick < each.weight) return each.kind;
      pick -= each.weight;
    }
    return Kind::kNop;
  }

  CallerStep Step(CallerStep::Kind kind) {
    CallerStep step;
    step.kind = kind;
    step.which = prng_.Below(4);
    step.bytes = Bytes();
    step.offset = prng_.Below(bytes_max_);
    const bool timed = kind == CallerStep::Kind::kWait || kind == CallerStep::Kind::kTimeout;
    if (timed || prng_.Chance(deadlines_in_8_, 8)) step.duration = Duration();
    return step;
  }

  std::vector<CallerStep> Caller() {
    // Most things need a connection, or a file.
    std::vector<CallerStep> steps = {Step(CallerStep::Kind::kAccept),
                                     Step(CallerStep::Kind::kOpen)};
    steps.front().duration = 0;
    const uint64_t count = prng_.Between(1, steps_max_);
    for (uint64_t index = 0; index < count; ++index) {
      const CallerStep::Kind kind = AnyKind();
      // Who leaves early does nothing any more.
      if (kind == CallerStep::Kind::kLeave && !prng_.Chance(1, 4)) continue;
      steps.push_back(Step(kind));
    }
    return steps;
  }

  std::vector<PeerStep> Peer() {
    using Kind = PeerStep::Kind;
    std::vector<PeerStep> steps;
    const uint64_t count = prng_.Below(12);
    for (uint64_t index = 0; index < count; ++index) {
      PeerStep step;
      const uint64_t pick = prng_.Below(24);
      step.kind = pick < 15   ? Kind::kSend
                  : pick < 20 ? Kind::kPause
                  : pick < 22 ? Kind::kHalfClose
                  : pick < 23 ? Kind::kClose
                              : Kind::kReset;
      if (step.kind == Kind::kSend) step.bytes = Bytes();
      if (step.kind == Kind::kPause) step.duration = Duration();
      steps.push_back(step);
    }
    return steps;
  }

  Prng& prng_;
  const bool all_deadlines_;
  uint64_t steps_max_ = 0;
  uint64_t bytes_max_ = 0;
  bool slow_ = false;
  uint64_t deadlines_in_8_ = 4;
};

// --- Reading.

std::string ReadItem(const Json& item, std::map<uint64_t, CallerScript>& callers,
                     std::map<uint64_t, PeerScript>& peers) {
  ItemReader reader(item);
  const std::string op = reader.Text("op");
  const std::string name = op == "connect" ? "" : reader.Text("do");
  if (!reader.problem.empty()) return reader.problem;
  if (op == "call") {
    CallerStep step;
    if (!FindKind(kCallerNames, name, step.kind)) return "no call has the name \"" + name + "\"";
    const uint64_t caller = reader.Number("caller", kNumberMax);
    step.which = reader.Number("which", kNumberMax);
    step.bytes = reader.Number("bytes", kBytesMax);
    step.offset = reader.Number("offset", kBytesMax);
    step.duration = reader.Time("duration_ns");
    callers[caller].caller = caller;
    callers[caller].steps.push_back(step);
  } else if (op == "connect" || op == "peer") {
    const uint64_t peer = reader.Number("peer", kNumberMax);
    PeerScript& script = peers[peer];
    script.peer = peer;
    if (op == "connect") {
      script.connect_after = reader.Time("after_ns");
      return reader.problem;
    }
    PeerStep step;
    if (!FindKind(kPeerNames, name, step.kind))
      return "no peer's step has the name \"" + name + "\"";
    step.bytes = reader.Number("bytes", kBytesMax);
    step.duration = reader.Time("duration_ns");
    script.steps.push_back(step);
  } else {
    return "no item has the op \"" + op + "\"";
  }
  return reader.problem;
}

}  // namespace

LoopWorkload GenerateLoopWorkload(Prng& prng, bool all_deadlines) {
  return Generator(prng, all_deadlines).Generate();
}

void AddMultishots(Prng& prng, bool all_deadlines, LoopWorkload& workload) {
  for (CallerScript& script : workload.callers) {
    for (uint64_t count = prng.Between(1, 3); count > 0; --count) {
      CallerStep step;
      step.kind = prng.Chance(1, 2) ? CallerStep::Kind::kAcceptAll : CallerStep::Kind::kPollAll;
      step.which = prng.Below(4);
      if (all_deadlines || prng.Chance(3, 4)) {
        const uint64_t bits = prng.Between(4, 26);
        step.duration = static_cast<Nanoseconds>(1 + prng.Below(uint64_t{1} << bits));
      }
      const auto at = static_cast<ptrdiff_t>(prng.Below(script.steps.size() + 1));
      script.steps.insert(script.steps.begin() + at, step);
    }
  }
}

void WriteLoopWorkload(const LoopWorkload& workload, std::vector<Json>& items) {
  const auto put = [](Json& item, const char* name, auto value) {
    if (value != 0) item[name] = static_cast<uint64_t>(value);
  };
  for (const CallerScript& script : workload.callers) {
    for (const CallerStep& step : script.steps) {
      Json item = {{"op", "call"}, {"caller", script.caller}};
      item["do"] = NameIn(kCallerNames, step.kind);
      put(item, "which", step.which);
      put(item, "bytes", step.bytes);
      put(item, "offset", step.offset);
      put(item, "duration_ns", step.duration);
      items.push_back(std::move(item));
    }
  }
  for (const PeerScript& script : workload.peers) {
    Json connect = {{"op", "connect"}, {"peer", script.peer}};
    put(connect, "after_ns", script.connect_after);
    items.push_back(std::move(connect));
    for (const PeerStep& step : script.steps) {
      Json item = {{"op", "peer"}, {"peer", script.peer}};
      item["do"] = NameIn(kPeerNames, step.kind);
      put(item, "bytes", step.bytes);
      put(item, "duration_ns", step.duration);
      items.push_back(std::move(item));
    }
  }
}

std::expected<LoopWorkload, std::string> ReadLoopWorkload(const std::vector<Json>& items) {
  std::map<uint64_t, CallerScript> callers;
  std::map<uint64_t, PeerScript> peers;
  for (size_t index = 0; index < items.size(); ++index) {
    const std::string problem = ReadItem(items[index], callers, peers);
    if (!problem.empty()) {
      return std::unexpected("workload item " + std::to_string(index + 1) + ": " + problem);
    }
  }
  LoopWorkload workload;
  for (auto& [number, script] : callers) workload.callers.push_back(std::move(script));
  for (auto& [number, script] : peers) workload.peers.push_back(std::move(script));
  return workload;
}

}  // namespace orrery::scenarios

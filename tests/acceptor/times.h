// When things may have happened that a trace shows only later: the clock of the model while it
// follows a trace, and the moments at which a timer may have fired or a notification been queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/units.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/trace.h"

namespace orrery::acceptor {

// What is searched. The second is tried only on what the first does not explain.
enum class Freedom : uint8_t {
  kUsual,       // What differs from run to run on any machine.
  kOverloaded,  // And packets of peers that are late, and interrupts.
};

// The model's clock: turn k starts at k of these. Delays of the model that are shorter end within
// a turn.
inline constexpr Nanoseconds kTurn = 600 * kMicrosecond;
inline constexpr Nanoseconds kWait = 550 * kMicrosecond;
// Inside an Enter: from one SQE to the next, from one victim of a cancel to the next,
inline constexpr Nanoseconds kPerSqe = 20;
inline constexpr Nanoseconds kPerVictim = 1;
// and until it looks at its task work, and from there until it does so again.
inline constexpr Nanoseconds kPerLook = 5 * kMicrosecond;
// With what it has found.
inline constexpr Nanoseconds kPerRun = 1 * kMicrosecond;
// When it has submitted, and not looked yet.
inline constexpr Nanoseconds kInEnter = 2 * kMicrosecond;
// Where nothing ever comes.
inline constexpr Nanoseconds kBeyondTrace = 1000 * kSecond;

// The turn that submitted a step: the first Enter after the turn that prepared it.
std::optional<size_t> TurnOfSubmission(const Step& step, const Trace& trace);

// What a delay of the model can be: soon after its turn, and then in each turn, in its Enter, in
// the middle of its wait and after it. The last is longer than the trace.
std::vector<Nanoseconds> Delays(size_t turns);
// Whether what takes this long from this turn on ends where that can be seen: next to a turn that
// enters, or in its wait, or a few turns later.
bool EndsWhereItShows(const Trace& trace, uint64_t turn, Nanoseconds delay);
// So many of the delays end within the next turns.
inline constexpr uint64_t kSoonDelays = 19;

// When something may have happened, by the model's clock, likeliest first.
using Moments = std::vector<Nanoseconds>;

// Of each timeout of a short time that was seen to expire, or that may have done so unseen; and of
// one of no time at all that was seen to be late. By id.
std::map<uint32_t, Moments> ExpiriesIn(const Program& program, const Trace& trace, Freedom freedom);
// Of each notification of a zero-copy send. kAtOnce is the model's own, when the size of the send
// has it. By id.
inline constexpr Nanoseconds kAtOnce = 0;
std::map<uint32_t, Moments> NotificationsIn(const Trace& trace, Freedom freedom);

}  // namespace orrery::acceptor

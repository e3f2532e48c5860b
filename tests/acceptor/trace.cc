#include "tests/acceptor/trace.h"

#include <liburing.h>

#include <algorithm>
#include <sstream>

#include "base/errno.h"

namespace orrery::acceptor {
namespace {

uint32_t Binding(const Observation& observation) {
  return observation.kind == Observation::Kind::kCompletion
             ? observation.flags & ~uint32_t{IORING_CQE_F_SOCK_NONEMPTY}
             : observation.flags;
}

void Result(std::ostringstream& text, int32_t result) {
  text << result;
  if (result < -1) text << " (" << Errno(-result).ToString() << ")";
}

}  // namespace

bool SameOutcome(const Observation& left, const Observation& right) {
  return left.kind == right.kind && left.turn == right.turn && left.id == right.id &&
         left.result == right.result && Binding(left) == Binding(right) &&
         left.bytes == right.bytes;
}

std::string ToText(const Observation& observation) {
  std::ostringstream text;
  switch (observation.kind) {
    case Observation::Kind::kEntered:
      text << "enter returned ";
      Result(text, observation.result);
      break;
    case Observation::Kind::kCompletion:
      text << "completion of " << observation.id << ": ";
      Result(text, observation.result);
      if ((observation.flags & IORING_CQE_F_BUFFER) != 0) {
        text << ", buffer " << (observation.flags >> IORING_CQE_BUFFER_SHIFT);
      }
      if ((observation.flags & IORING_CQE_F_MORE) != 0) text << ", MORE";
      if ((observation.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) text << ", SOCK_NONEMPTY";
      break;
    case Observation::Kind::kPeer:
      text << "peer " << observation.id << ": " << observation.result;
      if ((observation.flags & 1) != 0) text << ", end";
      if ((observation.flags & 2) != 0) text << ", reset";
      break;
  }
  if (!observation.bytes.empty()) {
    const bool printable = std::all_of(observation.bytes.begin(), observation.bytes.end(),
                                       [](char c) { return c >= ' ' && c <= '~'; });
    text << ", ";
    if (printable) {
      text << '"' << observation.bytes << '"';
    } else {
      for (const char c : observation.bytes)
        text << static_cast<unsigned>(static_cast<uint8_t>(c)) << ' ';
    }
  }
  return text.str();
}

size_t Trace::completions() const {
  return static_cast<size_t>(
      std::count_if(observations.begin(), observations.end(), [](const Observation& observation) {
        return observation.kind == Observation::Kind::kCompletion;
      }));
}

std::string ToText(const Trace& trace) {
  std::ostringstream text;
  size_t next = 0;
  for (size_t turn = 0; turn < trace.turns.size(); ++turn) {
    text << turn << ": " << trace.turns[turn].what << "\n";
    for (; next < trace.observations.size() && trace.observations[next].turn == turn; ++next) {
      text << "    " << ToText(trace.observations[next]) << "\n";
    }
  }
  return text.str();
}

}  // namespace orrery::acceptor

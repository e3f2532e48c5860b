#include "tests/acceptor/trace.h"

#include <liburing.h>

#include <algorithm>
#include <charconv>
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

std::string Serialize(const Trace& trace) {
  std::ostringstream text;
  for (const Turn& turn : trace.turns) {
    text << "turn " << turn.start << " " << turn.end << " " << turn.enters << " " << turn.waits
         << " " << turn.what << "\n";
  }
  for (const Observation& seen : trace.observations) {
    text << "seen " << static_cast<unsigned>(seen.kind) << " " << seen.turn << " " << seen.id << " "
         << seen.result << " " << seen.flags << " .";
    for (const char c : seen.bytes) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      const auto byte = static_cast<uint8_t>(c);
      text << kDigits[byte / 16] << kDigits[byte % 16];
    }
    text << "\n";
  }
  return text.str();
}

std::expected<Trace, std::string> ParseTrace(std::string_view text) {
  Trace trace;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "turn") {
      Turn turn;
      words >> turn.start >> turn.end >> turn.enters >> turn.waits >> std::ws;
      std::getline(words, turn.what);
      if (!words) return std::unexpected("not a turn: " + line);
      trace.turns.push_back(turn);
      continue;
    }
    Observation seen;
    unsigned kind = 0;
    std::string digits;
    words >> kind >> seen.turn >> seen.id >> seen.result >> seen.flags >> digits;
    if (key != "seen" || !words || kind > static_cast<unsigned>(Observation::Kind::kPeer) ||
        digits.size() % 2 != 1 || seen.turn >= trace.turns.size()) {
      return std::unexpected("not an observation: " + line);
    }
    seen.kind = static_cast<Observation::Kind>(kind);
    for (size_t at = 1; at < digits.size(); at += 2) {
      unsigned byte = 0;
      const auto [end, error] =
          std::from_chars(digits.data() + at, digits.data() + at + 2, byte, 16);
      if (error != std::errc() || end != digits.data() + at + 2) {
        return std::unexpected("not a byte: " + line);
      }
      seen.bytes.push_back(static_cast<char>(byte));
    }
    trace.observations.push_back(std::move(seen));
  }
  return trace;
}

}  // namespace orrery::acceptor

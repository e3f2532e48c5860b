#include "tools/replay_step.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/plan.h"
#include "tests/scenarios/resp.h"
#include "tools/view/connection_state.h"

namespace orrery::tools {
namespace {

using view::Lane;
using view::NameOf;
using view::PictureEvent;
using view::PictureRequest;

// Lines that `l` prints without a number.
constexpr size_t kLines = 20;
// More than anybody reads at once.
constexpr size_t kLinesMax = 10'000;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// A count behind a command; `otherwise` without one. Nothing when it is no number.
std::optional<uint64_t> CountIn(const std::string& text, uint64_t otherwise) {
  if (text.empty()) return otherwise;
  return sim::ParseNumber(text);
}

}  // namespace

std::string_view StepSession::Help() {
  return "  n [COUNT]   the next event; an empty line is the same\n"
         "  p [COUNT]   the event before\n"
         "  g NUMBER    go to an event by its number; g end, g start\n"
         "  e           go to the failure\n"
         "  x, X        go to the next fault, to the one before\n"
         "  j           jump from a CQE to its SQE, and from an SQE to its first CQE\n"
         "  / TEXT      go to the next event with TEXT in its line; / alone: the same text again\n"
         "  c NUMBER    show this connection, wherever you go; c alone: that of each event\n"
         "  l [COUNT]   print so many lines up to here\n"
         "  b           print the bytes that the event moved\n"
         "  h           this\n"
         "  q           leave\n";
}

StepSession::StepSession(RunAgain run, std::istream& in, std::ostream& out, std::string prompt)
    : run_(std::move(run)), in_(in), out_(out), prompt_(std::move(prompt)) {}

std::expected<void, std::string> StepSession::Go() {
  sim::Transcript transcript;
  const auto result = run_(transcript);
  if (!result) return std::unexpected(result.error());
  picture_ = view::MakePicture(transcript, result->violation);
  hash_ = result->hash;
  if (picture_.events.empty()) return std::unexpected("the run has no events to walk through");
  if (picture_.left_out > 0) out_ << "the first " << picture_.left_out << " events are left out\n";
  if (picture_.failure.has_value()) {
    out_ << "violated: " << picture_.failure->invariant << "\n  seen: " << picture_.failure->detail
         << "\n";
    at_ = picture_.failure->event;
    watched_ = picture_.failure->lane;
  }
  out_ << picture_.events.size() << " events; h explains the commands\n";
  Show();
  std::string line;
  while (problem_.empty()) {
    out_ << prompt_ << std::flush;
    if (!std::getline(in_, line) || !Obey(line)) break;
  }
  if (!problem_.empty()) return std::unexpected(problem_);
  return {};
}

bool StepSession::Obey(const std::string& line) {
  const std::string_view trimmed = Trim(line);
  const char command = trimmed.empty() ? 'n' : trimmed.front();
  const std::string rest(trimmed.empty() ? "" : Trim(trimmed.substr(1)));
  switch (command) {
    case 'q':
      return false;
    case 'h':
    case '?':
      out_ << Help();
      return true;
    case 'l':
      ShowLines(rest);
      return true;
    case 'b':
      ShowBytes();
      return true;
    case 'c':
      Watch(rest);
      return true;
    default:
      if (!Walk(command, rest)) out_ << "there is no command " << command << "; h explains\n";
      return true;
  }
}

bool StepSession::Walk(char command, const std::string& rest) {
  switch (command) {
    case 'n':
    case 'p': {
      const auto count = CountIn(rest, 1);
      if (!count || *count > picture_.events.size()) {
        out_ << "a count of events, at most " << picture_.events.size() << "\n";
        return true;
      }
      const auto by = static_cast<int64_t>(*count);
      Move(command == 'n' ? by : -by);
      return true;
    }
    case 'g':
      MoveToNumber(rest);
      return true;
    case 'e':
      MoveToFailure();
      return true;
    case 'x':
      MoveToFault(1);
      return true;
    case 'X':
      MoveToFault(-1);
      return true;
    case 'j':
      Jump();
      return true;
    case '/':
      Search(rest);
      return true;
    default:
      return false;
  }
}

void StepSession::Move(int64_t by) {
  const auto last = static_cast<int64_t>(picture_.events.size()) - 1;
  const int64_t wanted = static_cast<int64_t>(at_) + by;
  if (wanted < 0) out_ << "this is the first event\n";
  if (wanted > last) out_ << "this is the last event\n";
  MoveTo(static_cast<size_t>(std::clamp<int64_t>(wanted, 0, last)));
}

void StepSession::MoveTo(size_t event) {
  at_ = event;
  Show();
}

void StepSession::MoveToNumber(const std::string& text) {
  if (text == "start") return MoveTo(0);
  if (text == "end") return MoveTo(picture_.events.size() - 1);
  const bool hashed = !text.empty() && text.front() == '#';
  const auto number = sim::ParseNumber(hashed ? text.substr(1) : text);
  if (!number) {
    out_ << "g wants an event's number, start, or end\n";
    return;
  }
  const uint64_t first = picture_.events.front().number;
  if (*number < first || *number > picture_.events.back().number) {
    out_ << "events go from " << first << " to " << picture_.events.back().number << "\n";
    return;
  }
  MoveTo(*number - first);
}

void StepSession::MoveToFailure() {
  if (!picture_.failure.has_value()) {
    out_ << "no rule was broken\n";
    return;
  }
  MoveTo(picture_.failure->event);
}

void StepSession::MoveToFault(int by) {
  const auto last = static_cast<int64_t>(picture_.events.size()) - 1;
  for (int64_t at = static_cast<int64_t>(at_) + by; at >= 0 && at <= last; at += by) {
    const auto event = static_cast<size_t>(at);
    if (picture_.events[event].choice.has_value()) return MoveTo(event);
  }
  out_ << (by > 0 ? "no fault after this\n" : "no fault before this\n");
}

void StepSession::Jump() {
  const std::optional<size_t> index = picture_.events[at_].request;
  if (!index.has_value()) {
    out_ << "this is neither an SQE nor a CQE of a known SQE\n";
    return;
  }
  const PictureRequest& request = picture_.requests[*index];
  if (at_ != request.submitted) return MoveTo(request.submitted);
  if (!request.completed.empty()) return MoveTo(request.completed.front());
  out_ << "it has no CQE\n";
}

void StepSession::Search(const std::string& text) {
  if (!text.empty()) searched_ = text;
  if (searched_.empty()) {
    out_ << "/ wants a text\n";
    return;
  }
  for (size_t event = at_ + 1; event < picture_.events.size(); ++event) {
    const PictureEvent& candidate = picture_.events[event];
    const std::string line =
        NameOf(picture_.lanes[candidate.lane]) + " " + candidate.kind + " " + candidate.text;
    if (line.find(searched_) != std::string::npos) return MoveTo(event);
  }
  out_ << "not found after this: " << searched_ << "\n";
}

void StepSession::Watch(const std::string& text) {
  if (text.empty()) {
    watched_.reset();
    Show();
    return;
  }
  const auto number = sim::ParseNumber(text);
  for (size_t lane = 0; number && lane < picture_.lanes.size(); ++lane) {
    if (picture_.lanes[lane] != Lane{Lane::Kind::kConnection, *number}) continue;
    watched_ = lane;
    Show();
    return;
  }
  out_ << "there is no such connection; these are:";
  for (const Lane& lane : picture_.lanes) {
    if (lane.kind == Lane::Kind::kConnection) out_ << " " << lane.number;
  }
  out_ << "\n";
}

std::optional<size_t> StepSession::ConnectionOf(size_t event) const {
  const PictureEvent& shown = picture_.events[event];
  if (shown.request.has_value()) return picture_.requests[*shown.request].connection;
  if (picture_.lanes[shown.lane].kind == Lane::Kind::kConnection) return shown.lane;
  return std::nullopt;
}

std::optional<size_t> StepSession::ShownLane() const {
  return watched_.has_value() ? watched_ : ConnectionOf(at_);
}

void StepSession::Show() {
  ShowEvent();
  if (const auto lane = ShownLane()) {
    out_ << view::Render(picture_, *lane, view::StateOf(picture_, *lane, at_));
  }
  ShowWorld();
}

void StepSession::PrintLine(size_t event) {
  const PictureEvent& shown = picture_.events[event];
  const auto connection = ConnectionOf(event);
  const std::string lane = NameOf(picture_.lanes[connection.value_or(shown.lane)]);
  const bool failed = picture_.failure.has_value() && picture_.failure->event == event;
  out_ << fmt::format("{:<9} {:12.6f} ms  {:<8} {:<12} {}{}\n", fmt::format("#{}", shown.number),
                      static_cast<double>(shown.time) / kMillisecond, lane, shown.kind, shown.text,
                      failed ? "  <- violated: " + picture_.failure->invariant : "");
}

void StepSession::ShowEvent() {
  PrintLine(at_);
  const PictureEvent& shown = picture_.events[at_];
  if (shown.choice.has_value()) {
    out_ << "  fault: " << model::InfoOf(shown.choice->site).meaning
         << " (k = " << shown.choice->value;
    if (shown.alternatives > 0) out_ << ", of 0 to " << shown.alternatives - 1;
    out_ << ")\n";
  }
  if (!shown.request.has_value()) return;
  const PictureRequest& request = picture_.requests[*shown.request];
  if (request.submitted != at_) {
    out_ << "  of the SQE #" << picture_.events[request.submitted].number << ", " << request.name
         << " " << request.opcode << "\n";
    return;
  }
  out_ << "  SQE:";
  for (const auto& [name, value] : request.sqe) out_ << " " << name << " " << value << ";";
  out_ << "\n";
}

void StepSession::ShowLines(const std::string& text) {
  const auto count = CountIn(text, kLines);
  if (!count) {
    out_ << "l wants a count of lines\n";
    return;
  }
  const size_t lines = std::min<size_t>({*count, at_ + 1, kLinesMax});
  for (size_t event = at_ + 1 - lines; event <= at_; ++event) PrintLine(event);
}

void StepSession::ShowBytes() {
  const PictureEvent& shown = picture_.events[at_];
  if (shown.bytes_moved == 0) {
    out_ << "it moved no bytes\n";
    return;
  }
  out_ << fmt::format("  {} of {} bytes: {}\n", shown.bytes.size(), shown.bytes_moved,
                      scenarios::Printable(shown.bytes, shown.bytes.size()));
}

void StepSession::ShowWorld() {
  sim::Transcript transcript({.entries_max = 1, .bytes_max = 0});
  std::optional<uint64_t> connection;
  if (const auto lane = ShownLane()) connection = picture_.lanes[*lane].number;
  transcript.AskWorld(picture_.events[at_].number, connection);
  const auto result = run_(transcript);
  if (!result) {
    problem_ = result.error();
    return;
  }
  if (result->hash != hash_) {
    problem_ = "the run was another one the second time: event hash " + sim::HexOf(result->hash) +
               " after " + sim::HexOf(hash_);
    return;
  }
  if (transcript.answer().empty()) return;  // A scenario without a world.
  out_ << "  when the step is done that #" << picture_.events[at_].number << " belongs to\n";
  for (const auto& [name, value] : transcript.answer()) {
    out_ << fmt::format("    {:<10} {}\n", name, value);
  }
}

}  // namespace orrery::tools

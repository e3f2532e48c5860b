#include "tests/acceptor/program.h"

#include <array>
#include <optional>
#include <sstream>

#include "base/check.h"

namespace orrery::acceptor {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(StepKind::kCount)> kNames = {
    "nop",
    "accept",
    "accept-multishot",
    "receive",
    "receive-multishot",
    "read",
    "send",
    "send-message",
    "send-zero-copy",
    "send-message-zero-copy",
    "write",
    "poll",
    "poll-multishot",
    "poll-remove",
    "timeout",
    "timeout-remove",
    "timeout-update",
    "link-timeout",
    "cancel",
    "cancel-file",
    "cancel-any",
    "close",
    "shutdown",
    "receive-message",
    "read-multishot",
    "read-vector",
    "write-vector",
    "sync",
    "truncate",
    "open",
    "enter",
    "publish",
    "peer-connect",
    "peer-send",
    "peer-receive",
    "peer-shutdown",
    "peer-close",
    "peer-reset",
    "signal",
    "pause",
    "peer-send-datagram",
    "peer-receive-datagram",
    "peer-close-datagram"};

std::optional<StepKind> FindKind(std::string_view name) {
  for (size_t index = 0; index < kNames.size(); ++index) {
    if (kNames[index] == name) return static_cast<StepKind>(index);
  }
  return std::nullopt;
}

}  // namespace

Duration DurationOf(const Step& step) {
  const bool update = step.kind == StepKind::kTimeoutUpdate;
  return static_cast<Duration>(update ? step.flags & 3 : static_cast<uint32_t>(step.amount));
}

std::string_view NameOf(StepKind kind) {
  ORRERY_CHECK(kind < StepKind::kCount);
  return kNames[static_cast<size_t>(kind)];
}

bool IsOperation(StepKind kind) { return kind < StepKind::kEnter; }

bool IsCancel(StepKind kind) {
  return kind == StepKind::kCancel || kind == StepKind::kCancelFile || kind == StepKind::kCancelAny;
}

ObjectKind KindOf(int32_t object) {
  if (object < 0 || object >= Object::kEnd) return ObjectKind::kNone;
  if (object >= Object::kDatagram) return ObjectKind::kDatagram;
  if (object >= Object::kFile) return ObjectKind::kFile;
  if (object >= Object::kPipe) return ObjectKind::kPipe;
  if (object >= Object::kListener) return ObjectKind::kListener;
  return object >= Object::kEventFd ? ObjectKind::kEventFd : ObjectKind::kSocket;
}

bool IsSend(const Step& step) {
  if (KindOf(step.object) != ObjectKind::kSocket) return false;
  switch (step.kind) {
    case StepKind::kSend:
    case StepKind::kSendMessage:
    case StepKind::kSendZeroCopy:
    case StepKind::kSendMessageZeroCopy:
    case StepKind::kWrite:
    case StepKind::kWriteVector:
      return true;
    default:
      return false;
  }
}

bool IsForWorker(const Step& step) {
  switch (step.kind) {
    case StepKind::kShutdown:
    case StepKind::kSync:
    case StepKind::kTruncate:
      return true;
    case StepKind::kOpen:
      return (step.flags & (kNew | kAsync)) != 0;
    case StepKind::kWrite:
    case StepKind::kWriteVector:
      return KindOf(step.object) == ObjectKind::kFile;
    default:
      return (step.flags & kAsync) != 0;
  }
}

std::string ToText(const Step& step) {
  std::ostringstream text;
  text << NameOf(step.kind) << " id " << step.id << " object " << step.object << " amount "
       << step.amount << " flags " << step.flags;
  if (step.place != 0) text << " place " << step.place;
  return text.str();
}

std::string ToText(const Program& program) {
  std::ostringstream text;
  text << "connections " << program.connections << " buffers " << program.buffers << " incremental "
       << program.incremental << "\n";
  for (const Step& step : program.steps) text << ToText(step) << "\n";
  return text.str();
}

std::expected<Program, std::string> Parse(std::string_view text) {
  Program program;
  std::istringstream lines{std::string(text)};
  std::string line;
  bool first = true;
  while (std::getline(lines, line)) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string key;
    std::array<std::string, 4> labels;
    if (first) {
      words >> labels[0] >> program.connections >> labels[1] >> program.buffers >> labels[2] >>
          program.incremental;
      if (!words || labels[0] != "connections" || labels[1] != "buffers" ||
          labels[2] != "incremental" || program.connections > Program::kConnectionsMax ||
          program.buffers > Program::kBuffers) {
        return std::unexpected("not a first line: " + line);
      }
      first = false;
      continue;
    }
    Step step;
    words >> key >> labels[0] >> step.id >> labels[1] >> step.object >> labels[2] >> step.amount >>
        labels[3] >> step.flags;
    const std::optional<StepKind> kind = FindKind(key);
    if (!words || !kind || labels[0] != "id" || labels[1] != "object" || labels[2] != "amount" ||
        labels[3] != "flags") {
      return std::unexpected("not a step: " + line);
    }
    if (std::string label; words >> label) {
      words >> step.place;
      if (!words || label != "place") return std::unexpected("not a step: " + line);
    }
    step.kind = *kind;
    program.steps.push_back(step);
  }
  if (first) return std::unexpected("an empty file");
  return program;
}

}  // namespace orrery::acceptor

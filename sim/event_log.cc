#include "sim/event_log.h"

#include <fmt/core.h>
#include <liburing.h>

#include <algorithm>
#include <array>

#include "base/errno.h"
#include "base/prng.h"
#include "kernel_model/choice.h"
#include "runtime/ring/user_data.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;

bool IsAboutConnection(EventKind kind) {
  switch (kind) {
    case EventKind::kAccepted:
    case EventKind::kSent:
    case EventKind::kReceived:
    case EventKind::kClosed:
    case EventKind::kReset:
    case EventKind::kPeer:
      return true;
    default:
      return false;
  }
}

// Whether bytes, a connection or an end moved: an attempt that moved nothing is none.
bool IsMovement(const Event& event) {
  if (event.kind == EventKind::kPeer) {
    const bool read = event.a == static_cast<int64_t>(model::PeerAction::kRead);
    return read ? event.b != 0 : event.a != 0;
  }
  if (event.kind == EventKind::kSent || event.kind == EventKind::kReceived) return event.a != 0;
  return IsAboutConnection(event.kind);
}

bool IsActivity(const Event& event) {
  switch (event.kind) {
    case EventKind::kEnter:
    case EventKind::kReturn:
    case EventKind::kFault:
      return false;
    case EventKind::kPeer:
      return IsMovement(event);
    default:
      return true;
  }
}

std::string_view NameOfOpcode(int64_t opcode) {
  switch (opcode) {
    case IORING_OP_NOP:
      return "nop";
    case IORING_OP_READ:
      return "read";
    case IORING_OP_WRITE:
      return "write";
    case IORING_OP_WRITEV:
      return "writev";
    case IORING_OP_WRITE_FIXED:
      return "write fixed";
    case IORING_OP_SEND:
      return "send";
    case IORING_OP_SENDMSG:
      return "sendmsg";
    case IORING_OP_RECV:
      return "recv";
    case IORING_OP_RECVMSG:
      return "recvmsg";
    case IORING_OP_ACCEPT:
      return "accept";
    case IORING_OP_CONNECT:
      return "connect";
    case IORING_OP_TIMEOUT:
      return "timeout";
    case IORING_OP_TIMEOUT_REMOVE:
      return "timeout remove";
    case IORING_OP_LINK_TIMEOUT:
      return "link timeout";
    case IORING_OP_ASYNC_CANCEL:
      return "cancel";
    case IORING_OP_CLOSE:
      return "close";
    case IORING_OP_SHUTDOWN:
      return "shutdown";
    case IORING_OP_POLL_ADD:
      return "poll";
    case IORING_OP_POLL_REMOVE:
      return "poll remove";
    case IORING_OP_FSYNC:
      return "fsync";
    case IORING_OP_OPENAT:
      return "openat";
    case IORING_OP_MSG_RING:
      return "msg_ring";
    default:
      return "";
  }
}

std::string_view NameOfOperation(Operation operation) {
  static constexpr std::array kNames = {
      std::string_view("none"),
      std::string_view("accept"),
      std::string_view("accept-cancel"),
      std::string_view("receive"),
      std::string_view("receive-cancel"),
      std::string_view("send"),
      std::string_view("send-cancel"),
      std::string_view("shutdown"),
      std::string_view("close"),
      std::string_view("waker"),
      std::string_view("waker-cancel"),
      std::string_view("test"),
      std::string_view("operation"),
      std::string_view("operation-cancel"),
      std::string_view("operation-timeout"),
      std::string_view("send-zero-copy"),
  };
  const auto index = static_cast<size_t>(operation);
  return index < kNames.size() ? kNames[index] : std::string_view("?");
}

// "receive 3.1": the operation, its slot's index, and the slot's generation.
std::string RenderUserData(int64_t word) {
  const UserData user_data = UserData::Unpack(static_cast<uint64_t>(word));
  return fmt::format("{} {}.{}", NameOfOperation(user_data.operation), user_data.slot.index,
                     user_data.slot.generation);
}

std::string RenderResult(int64_t result) {
  if (result >= 0) return std::to_string(result);
  const std::string name = Errno(static_cast<int>(-result)).ToString();
  return "-" + name.substr(0, name.find(':'));
}

std::string RenderFlags(int64_t flags) {
  std::string text;
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    text += fmt::format(" buffer {}", flags >> IORING_CQE_BUFFER_SHIFT);
  }
  if ((flags & IORING_CQE_F_MORE) != 0) text += " more";
  if ((flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) text += " nonempty";
  if ((flags & IORING_CQE_F_NOTIF) != 0) text += " notification";
  return text;
}

std::string RenderPeer(const Event& event) {
  using model::PeerAction;
  switch (static_cast<PeerAction>(event.a)) {
    case PeerAction::kConnect:
      return "connects";
    case PeerAction::kRead:
      return fmt::format("reads {} bytes", event.b);
    case PeerAction::kShutdownWrite:
      return "shuts down writing";
    case PeerAction::kClose:
      return "closes";
    case PeerAction::kReset:
      return "resets";
  }
  return fmt::format("sends {} bytes", event.a);
}

std::string RenderFault(const Event& event) {
  const bool known = event.a >= 0 && event.a < static_cast<int64_t>(model::Site::kCount);
  const std::string_view site =
      known ? model::InfoOf(static_cast<model::Site>(event.a)).name : std::string_view("?");
  return fmt::format("{} entity {} ordinal {} -> {}", site, event.entity, event.b, event.c);
}

std::string RenderDetail(const Event& event) {
  switch (event.kind) {
    case EventKind::kEnter:
      return fmt::format("submit {}, wait for {}", event.a, event.b);
    case EventKind::kReturn:
      return fmt::format("{}, {} CQEs", RenderResult(event.a), event.b);
    case EventKind::kSubmit: {
      const std::string_view opcode = NameOfOpcode(event.b);
      return RenderUserData(event.a) + " " +
             (opcode.empty() ? fmt::format("opcode {}", event.b) : std::string(opcode));
    }
    case EventKind::kComplete:
      return RenderUserData(event.a) + " = " + RenderResult(event.b) + RenderFlags(event.c);
    case EventKind::kAccepted:
      return fmt::format("descriptor {}", event.a);
    case EventKind::kSent:
    case EventKind::kReceived:
      return fmt::format("{} bytes", event.a);
    case EventKind::kClosed:
    case EventKind::kReset:
      return "";
    case EventKind::kPeer:
      return RenderPeer(event);
    case EventKind::kFault:
      return RenderFault(event);
    case EventKind::kTimer:
      return RenderUserData(event.a);
  }
  return "";
}

}  // namespace

uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = Combine(0, bytes.size());
  for (size_t start = 0; start < bytes.size(); start += 8) {
    uint64_t word = 0;
    const size_t length = std::min<size_t>(8, bytes.size() - start);
    for (size_t index = 0; index < length; ++index) {
      word |= uint64_t{static_cast<unsigned char>(bytes[start + index])} << (8 * index);
    }
    hash = Combine(hash, word);
  }
  return hash;
}

std::string Render(const LoggedEvent& event) {
  const bool is_note = !event.note.empty();
  std::string line = fmt::format("#{:<8} {:12.6f} ms  ", event.number,
                                 static_cast<double>(event.time) / kMillisecond);
  if (!is_note && event.event.kind == EventKind::kFault) {
    return line + "fault      " + RenderDetail(event.event);
  }
  const bool connection = is_note || IsAboutConnection(event.event.kind);
  line += fmt::format("{} {:<5}", connection ? "conn" : "ring", event.event.entity);
  if (!is_note) {
    line += fmt::format(" {:<10} {}", model::NameOf(event.event.kind), RenderDetail(event.event));
    return line;
  }
  line += fmt::format(" {:<10} {} {}", event.note, event.event.a, event.event.b);
  return event.text.empty() ? line : line + " " + event.text;
}

void EventLog::OnEvent(const Event& event) {
  Fold(static_cast<uint64_t>(event.kind), event, 0);
  const bool about_connection = IsAboutConnection(event.kind);
  if (IsMovement(event)) ++progress_;
  if (IsActivity(event)) ++activity_;
  Keep({.number = count_, .hash = hash_, .time = now_, .event = event, .note = {}, .text = {}},
       about_connection ? std::optional(event.entity) : std::nullopt);
}

void EventLog::OnViolation(std::string_view invariant, std::string_view detail) {
  Violate({.invariant = std::string(invariant),
           .cause = {},
           .detail = std::string(detail),
           .time = now_,
           .event = count_});
}

void EventLog::Note(std::string_view name, uint64_t connection, int64_t a, int64_t b,
                    std::string_view text) {
  const Event event{.kind = {}, .entity = connection, .a = a, .b = b, .c = 0};
  Fold(kNoteKind, event, Combine(HashBytes(name), HashBytes(text)));
  ++progress_;
  ++activity_;
  static constexpr size_t kTextMax = 120;
  Keep({.number = count_,
        .hash = hash_,
        .time = now_,
        .event = event,
        .note = name,
        .text = std::string(text.substr(0, kTextMax))},
       connection);
}

void EventLog::ReportViolation(std::string_view invariant, std::string_view detail,
                               uint64_t connection) {
  Violate({.invariant = std::string(invariant),
           .cause = {},
           .detail = std::string(detail),
           .time = now_,
           .event = count_,
           .connection = connection,
           .has_connection = true});
}

uint64_t EventLog::count(EventKind kind) const {
  const auto found = count_by_kind_.find(static_cast<uint64_t>(kind));
  return found == count_by_kind_.end() ? 0 : found->second;
}

std::vector<LoggedEvent> EventLog::Recent(size_t events_max) const {
  const size_t events = std::min(events_max, recent_.size());
  return {recent_.end() - static_cast<ptrdiff_t>(events), recent_.end()};
}

std::vector<LoggedEvent> EventLog::RecentOf(uint64_t connection, size_t events_max) const {
  const auto found = recent_by_connection_.find(connection);
  if (found == recent_by_connection_.end()) return {};
  const size_t events = std::min(events_max, found->second.size());
  return {found->second.end() - static_cast<ptrdiff_t>(events), found->second.end()};
}

void EventLog::Fold(uint64_t kind, const Event& event, uint64_t text_hash) {
  const std::array<uint64_t, 7> words = {
      static_cast<uint64_t>(now_),
      kind,
      event.entity,
      static_cast<uint64_t>(event.a),
      static_cast<uint64_t>(event.b),
      static_cast<uint64_t>(event.c),
      text_hash,
  };
  for (const uint64_t word : words) hash_ = Combine(hash_, word);
  ++count_by_kind_[kind];
  if (++count_ == limits_.events_max) {
    OnViolation("endless", fmt::format("the run has not ended after {} events", count_));
  }
}

void EventLog::Keep(const LoggedEvent& event, std::optional<uint64_t> connection) {
  recent_.push_back(event);
  if (recent_.size() > limits_.recent_max) recent_.pop_front();
  if (!connection.has_value()) return;
  std::deque<LoggedEvent>& mine = recent_by_connection_[*connection];
  mine.push_back(event);
  if (mine.size() > limits_.recent_per_connection_max) mine.pop_front();
}

void EventLog::Violate(Violation violation) {
  if (violation_.has_value()) return;
  if (const size_t slash = violation.invariant.find('/'); slash != std::string::npos) {
    violation.cause = violation.invariant.substr(slash + 1);
    violation.invariant.resize(slash);
  }
  violation_ = std::move(violation);
}

}  // namespace orrery::sim

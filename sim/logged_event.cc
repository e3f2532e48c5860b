#include "sim/logged_event.h"

#include <fmt/core.h>
#include <liburing.h>

#include <array>

#include "base/errno.h"
#include "kernel_model/choice.h"
#include "runtime/ring/user_data.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;

std::string_view KnownOpcode(uint8_t opcode) {
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
  static_assert(kNames.size() == static_cast<size_t>(Operation::kSendZeroCopy) + 1);
  const auto index = static_cast<size_t>(operation);
  return index < kNames.size() ? kNames[index] : std::string_view("?");
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

std::string DetailOf(const Event& event) {
  switch (event.kind) {
    case EventKind::kEnter:
      return fmt::format("submit {}, wait for {}", event.a, event.b);
    case EventKind::kReturn:
      return fmt::format("{}, {} CQEs", RenderResult(event.a), event.b);
    case EventKind::kSubmit:
      return RenderUserData(static_cast<uint64_t>(event.a)) + " " +
             NameOfOpcode(static_cast<uint8_t>(event.b));
    case EventKind::kComplete:
      return RenderUserData(static_cast<uint64_t>(event.a)) + " = " + RenderResult(event.b) +
             RenderFlags(event.c);
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
      return RenderUserData(static_cast<uint64_t>(event.a));
  }
  return "";
}

}  // namespace

std::string NameOfOpcode(uint8_t opcode) {
  const std::string_view known = KnownOpcode(opcode);
  return known.empty() ? fmt::format("opcode {}", opcode) : std::string(known);
}

std::string RenderUserData(uint64_t word) {
  const UserData user_data = UserData::Unpack(word);
  return fmt::format("{} {}.{}", NameOfOperation(user_data.operation), user_data.slot.index,
                     user_data.slot.generation);
}

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

bool IsAboutConnection(const LoggedEvent& event) {
  return !event.note.empty() || IsAboutConnection(event.event.kind);
}

std::string RenderDetail(const LoggedEvent& event) {
  if (event.note.empty()) return DetailOf(event.event);
  const std::string numbers = fmt::format("{} {}", event.event.a, event.event.b);
  return event.text.empty() ? numbers : numbers + " " + event.text;
}

std::string Render(const LoggedEvent& event) {
  const std::string start = fmt::format("#{:<8} {:12.6f} ms  ", event.number,
                                        static_cast<double>(event.time) / kMillisecond);
  const bool is_note = !event.note.empty();
  if (!is_note && event.event.kind == EventKind::kFault) {
    return start + "fault      " + RenderDetail(event);
  }
  const std::string_view kind = is_note ? event.note : model::NameOf(event.event.kind);
  return start + fmt::format("{} {:<5} {:<10} {}", IsAboutConnection(event) ? "conn" : "ring",
                             event.event.entity, kind, RenderDetail(event));
}

}  // namespace orrery::sim

#include "kernel_model/observer.h"

namespace orrery::model {

std::string_view NameOf(EventKind kind) {
  switch (kind) {
    case EventKind::kEnter:
      return "enter";
    case EventKind::kReturn:
      return "return";
    case EventKind::kSubmit:
      return "submit";
    case EventKind::kComplete:
      return "complete";
    case EventKind::kAccepted:
      return "accepted";
    case EventKind::kSent:
      return "sent";
    case EventKind::kReceived:
      return "received";
    case EventKind::kClosed:
      return "closed";
    case EventKind::kReset:
      return "reset";
    case EventKind::kPeer:
      return "peer";
    case EventKind::kFault:
      return "fault";
    case EventKind::kTimer:
      return "timer";
  }
  return "unknown";
}

}  // namespace orrery::model

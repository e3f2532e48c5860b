#include "sim/transcript.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "kernel_model/observer.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;

bool IsOf(const Event& event, const PlannedChoice& choice) {
  return event.kind == EventKind::kFault && event.a == static_cast<int64_t>(choice.site) &&
         event.entity == choice.entity && event.b == static_cast<int64_t>(choice.ordinal);
}

struct FlagName {
  uint64_t bit;
  std::string_view name;
};

// "MULTISHOT POLL_FIRST"; bits without a name as a number.
std::string NamesIn(uint64_t flags, std::span<const FlagName> known) {
  std::string text;
  const auto add = [&text](std::string_view name) {
    if (!text.empty()) text += ' ';
    text += name;
  };
  for (const FlagName& flag : known) {
    if ((flags & flag.bit) != 0) add(flag.name);
    flags &= ~flag.bit;
  }
  if (flags != 0) add(fmt::format("0x{:x}", flags));
  return text;
}

constexpr std::array kSqeFlags = {
    FlagName{IOSQE_FIXED_FILE, "FIXED_FILE"},
    FlagName{IOSQE_IO_DRAIN, "IO_DRAIN"},
    FlagName{IOSQE_IO_LINK, "IO_LINK"},
    FlagName{IOSQE_IO_HARDLINK, "IO_HARDLINK"},
    FlagName{IOSQE_ASYNC, "ASYNC"},
    FlagName{IOSQE_BUFFER_SELECT, "BUFFER_SELECT"},
    FlagName{IOSQE_CQE_SKIP_SUCCESS, "CQE_SKIP_SUCCESS"},
};
constexpr std::array kReceiveFlags = {
    FlagName{IORING_RECVSEND_POLL_FIRST, "POLL_FIRST"},
    FlagName{IORING_RECV_MULTISHOT, "MULTISHOT"},
    FlagName{IORING_RECVSEND_FIXED_BUF, "FIXED_BUF"},
};
constexpr std::array kAcceptFlags = {FlagName{IORING_ACCEPT_MULTISHOT, "MULTISHOT"}};
constexpr std::array kPollFlags = {FlagName{IORING_POLL_ADD_MULTI, "MULTISHOT"}};
constexpr std::array kMessageFlags = {
    FlagName{MSG_WAITALL, "WAITALL"},   FlagName{MSG_NOSIGNAL, "NOSIGNAL"},
    FlagName{MSG_DONTWAIT, "DONTWAIT"}, FlagName{MSG_PEEK, "PEEK"},
    FlagName{MSG_MORE, "MORE"},         FlagName{MSG_TRUNC, "TRUNC"},
};
constexpr std::array kCancelFlags = {
    FlagName{IORING_ASYNC_CANCEL_ALL, "ALL"},
    FlagName{IORING_ASYNC_CANCEL_FD, "FD"},
    FlagName{IORING_ASYNC_CANCEL_ANY, "ANY"},
    FlagName{IORING_ASYNC_CANCEL_FD_FIXED, "FD_FIXED"},
};

bool IsMessageOperation(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
      return true;
    default:
      return false;
  }
}

// The field that operations use as they like; empty: it says nothing.
std::string NamesInPriority(const io_uring_sqe& sqe) {
  if (IsMessageOperation(sqe.opcode)) return NamesIn(sqe.ioprio, kReceiveFlags);
  if (sqe.opcode == IORING_OP_ACCEPT) return NamesIn(sqe.ioprio, kAcceptFlags);
  return NamesIn(sqe.ioprio, {});
}

void AddOperationFlags(const io_uring_sqe& sqe, Facts& facts) {
  if (IsMessageOperation(sqe.opcode)) {
    if (sqe.msg_flags != 0) facts.emplace_back("msg_flags", NamesIn(sqe.msg_flags, kMessageFlags));
    return;
  }
  switch (sqe.opcode) {
    case IORING_OP_POLL_ADD:
      facts.emplace_back("events", fmt::format("0x{:x}", sqe.poll32_events));
      return;
    case IORING_OP_ASYNC_CANCEL:
      if (sqe.cancel_flags != 0) {
        facts.emplace_back("cancel_flags", NamesIn(sqe.cancel_flags, kCancelFlags));
      }
      return;
    case IORING_OP_SHUTDOWN:
      facts.emplace_back("how", sqe.len == SHUT_WR ? "SHUT_WR" : std::to_string(sqe.len));
      return;
    default:
      if (sqe.rw_flags != 0) {
        facts.emplace_back("flags of the operation",
                           fmt::format("0x{:x}", static_cast<uint32_t>(sqe.rw_flags)));
      }
  }
}

}  // namespace

void Transcript::OnBytes(std::span<const std::byte> bytes) {
  const size_t count = std::min(bytes.size(), limits_.bytes_max - bytes_.size());
  bytes_.append(reinterpret_cast<const char*>(bytes.data()), count);
}

void Transcript::OnEvent(const LoggedEvent& event) {
  TranscriptEntry entry{.event = event, .sqe = {}, .bytes = {}, .alternatives = 0};
  const bool of_model = event.note.empty();
  if (choice_.has_value()) {
    if (of_model && IsOf(event.event, choice_->choice)) {
      entry.alternatives = choice_->alternatives;
    } else {
      world_choices_.push_back(*choice_);
    }
    choice_.reset();
  }
  // A choice may come between a detail and its event.
  if (of_model && event.event.kind == EventKind::kSubmit) entry.sqe = std::exchange(sqe_, {});
  if (of_model && IsAboutConnection(event)) entry.bytes = std::exchange(bytes_, {});
  entries_.push_back(std::move(entry));
  if (entries_.size() > limits_.entries_max) {
    entries_.pop_front();
    ++left_out_;
  }
}

void Transcript::OnChoice(const PlannedChoice& choice, uint64_t alternatives) {
  if (choice_.has_value()) world_choices_.push_back(*choice_);
  const uint64_t after_event = entries_.empty() ? 0 : entries_.back().event.number;
  choice_ = {.after_event = after_event, .choice = choice, .alternatives = alternatives};
  while (!world_choices_.empty() && world_choices_.front().after_event < left_out_) {
    world_choices_.pop_front();
  }
}

uint64_t TranscriptChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                                  uint64_t alternatives) {
  const uint64_t value = inner_.Choose(site, entity, ordinal, alternatives);
  return Keep({.site = site, .entity = entity, .ordinal = ordinal, .value = value}, alternatives);
}

uint64_t TranscriptChoice::ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                                       std::span<const uint64_t> names) {
  const uint64_t value = inner_.ChooseAmong(site, entity, ordinal, names);
  return Keep({.site = site, .entity = entity, .ordinal = ordinal, .value = value}, names.size());
}

uint64_t TranscriptChoice::Keep(const PlannedChoice& choice, uint64_t alternatives) {
  if (choice.value != 0) transcript_.OnChoice(choice, alternatives);
  return choice.value;
}

Facts FactsOf(const io_uring_sqe& sqe) {
  Facts facts;
  facts.emplace_back("opcode", NameOfOpcode(sqe.opcode));
  if (const auto target = TargetOf(sqe)) {
    facts.emplace_back("target", RenderUserData(*target));
  } else {
    facts.emplace_back("fd", std::to_string(sqe.fd));
  }
  if (sqe.flags != 0) facts.emplace_back("flags", NamesIn(sqe.flags, kSqeFlags));
  if (sqe.opcode == IORING_OP_POLL_ADD && sqe.len != 0) {
    facts.emplace_back("mode", NamesIn(sqe.len, kPollFlags));
  }
  if (sqe.ioprio != 0) facts.emplace_back("ioprio", NamesInPriority(sqe));
  AddOperationFlags(sqe, facts);
  const bool counts_bytes = IsMessageOperation(sqe.opcode) || sqe.opcode == IORING_OP_READ ||
                            sqe.opcode == IORING_OP_WRITE;
  if (counts_bytes) facts.emplace_back("len", std::to_string(sqe.len));
  if ((sqe.flags & IOSQE_BUFFER_SELECT) != 0) {
    facts.emplace_back("buffer group", std::to_string(sqe.buf_group));
  }
  facts.emplace_back("user_data", fmt::format("0x{:016x}", uint64_t{sqe.user_data}));
  return facts;
}

std::optional<uint64_t> TargetOf(const io_uring_sqe& sqe) {
  switch (sqe.opcode) {
    case IORING_OP_ASYNC_CANCEL:
      if ((sqe.cancel_flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY)) != 0) return {};
      return sqe.addr;
    case IORING_OP_POLL_REMOVE:
    case IORING_OP_TIMEOUT_REMOVE:
      return sqe.addr;
    default:
      return {};
  }
}

}  // namespace orrery::sim

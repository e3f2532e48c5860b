#include "tests/conformance/driven_ring.h"

#include <cerrno>

#include "base/check.h"
#include "base/errno.h"

namespace orrery::conformance {

std::optional<uint16_t> Seen::buffer() const {
  if ((flags & IORING_CQE_F_BUFFER) == 0) return std::nullopt;
  return static_cast<uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
}

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "{id " << seen.id << ", result " << seen.result;
  if (seen.result < 0) *out << " (" << Errno(-seen.result).ToString() << ")";
  if (seen.buffer()) *out << ", buffer " << *seen.buffer();
  if (seen.more()) *out << ", MORE";
  if (seen.not_empty()) *out << ", SOCK_NONEMPTY";
  *out << "}";
}

bool DrivenRing::shows(unsigned flag) {
  return (IO_URING_READ_ONCE(*ring_->memory().sq.kflags) & flag) != 0;
}

io_uring_sqe& DrivenRing::Raw(unsigned opcode, uint32_t id) {
  ORRERY_CHECK(queue_.Nop(Id(id)));
  io_uring_sqe& sqe = LastSqe();
  sqe.opcode = static_cast<uint8_t>(opcode);
  sqe.fd = 0;
  return sqe;
}

io_uring_sqe& DrivenRing::LastSqe() {
  const io_uring_sq& sq = ring_->memory().sq;
  return sq.sqes[(sq.sqe_tail - 1) & sq.ring_mask];
}

EnterResult DrivenRing::Enter(unsigned min_complete, Nanoseconds timeout) {
  return ring_->Enter({.to_submit = queue_.Publish(),
                       .min_complete = min_complete,
                       .deadline = world_.kernel().MonotonicNow() + timeout});
}

EnterResult DrivenRing::EnterWith(unsigned flags, unsigned min_complete) {
  return world_.Enter(descriptor(), {.to_submit = queue_.Publish(),
                                     .min_complete = min_complete,
                                     .flags = flags,
                                     .argument = nullptr,
                                     .argument_bytes = 0});
}

void DrivenRing::Submit() {
  const unsigned prepared = queue_.pending();
  EXPECT_EQ(Enter(), prepared);
}

std::vector<Seen> DrivenRing::Visible() {
  std::vector<Seen> seen;
  unsigned head = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
    const UserData data = UserData::Unpack(cqe->user_data);
    EXPECT_EQ(data, Id(data.slot.index));
    seen.push_back({.id = data.slot.index, .result = cqe->res, .flags = cqe->flags});
  }
  ::io_uring_cq_advance(&ring_->memory(), static_cast<unsigned>(seen.size()));
  return seen;
}

std::vector<Seen> DrivenRing::Await(size_t count) {
  std::vector<Seen> seen = Visible();
  const Nanoseconds bound = world_.kernel().MonotonicNow() + kWaitBound;
  while (seen.size() < count) {
    const Nanoseconds left = bound - world_.kernel().MonotonicNow();
    const EnterResult entered = left > 0 ? Enter(1, left) : std::unexpected(Errno(ETIME));
    for (const Seen& one : Visible()) seen.push_back(one);
    if (!entered && entered.error() == EINTR) continue;
    if (!entered) {
      ADD_FAILURE() << "waited for " << count << " completions, got " << seen.size() << ": "
                    << entered.error().ToString();
      break;
    }
  }
  return seen;
}

Seen DrivenRing::AwaitOne() {
  const std::vector<Seen> seen = Await(1);
  EXPECT_EQ(seen.size(), 1U) << testing::PrintToString(seen);
  return seen.empty() ? Seen{} : seen.front();
}

void DrivenRing::ExpectQuiet() {
  EXPECT_THAT(Visible(), testing::IsEmpty());
  EXPECT_EQ(queue_.pending(), 0U);
  const EnterResult entered = Enter(1, kQuiet);
  EXPECT_TRUE(!entered && entered.error() == ETIME);
  EXPECT_THAT(Visible(), testing::IsEmpty());
}

}  // namespace orrery::conformance

// Makes SQEs of the operations of a program.
#pragma once

#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/acceptor/objects.h"
#include "tests/acceptor/program.h"

namespace orrery::acceptor {

// An operation, with all that its SQE points to: lives until its last completion, at one address.
struct OperationState {
  Step step;
  bool closes = false;  // A number that is open.
  bool ended = false;   // It has its result.
  bool behind = false;  // Others, in its chain.
  std::vector<std::byte> memory = {};
  std::array<iovec, 2> iovecs{};
  msghdr message{};
  sockaddr_in address{};
  std::string path = {};
  __kernel_timespec time{};
};

// Fills an SQE of zeros in for `operation.step`, and its memory; all but the time of timeouts.
// Other steps than operations have none.
void PrepareSqe(const Objects& objects, OperationState& operation, io_uring_sqe& sqe);

bool IsZeroCopy(StepKind kind);
// Byte `position` of what the operation of this id sends or writes.
char SentByte(uint32_t id, size_t position);

}  // namespace orrery::acceptor

// RECVMSG and SENDMSG, for the facts of datagrams and of streams.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "gtest/gtest.h"
#include "tests/conformance/fixture.h"

namespace orrery::conformance {

// A message header and all that it points to.
struct Message {
  explicit Message(size_t bytes) : memory(bytes, '-') {
    part = {.iov_base = memory.data(), .iov_len = memory.size()};
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  std::string Bytes(const Seen& seen) const {
    return memory.substr(0, static_cast<size_t>(seen.result));
  }

  std::string memory;
  sockaddr_in name{};
  iovec part{};
  msghdr header{};
};

class MessageFixture : public Conformance {
 protected:
  static constexpr uint16_t kGroup = 7;

  void Receive(uint32_t id, int fd, std::span<std::byte> bytes, int flags = 0) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(fd), bytes, flags, Id(id)));
  }
  void ReceiveMessage(uint32_t id, int fd, Message& message, int flags = 0) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recvmsg(sqe, fd, &message.header, static_cast<unsigned>(flags));
    });
  }
  void ReceiveMessages(uint32_t id, int fd, msghdr& header, uint16_t group = kGroup) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recvmsg_multishot(sqe, fd, &header, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
  }
};

}  // namespace orrery::conformance

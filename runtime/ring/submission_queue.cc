#include "runtime/ring/submission_queue.h"

#include <cstring>

namespace orrery {

unsigned SubmissionQueue::space_left() {
  const io_uring_sq& sq = ring_.memory().sq;
  return sq.ring_entries - pending();
}

unsigned SubmissionQueue::pending() {
  const io_uring_sq& sq = ring_.memory().sq;
  // The kernel moves the head only inside Enter, on this thread.
  return sq.sqe_tail - IO_URING_READ_ONCE(*sq.khead);
}

unsigned SubmissionQueue::Publish() {
  io_uring_sq& sq = ring_.memory().sq;
  sq.sqe_head = sq.sqe_tail;
  // Release: the kernel (or a thread of it) that sees the tail sees the SQEs before it.
  io_uring_smp_store_release(sq.ktail, sq.sqe_tail);
  return pending();
}

io_uring_sqe* SubmissionQueue::Acquire() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_.memory());
  if (sqe != nullptr) std::memset(sqe, 0, sizeof *sqe);
  return sqe;
}

bool SubmissionQueue::Tag(io_uring_sqe* sqe, File file, UserData user_data) {
  if (file.fixed) sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = user_data.Pack();
  return true;
}

bool SubmissionQueue::Push(const io_uring_sqe& prepared, UserData user_data) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_.memory());
  if (sqe == nullptr) return false;
  *sqe = prepared;
  sqe->user_data = user_data.Pack();
  return true;
}

bool SubmissionQueue::Nop(UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_nop(sqe);
  return Tag(sqe, {}, user_data);
}

bool SubmissionQueue::Read(File file, std::span<std::byte> bytes, uint64_t offset,
                           UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_read(sqe, file.number, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
  return Tag(sqe, file, user_data);
}

bool SubmissionQueue::Write(File file, std::span<const std::byte> bytes, uint64_t offset,
                            UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_write(sqe, file.number, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
  return Tag(sqe, file, user_data);
}

bool SubmissionQueue::ReadFixed(File file, FixedBuffer buffer, uint64_t offset,
                                UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_read_fixed(sqe, file.number, buffer.bytes.data(),
                           static_cast<unsigned>(buffer.bytes.size()), offset, buffer.region);
  return Tag(sqe, file, user_data);
}

bool SubmissionQueue::WriteFixed(File file, FixedBuffer buffer, uint64_t offset,
                                 UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_write_fixed(sqe, file.number, buffer.bytes.data(),
                            static_cast<unsigned>(buffer.bytes.size()), offset, buffer.region);
  return Tag(sqe, file, user_data);
}

bool SubmissionQueue::WriteVector(File file, std::span<const iovec> iovecs, uint64_t offset,
                                  UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_writev(sqe, file.number, iovecs.data(), static_cast<unsigned>(iovecs.size()),
                       offset);
  return Tag(sqe, file, user_data);
}

bool SubmissionQueue::Send(File socket, std::span<const std::byte> bytes, int flags,
                           UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_send(sqe, socket.number, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::SendMessage(File socket, const msghdr& message, int flags,
                                  UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_sendmsg(sqe, socket.number, &message, static_cast<unsigned>(flags | MSG_NOSIGNAL));
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::SendMessageZeroCopy(File socket, const msghdr& message, int flags,
                                          UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_sendmsg_zc(sqe, socket.number, &message,
                           static_cast<unsigned>(flags | MSG_NOSIGNAL));
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::Receive(File socket, std::span<std::byte> bytes, int flags,
                              UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_recv(sqe, socket.number, bytes.data(), bytes.size(), flags);
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::ReceiveBuffer(File socket, uint16_t buffer_group, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_recv(sqe, socket.number, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = buffer_group;
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::ReceiveMultishot(File socket, uint16_t buffer_group, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_recv_multishot(sqe, socket.number, nullptr, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = buffer_group;
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::Accept(File listener, int flags, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_accept(sqe, listener.number, nullptr, nullptr, flags);
  return Tag(sqe, listener, user_data);
}

bool SubmissionQueue::AcceptMultishot(File listener, int flags, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_multishot_accept(sqe, listener.number, nullptr, nullptr, flags);
  return Tag(sqe, listener, user_data);
}

bool SubmissionQueue::AcceptFixed(File listener, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  // Prepared as an ordinary one: liburing 2.3 adds one to IORING_FILE_INDEX_ALLOC, which makes it
  // no slot at all.
  io_uring_prep_accept(sqe, listener.number, nullptr, nullptr, 0);
  sqe->file_index = IORING_FILE_INDEX_ALLOC;
  return Tag(sqe, listener, user_data);
}

bool SubmissionQueue::Timeout(const __kernel_timespec& duration, unsigned completions,
                              UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  // The kernel only reads the timespec; liburing's signature forgot to say so.
  io_uring_prep_timeout(sqe, const_cast<__kernel_timespec*>(&duration), completions, 0);
  return Tag(sqe, {}, user_data);
}

bool SubmissionQueue::Cancel(UserData target, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, target.Pack(), 0);
  return Tag(sqe, {}, user_data);
}

bool SubmissionQueue::Shutdown(File socket, int how, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_shutdown(sqe, socket.number, how);
  return Tag(sqe, socket, user_data);
}

bool SubmissionQueue::Close(File file, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  // A fixed slot is named by file_index; IOSQE_FIXED_FILE on a close is an error.
  if (file.fixed) {
    io_uring_prep_close_direct(sqe, static_cast<unsigned>(file.number));
  } else {
    io_uring_prep_close(sqe, file.number);
  }
  return Tag(sqe, {}, user_data);
}

bool SubmissionQueue::Message(File ring, UserData message, uint32_t value, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_msg_ring(sqe, ring.number, value, message.Pack(), 0);
  return Tag(sqe, ring, user_data);
}

bool SubmissionQueue::PassFile(File ring, unsigned slot, UserData message, UserData user_data) {
  constexpr uint64_t kSendFile = 1;  // IORING_MSG_SEND_FD, newer than the system's header.
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_msg_ring(sqe, ring.number, 0, message.Pack(), 0);
  sqe->addr = kSendFile;
  sqe->addr3 = slot;
  sqe->file_index = IORING_FILE_INDEX_ALLOC;
  return Tag(sqe, ring, user_data);
}

bool SubmissionQueue::PollMultishot(File file, uint32_t events, UserData user_data) {
  io_uring_sqe* sqe = Acquire();
  if (sqe == nullptr) return false;
  io_uring_prep_poll_multishot(sqe, file.number, events);
  return Tag(sqe, file, user_data);
}

std::expected<void, Errno> RegisterSparseFiles(Ring& ring, unsigned slots) {
  io_uring_rsrc_register request{};
  request.nr = slots;
  request.flags = IORING_RSRC_REGISTER_SPARSE;
  const auto result = ring.Register(IORING_REGISTER_FILES2, &request, sizeof request);
  if (!result) return std::unexpected(result.error());
  return {};
}

std::expected<void, Errno> UpdateFixedFile(Ring& ring, unsigned slot, int fd) {
  io_uring_files_update update{};
  update.offset = slot;
  update.fds = reinterpret_cast<uint64_t>(&fd);  // The ABI carries pointers as 64-bit integers.
  const auto result = ring.Register(IORING_REGISTER_FILES_UPDATE, &update, 1);
  if (!result) return std::unexpected(result.error());
  return {};
}

}  // namespace orrery

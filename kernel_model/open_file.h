// Open files and the descriptors that name them. Private to kernel_model.
//
// Invariant: a file lives while a descriptor, a fixed slot or a request refers to it; closing a
// descriptor only drops a reference (fact X1). Files of all kinds and connections share one
// sequence of numbers, given in order of creation.
#pragma once

#include <poll.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "kernel_model/request.h"

namespace orrery::model {

// What the wake-ups of a socket pass to those who wait for it.
inline constexpr uint32_t kSocketReadable =  // sock_def_readable()
    POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND;
inline constexpr uint32_t kSocketWritable =  // sock_def_write_space(), sk_stream_write_space()
    POLLOUT | POLLWRNORM | POLLWRBAND;
inline constexpr uint32_t kSocketStateChange = 0;  // sock_def_wakeup()
// The first port that a socket is given which asks for none.
inline constexpr uint16_t kEphemeralFirst = 32768;

struct Connection;
struct DatagramSocket;
struct Inode;
class Pipe;

enum class FileKind : uint8_t {
  kStream,
  kListener,
  kEventFd,
  kRing,
  kRegular,
  kDirectory,
  kSocket,  // A stream socket that does not listen and is not connected yet.
  kDatagram,
  kPipe,  // One of its ends.
};

// Requests that wait for a file, in the order in which a wake-up visits them: shared waiters newest
// first, then exclusive ones oldest first (facts R10, A2).
class WaitQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  Request* head() const { return head_; }
  void Add(Request& request);
  // Nothing happens when it is not in.
  void Remove(Request& request);

 private:
  Request* head_ = nullptr;
  Request* tail_ = nullptr;
};

struct Listener {
  uint16_t port = 0;
  std::string path;  // Of a UNIX socket, whose port is 0.
  int backlog = 0;
  bool shut = false;              // SHUT_RD: refuses, and accepts end with EINVAL.
  size_t arriving = 0;            // Connections whose last packet is on its way.
  std::deque<Connection*> queue;  // Complete, oldest first.
};

struct SocketOptionValue {
  int level = 0;
  int option = 0;
  int value = 0;
};

struct OpenFile {
  OpenFile();
  ~OpenFile();

  FileKind kind = FileKind::kStream;
  uint64_t number = 0;
  uint32_t references = 0;
  WaitQueue waiters;
  Connection* connection = nullptr;           // kStream
  std::unique_ptr<Listener> listener;         // kListener
  Pipe* pipe = nullptr;                       // kPipe
  std::unique_ptr<DatagramSocket> datagrams;  // kDatagram
  uint64_t event_count = 0;                   // kEventFd
  RingCore* ring = nullptr;                   // kRing, until it is gone.
  Inode* inode = nullptr;                     // kRegular, kDirectory: counted as open.
  uint32_t open_flags = 0;                    // As open(2) has them.
  uint64_t position = 0;
  std::vector<SocketOptionValue> options;  // Of a socket, those that were set.
  uint16_t bound_port = 0;                 // kSocket, and what becomes of it; 0: not bound by name.
  bool shares_port = false;                // kSocket: SO_REUSEPORT
  int connect_error = 0;                   // kSocket: of the connect that is under way.
  bool connecting = false;                 // kSocket, with its connection.

  bool on_disk() const { return inode != nullptr; }
};

inline bool IsSocket(const OpenFile& file) {
  return file.kind == FileKind::kStream || file.kind == FileKind::kListener ||
         file.kind == FileKind::kSocket || file.kind == FileKind::kDatagram;
}

// Descriptors: the lowest free number is given out, from 3 on, as if the standard streams were
// open.
class DescriptorTable {
 public:
  static constexpr int kFirst = 3;

  explicit DescriptorTable(unsigned descriptors_max) : descriptors_max_(descriptors_max) {}

  bool full() const;
  // REQUIRES: !full(). The table does not count references.
  int Insert(OpenFile& file);
  void SetCloseOnExec(int fd, bool on);
  bool close_on_exec(int fd) const { return close_on_exec_[static_cast<size_t>(fd)]; }
  // Null when it is not open.
  OpenFile* Find(int fd) const;
  // The file that was there, or null.
  OpenFile* Remove(int fd);
  size_t size() const { return size_; }
  // One past the highest number that was ever used.
  int end() const { return static_cast<int>(files_.size()); }

 private:
  unsigned descriptors_max_;
  std::vector<OpenFile*> files_ = std::vector<OpenFile*>(kFirst, nullptr);
  std::vector<bool> close_on_exec_ = std::vector<bool>(kFirst, false);
  int lowest_maybe_free_ = kFirst;  // No lower number is free.
  size_t size_ = 0;
};

}  // namespace orrery::model

// A program of io_uring operations and of what the world around it does, as plain data.
//
// The generator writes programs, the executor runs them on any kernel, the shrinker takes steps
// out. Invariant: a program stays meaningful whatever steps are removed: an operation carries its
// own id, and a step that names a socket or a peer that is not there (any more) does nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::acceptor {

enum class StepKind : uint8_t {
  // --- Operations: an SQE with user data `id`. `object` is an Object, if the operation has a file;
  // `amount` and `flags` as said.
  kNop,               // amount: its result
  kAccept,            // flags: kIntoSlot
  kAcceptMultishot,   // flags: kIntoSlot
  kReceive,           // amount: bytes; flags: kWaitAll, kNoWait, kSelect, kPollFirst, kBundle
  kReceiveMultishot,  // flags: kBundle
  kRead,              // amount: bytes
  kSend,              // amount: bytes; flags: kWaitAll, kNoWait
  kSendMessage,       // amount: bytes, in two pieces
  kSendZeroCopy,      // as kSend
  kSendMessageZeroCopy,
  kWrite,           // amount: bytes; to an eventfd: the value that is added
  kPoll,            // amount: events
  kPollMultishot,   // amount: events
  kPollRemove,      // amount: the id of its target
  kTimeout,         // amount: a Duration; flags: completions to wait for, or 0
  kTimeoutRemove,   // amount: the id of its target
  kTimeoutUpdate,   // amount: the id of its target; flags: a Duration
  kLinkTimeout,     // amount: a Duration; guards the operation before it
  kCancel,          // amount: the id of its target; flags: kAll
  kCancelFile,      // flags: kAll
  kCancelAny,       //
  kClose,           // flags: kFixed closes the slot
  kShutdown,        // amount: SHUT_RD, SHUT_WR, SHUT_RDWR
  kReceiveMessage,  // As kReceive, in two pieces; flags: kWaitAll, kNoWait, kPollFirst
  kReadMultishot,   // Into provided buffers.
  kReadVector,      // As kRead, in two pieces.
  kWriteVector,     // As kWrite, in two pieces.
  kSync,            // amount: 1 leaves metadata alone
  kTruncate,        // amount: the size
  kOpen,            // amount: which of kFiles; flags: kNew, kAppend
  // --- The program beside the ring.
  kEnter,    // amount: completions to wait for, 0 or 1
  kPublish,  // amount: how many of the buffers that the program holds it gives back
  // --- The world. `object` is the number of a peer, in order of connecting, or of an eventfd.
  kPeerConnect,
  kPeerSend,     // amount: bytes
  kPeerReceive,  // amount: bytes at most
  kPeerShutdown,
  kPeerClose,
  kPeerReset,
  kSignal,  // Another thread adds 1 to eventfd `object`.
  kPause,   // Longer than a short timeout.
  // `object` is the number of a datagram peer.
  kPeerSendDatagram,  // amount: bytes; place: which of the program's sockets
  kPeerReceiveDatagram,
  kPeerCloseDatagram,
  kCount,
};

// What an operation works on: sockets in order of acceptance from 0 on, or one of these.
struct Object {
  static constexpr int32_t kEventFd = 100;  // The first of kEventFds.
  static constexpr int32_t kListener = 200;
  static constexpr int32_t kPipe = 300;      // The first of kPipes: two ends each, to read first.
  static constexpr int32_t kFile = 400;      // The first of kFiles, and what is opened later.
  static constexpr int32_t kDatagram = 500;  // The first of kDatagrams; it is connected to peer 0.
  static constexpr int32_t kEnd = 600;
};

enum class ObjectKind : uint8_t { kNone, kSocket, kEventFd, kListener, kPipe, kFile, kDatagram };
ObjectKind KindOf(int32_t object);

// Where a step reads, writes or sends to.
struct Place {
  static constexpr int32_t kPosition = -1;  // Of a file: its own. Otherwise an offset.
  // Of a datagram: to whom its socket is connected, to a datagram peer, to another socket of the
  // program, or to a port that nobody has.
  static constexpr int32_t kConnected = 0;
  static constexpr int32_t kPeer = 1;  // The first of kDatagrams.
  static constexpr int32_t kOwn = 11;  // The first of kDatagrams.
  static constexpr int32_t kNobody = 21;
};

enum StepFlag : uint32_t {
  kFixed = 1,  // By its fixed slot.
  kWaitAll = 2,
  kNoWait = 4,
  kSelect = 8,  // Into a provided buffer.
  kPollFirst = 16,
  kAll = 32,
  // Of every operation. A chain ends with its Enter: the last link of all is cut.
  kLink = 64,
  kHardLink = 128,
  kSkipSuccess = 256,
  kDrain = 512,
  kBundle = 1024,
  kIntoSlot = 2048,  // One that the kernel allocates.
  kAsync = 4096,     // IOSQE_ASYNC
  kNew = 8192,       // O_CREAT
  kAppend = 16384,   // O_APPEND
};

enum class Duration : uint8_t {
  kZero,   // Fires at once.
  kShort,  // Fires in a pause.
  kLong,   // Never fires.
};

struct Step {
  StepKind kind = StepKind::kNop;
  uint32_t id = 0;
  int32_t object = 0;
  int32_t amount = 0;
  uint32_t flags = 0;
  int32_t place = 0;  // A Place, of operations that have one.
  friend bool operator==(const Step&, const Step&) = default;
};

struct Program {
  static constexpr unsigned kConnectionsMax = 3;
  static constexpr unsigned kEventFds = 2;
  static constexpr unsigned kPipes = 2;
  static constexpr unsigned kFiles = 2;
  static constexpr unsigned kDatagrams = 2;  // And as many peers.
  static constexpr unsigned kBuffers = 4;
  static constexpr uint32_t kBufferBytes = 16;

  unsigned connections = 1;  // Accepted before the first step.
  unsigned buffers = 4;      // Published before the first step.
  bool incremental = false;  // Buffers are used up piece by piece.
  std::vector<Step> steps;
  friend bool operator==(const Program&, const Program&) = default;
};

// What a timeout, or an update of one, says of its time. REQUIRES: it is one.
Duration DurationOf(const Step& step);

std::string_view NameOf(StepKind kind);
bool IsOperation(StepKind kind);
bool IsCancel(StepKind kind);
// Sends to a stream, writes included.
bool IsSend(const Step& step);
// Whether a worker of the kernel carries it out, by itself or because it is asked to.
bool IsForWorker(const Step& step);

// A line for each step, readable and writable by hand. Parse() answers what is wrong.
std::string ToText(const Step& step);
std::string ToText(const Program& program);
std::expected<Program, std::string> Parse(std::string_view text);

}  // namespace orrery::acceptor

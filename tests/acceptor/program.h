// A program of io_uring operations and of what the world around it does, as plain data.
//
// The generator writes programs, the executor runs them on any kernel, the shrinker takes steps
// out. Invariant: a program stays meaningful whatever steps are removed: an operation carries its
// own id, and a step that names a socket or a peer that is not there (any more) does nothing. One
// thread; a program is a function of its seed.
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
  kWrite,          // amount: bytes; to an eventfd: the value that is added
  kPoll,           // amount: events
  kPollMultishot,  // amount: events
  kPollRemove,     // amount: the id of its target
  kTimeout,        // amount: a Duration; flags: completions to wait for, or 0
  kTimeoutRemove,  // amount: the id of its target
  kTimeoutUpdate,  // amount: the id of its target; flags: a Duration
  kLinkTimeout,    // amount: a Duration; guards the operation before it
  kCancel,         // amount: the id of its target; flags: kAll
  kCancelFile,     // flags: kAll
  kCancelAny,      //
  kClose,          // flags: kFixed closes the slot
  kShutdown,       // amount: SHUT_RD, SHUT_WR, SHUT_RDWR
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
  kCount,
};

// What an operation works on: sockets in order of acceptance from 0 on, or one of these.
struct Object {
  static constexpr int32_t kEventFd = 100;  // The first of kEventFds.
  static constexpr int32_t kListener = 200;
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
  friend bool operator==(const Step&, const Step&) = default;
};

struct Program {
  static constexpr unsigned kConnectionsMax = 3;
  static constexpr unsigned kEventFds = 2;
  static constexpr unsigned kBuffers = 4;
  static constexpr uint32_t kBufferBytes = 16;

  unsigned connections = 1;  // Accepted before the first step.
  unsigned buffers = 4;      // Published before the first step.
  bool incremental = false;  // Buffers are used up piece by piece.
  std::vector<Step> steps;
  friend bool operator==(const Program&, const Program&) = default;
};

// What programs can be about beside what all of them are about; a program draws some of these, so
// that each is met with and without the others.
enum Family : uint32_t {
  kPlain = 0,
  kLinks = 1,
  kZeroCopy = 2,
  kSlots = 4,
  kBundles = 8,
  kIncremental = 16,
  kDrains = 32,  // Without shutdowns: no cancel waits for a worker that a drain holds back.
};
constexpr uint32_t kEveryFamily = 2 * kDrains - 1;
// Drawn by default: those whose programs are explained in full.
constexpr uint32_t kDefaultFamilies = kZeroCopy | kSlots | kBundles | kIncremental;

// Of those families at most.
Program Generate(uint64_t seed, uint32_t families = kDefaultFamilies);

// What a timeout, or an update of one, says of its time. REQUIRES: it is one.
Duration DurationOf(const Step& step);

std::string_view NameOf(StepKind kind);
bool IsOperation(StepKind kind);

// A line for each step, readable and writable by hand. Parse() answers what is wrong.
std::string ToText(const Step& step);
std::string ToText(const Program& program);
std::expected<Program, std::string> Parse(std::string_view text);

}  // namespace orrery::acceptor

// Where the model may go one way or another, and who decides.
//
// The rules of the model say which outcomes are legal; a Choice picks one. Every point of freedom
// is a Site, asked for an entity (a socket, a ring: a small number given in order of creation,
// never an address) with an ordinal (how often this site was asked for this entity before).
// Alternative 0 is always the benign one: what an idle, healthy machine does. So a run is described
// by the choices that were not 0, and taking one away moves nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace orrery::model {

// How we know that a real kernel behaves so.
enum class Evidence : uint8_t {
  kWitnessed,   // Seen on a real kernel; a conformance test shows it.
  kDocumented,  // A man page or the kernel's source says so.
};

// In parentheses: the entity, and what an answer k > 0 means.
enum class Site : uint16_t {
  kSendPartial,    // A send takes fewer bytes than fit (connection: k bytes).
  kReceiveShort,   // Bytes arrive in pieces, so that a receive is short (connection: first k).
  kWakeDelay,      // Time that a packet of the peer takes (connection: delay k).
  kWorkerDelay,    // When a worker runs, not after its batch (ring: after delay k - 1).
  kTaskWorkOrder,  // Which of the queued wake-ups of different requests runs first (ring: k-th).
  kCancelOrder,    // A victim's CQE comes before its cancel's (ring).
  kNotEmptyHint,   // A completion lacks SOCK_NONEMPTY though more is there (file).
  kTimerOrder,     // Which of several timers of one deadline fires first (0: k-th).
  kEnterConsumesFewer,  // Enter takes k fewer SQEs than it was given (ring).
  kEnterInterrupted,    // A signal ends a wait (ring: after delay k - 1).
  kEnterAgain,          // Enter answers EAGAIN and does nothing (ring).
  kEnterBusy,           // Enter answers EBUSY and consumes nothing (ring).
  kAcceptFails,         // An accept meets the descriptor limit (listener).
  kResetLosesData,      // A reset sent takes the last k unread bytes along (connection).
  kSchedule,            // The world's: who runs next (who is due: the k-th after it).
  kInterrupt,           // The world's: a prompt ring's interrupt comes later (shard).
  kNotificationTime,    // A zero-copy send's notification, not when it would come by its size: a
                        // small one when its bytes were read, a large one at once (connection).
  kWorkerOrder,         // Which of the operations of a batch a worker takes first (ring: k-th).
  kWorkerStarted,       // A cancel finds a worker at work already (ring).
  kReadCold,            // A read has to wait for the disk (inode: after delay k - 1).
  kNameCold,            // A name is not in memory: a worker opens the file (ring).
  kReadFileShort,       // A read of a file gives less than there is (inode: k bytes).
  kWriteFileShort,      // A write to a file takes less than it was given (inode: k bytes).
  kNoSpace,             // What needs space answers ENOSPC (inode).
  kDiskError,           // A read or a write answers EIO (inode).
  kSyncFails,           // A sync answers EIO, and what it was to sync is lost (inode).
  kLinkTimeoutRace,     // A linked timeout expires although its operation just ended (ring).
  kBundleShort,         // A bundle takes fewer buffers than there are bytes for (connection: k).
  kBundleEnds,  // A multishot bundle ends, or not, against its habit: to end when it has emptied
                // its group (connection).
  kCount,
};

// A site's row in docs/choices.md.
struct SiteInfo {
  Site site;
  std::string_view name;  // As plans write it: "send.partial".
  Evidence evidence;
  std::string_view source;  // The fact, man page or kernel function that allows it.
};

// All sites in the order of the enumeration.
std::span<const SiteInfo> Sites();
const SiteInfo& InfoOf(Site site);
// Null when no site has this name.
const SiteInfo* FindSite(std::string_view name);

// Decides. Implementations must be functions of their arguments and of their own state alone.
class Choice {
 public:
  virtual ~Choice() = default;
  // A number below `alternatives`. REQUIRES: alternatives >= 1.
  virtual uint64_t Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) = 0;
};

// Always 0.
class BenignChoice final : public Choice {
 public:
  uint64_t Choose(Site, uint64_t, uint64_t, uint64_t) override { return 0; }
};

// A choice that was taken.
struct Chosen {
  uint64_t ordinal = 0;
  uint64_t answer = 0;
};

// The model's side: counts ordinals and checks the answer.
class Chooser {
 public:
  explicit Chooser(Choice& choice) : choice_(choice) {}

  // Entities are small: the counters are indexed by them.
  Chosen Choose(Site site, uint64_t entity, uint64_t alternatives) {
    ORRERY_CHECK(alternatives >= 1);
    if (alternatives == 1) return {};  // No freedom, no question.
    std::vector<uint64_t>& ordinals = ordinals_[static_cast<size_t>(site)];
    if (entity >= ordinals.size()) ordinals.resize(entity + 1);
    const uint64_t ordinal = ordinals[entity]++;
    const uint64_t answer = choice_.Choose(site, entity, ordinal, alternatives);
    ORRERY_CHECK(answer < alternatives);
    return {.ordinal = ordinal, .answer = answer};
  }

 private:
  Choice& choice_;
  std::array<std::vector<uint64_t>, static_cast<size_t>(Site::kCount)> ordinals_;
};

}  // namespace orrery::model

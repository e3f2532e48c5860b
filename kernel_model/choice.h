// Where the model may go one way or another, and who decides.
//
// The rules of the model say which outcomes are legal; a Choice picks one. Every point of freedom
// is a Site, asked for an entity (a socket, a ring: a small number given in order of creation,
// never an address) with an ordinal (how often this site was asked for this entity before).
// Alternative 0 is always the benign one: what an idle, healthy machine does. So a run is described
// by the choices that were not 0, and taking one away moves nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace orrery::model {

// How we know that a real kernel behaves so.
enum class Evidence : uint8_t {
  kWitnessed,   // Seen on a real kernel; a conformance test shows it.
  kDocumented,  // A man page or the kernel's source says so.
};

enum class Site : uint16_t {
  kSendPartial,         // A send takes fewer bytes than fit.
  kReceiveShort,        // A receive returns fewer bytes than are there.
  kWakeDelay,           // Time between an event and the wake-up of the request that waits for it.
  kWorkerDelay,         // How long an operation that runs on a worker takes.
  kTaskWorkOrder,       // Which of the queued wake-ups of different requests runs first.
  kCancelOrder,         // Whether a victim's CQE comes before its cancel's.
  kNotEmptyHint,        // Whether a completion carries SOCK_NONEMPTY.
  kTimerOrder,          // Which of several timers of one deadline fires first.
  kEnterConsumesFewer,  // Enter takes fewer SQEs than it was given.
  kEnterInterrupted,    // A signal ends a wait.
  kEnterAgain,          // Enter answers EAGAIN and does nothing.
  kEnterBusy,           // Enter answers EBUSY and does nothing.
  kAcceptFails,         // An accept meets the descriptor limit.
  kSchedule,            // The world's, not the kernel's: who runs next.
  kInterrupt,           // The world's: queued task work of a prompt ring runs later than it could.
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

// The model's side: counts ordinals and checks the answer.
class Chooser {
 public:
  explicit Chooser(Choice& choice) : choice_(choice) {}

  uint64_t Choose(Site site, uint64_t entity, uint64_t alternatives) {
    ORRERY_CHECK(alternatives >= 1);
    if (alternatives == 1) return 0;  // No freedom, no question.
    const uint64_t ordinal = ordinals_[{site, entity}]++;
    const uint64_t answer = choice_.Choose(site, entity, ordinal, alternatives);
    ORRERY_CHECK(answer < alternatives);
    return answer;
  }

 private:
  Choice& choice_;
  std::map<std::pair<Site, uint64_t>, uint64_t> ordinals_;
};

}  // namespace orrery::model

// What the clients of a run have done to the keys, and what they have been told: the material of
// the checker.
//
// An operation lasts from its call (all of it has been sent) to its return (all of its reply has
// come); one that never returned may have happened at any time after its call, or not at all.
// Points in time are numbers: each call and each return takes the next one. Single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace orrery::linearizability {

using Arguments = std::vector<std::string>;

inline constexpr uint64_t kNever = UINT64_MAX;

struct Operation {
  enum class Kind : uint8_t {
    kCommand,
    kWatch,        // WATCH: from here on changes of its keys count for a transaction.
    kTransaction,  // EXEC, with the commands that were queued.
  };
  Kind kind = Kind::kCommand;
  uint64_t client = 0;  // A connection; its operations are called in its order.
  // A command that others of its connection on other keys may overtake, if these flow as well: one
  // whose keys are all on one shard. All others keep their place.
  bool flows = false;
  int protocol = 2;  // RESP2 or RESP3, in which the replies are.
  uint64_t called = 0;
  uint64_t returned = kNever;
  std::vector<Arguments> commands;  // One, but for a transaction.
  // A reply for each command, as it came. Of one that has not returned, or was aborted: none.
  std::vector<std::string> replies;
  bool aborted = false;         // A transaction whose reply was nil.
  std::vector<size_t> watches;  // Of a transaction: the WATCHes that guard it, by index.
  bool guards = false;          // A WATCH that guards a transaction; set by the history.
  // When it seems to have taken effect. Not trusted: it only says what to try first.
  uint64_t hint = kNever;
  // The Unix time by which it went, where that matters to it, in milliseconds. Who tells the
  // history is believed.
  int64_t clock_ms = 0;

  bool answered() const { return returned != kNever; }
};

class History {
 public:
  // Begins an operation; it has the returned index. `called` and `returned` are set here.
  // REQUIRES: its watches are WATCHes of its client.
  size_t Call(Operation operation);
  // The operation has these replies. REQUIRES: it was called and has not returned.
  void Return(size_t index, std::vector<std::string> replies);
  // Somebody has seen it take effect just now, by this time.
  void Hint(size_t index, int64_t clock_ms);
  // The transaction's reply was nil.
  void ReturnAborted(size_t index);

  // In the order of their calls.
  const std::vector<Operation>& operations() const { return operations_; }

 private:
  Operation& Unreturned(size_t index);

  std::vector<Operation> operations_;
  uint64_t now_ = 0;
};

}  // namespace orrery::linearizability

// What travels between shards: what one asks of another, and what comes back.
//
// An errand belongs to its home, the shard that has made it, and is lent while it is away: then
// only the shard that has it touches it, but for what is said to be the home's. Mailboxes hand it
// over (runtime/mailboxes.h); a message is a pointer to it. Errands come from free lists of their
// home, so that the steady state allocates nothing, and each comes home again.
#pragma once

#include <cstdint>
#include <utility>

namespace orrery::server {

enum class ErrandKind : uint8_t {
  kCommand,          // A command runs where its keys are (server/command_errand.h).
  kGatherPart,       // A command that concerns all shards (server/gather_run.h).
  kPublicationPart,  // A message to the subscribers of another shard (server/publication.h).
  kConnection,       // An accepted connection, for its target to serve.
  kLentBody,         // A value that the reply of another shard has borrowed (server/lent_body.h).
  kTransactionPart,  // A transaction's part of one shard (server/transaction.h).
  kKeyWatch,         // Watched keys (server/key_watch.h).
  kFarewell,  // Its shard will ask for nothing any more. Is read only, and does not come back.
};

struct Errand {
  Errand(ErrandKind its_kind, unsigned its_home)
      : kind(its_kind), home(static_cast<uint16_t>(its_home)) {}
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;

  const ErrandKind kind;
  // It has been seen to, and goes or is home.
  bool returning = false;
  const uint16_t home;
};

struct ConnectionErrand : Errand {
  explicit ConnectionErrand(unsigned its_home) : Errand(ErrandKind::kConnection, its_home) {}
  int descriptor = -1;
  ConnectionErrand* next = nullptr;
};

// Errands at home that wait to be used, by their member `next`. One thread's.
template <typename T>
class ErrandPool {
 public:
  ErrandPool() = default;
  ErrandPool(const ErrandPool&) = delete;
  ErrandPool& operator=(const ErrandPool&) = delete;
  ~ErrandPool() {
    while (T* errand = Take()) delete errand;
  }

  // Null when there is none.
  T* Take() {
    if (first_ == nullptr) return nullptr;
    T* errand = std::exchange(first_, first_->next);
    errand->next = nullptr;
    return errand;
  }
  // Takes ownership.
  void Give(T& errand) { errand.next = std::exchange(first_, &errand); }

 private:
  T* first_ = nullptr;
};

}  // namespace orrery::server

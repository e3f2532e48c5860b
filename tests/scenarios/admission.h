// Which connections the server may refuse, from what the kernel and the server say of all of them.
//
// It serves `clients_max` at once and has to tell who comes beyond that; of `connections_max` that
// are open it can do no more than close the next one. Owned by the judge. Invariant: a connection
// is accepted once, served at most once, and closed at most once, in this order.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

namespace orrery::scenarios {

class Admission {
 public:
  void SetClientsMax(uint64_t clients_max);
  void SetConnectionsMax(uint64_t connections_max) { connections_max_ = connections_max; }

  void OnAccepted(uint64_t connection);
  // The server serves it from now on. False: it serves too many.
  [[nodiscard]] bool OnServed(uint64_t connection);
  // The server does not serve it any more; it learns of the close later than the kernel.
  void OnGone(uint64_t connection);
  // Its descriptor is closed.
  void OnClosed(uint64_t connection);
  void OnTurn();

  // Whether the server has had as many clients as it serves at some time in the connection's life,
  // and does not serve it.
  bool MayRefuse(uint64_t connection) const;
  // Whether there were too many connections when it was accepted.
  bool MayDrop(uint64_t connection) const;

 private:
  struct Connection {
    uint64_t accepted_at = 0;  // In steps.
    bool beyond_connections_max = false;
    bool served = false;
    bool gone = false;
    bool closed = false;
    bool was_full = false;  // By the time when it was closed.
  };

  // After so many turns the server has seen every completion of before, and a slot is free again.
  static constexpr uint64_t kTurnsToSee = 16;

  bool full() const { return served_ >= clients_max_; }
  bool FullSince(uint64_t step) const { return full() || last_full_ >= step; }
  // Before anything changes.
  void NextStep();

  uint64_t clients_max_ = UINT64_MAX;
  uint64_t connections_max_ = UINT64_MAX;
  std::map<uint64_t, Connection> connections_;  // All that were accepted.
  uint64_t open_ = 0;
  uint64_t served_ = 0;       // As the server sees it.
  uint64_t served_open_ = 0;  // Those of them that are not closed.
  uint64_t turn_ = 0;
  std::deque<uint64_t> closes_;  // The turns of those that the server may not have seen.
  uint64_t step_ = 1;
  uint64_t last_full_ = 0;  // The last step at which it was full.
};

}  // namespace orrery::scenarios

// One shard of the server: a reactor, the keys, and a session for each connection.
//
// The way of a command: bytes of a connection's event -> frame (resp_parser) -> command
// (command_table) -> keyspace -> reply (reply_writer) -> the connection's output -> the reactor
// sends it. Commands of one connection run in order, and their replies leave in order.
// Back-pressure: a connection whose output has grown past a limit is read no further until enough
// of it has gone out, so a peer that does not read costs bounded memory.
//
// Thread: made, driven and destroyed on the ring's thread, except RequestStop().
#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/reactor.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "server/commands.h"
#include "server/session.h"

namespace orrery::server {

struct ShardOptions {
  ReactorOptions reactor;
  ListenOptions listen;
  // Connections served at once; one more is refused with Redis's error.
  uint32_t clients_max = 10'000;
  // A connection is read no further while more than this waits to be sent to it.
  size_t output_pause_bytes = 1 * kMiB;
  // ... and is read again when less than this is left.
  size_t output_resume_bytes = 256 * kKiB;
  // Time between two looks for expired keys, and how many keys one look may visit.
  Nanoseconds expire_period = 100 * kMillisecond;
  uint32_t expire_budget = 200;
};

class Shard final : public Application {
 public:
  // Listens and sets everything up; nothing is submitted before the first Turn(). The error is one
  // line for a person. `ring` and `kernel` must outlive the shard; `observer` (may be null) too.
  static std::expected<std::unique_ptr<Shard>, std::string> Create(Ring& ring, Kernel& kernel,
                                                                   const ShardOptions& options,
                                                                   CommandObserver* observer);
  ~Shard() override;

  EnterRequest Turn() { return reactor_->Turn(); }
  void OnEntered(const EnterResult& result) { reactor_->OnEntered(result); }
  bool finished() const { return reactor_->finished(); }

  // Stops accepting, lets every connection have its replies, and finishes. Any thread, and signal
  // handlers: it is one store; the caller rings waker() afterwards. A second request ends what is
  // still open.
  void RequestStop() { stop_requests_.fetch_add(1, std::memory_order_relaxed); }
  // The eventfd that wakes the shard.
  int waker() const { return waker_; }

  uint16_t port() const { return port_; }
  const Reactor& reactor() const { return *reactor_; }

  // Application.
  void OnEvents(std::span<const ConnectionEvent> events) override;
  void OnWoken() override;
  Nanoseconds OnTurn(Nanoseconds now) override;

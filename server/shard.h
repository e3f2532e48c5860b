// One shard of the server: a reactor, the keys, and a session for each connection.
//
// The way of a command: bytes of a connection's event -> frame (resp_parser) -> command
// (command_table) -> keyspace -> reply (reply_writer) -> the connection's output -> the reactor
// sends it. Commands of one connection run in order, and their replies leave in order.
// Back-pressure: a connection whose output has grown past a limit is read no further until enough
// of it has gone out, so a peer that does not read costs bounded memory. Where there are several
// shards, a router (server/router.h) stands between the commands and the keyspace.
//
// Thread: made, driven and destroyed on the ring's thread, except RequestStop().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/slab.h"
#include "base/units.h"
#include "runtime/incoming_body.h"
#include "runtime/reactor.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "server/client_limits.h"
#include "server/command_table.h"
#include "server/commands.h"
#include "server/config.h"
#include "server/keyspace.h"
#include "server/router.h"
#include "server/server_context.h"
#include "server/session.h"
#include "server/shard_group.h"
#include "server/subscriptions.h"

namespace orrery::server {

struct ShardOptions {
  ReactorOptions reactor;
  ListenOptions listen;
  // What the configuration is at first; `bind` and `port` are those of `listen`.
  ServerConfig config;
  // A connection is read no further while more than this waits to be sent to it,
  size_t output_pause_bytes = 1 * kMiB;
  // and is read again when less than this is left.
  size_t output_resume_bytes = 256 * kKiB;
  // An argument of which this much or more has not arrived is received in its own memory, which
  // then becomes the value. kNeverInPlace: none is.
  static constexpr size_t kNeverInPlace = std::numeric_limits<size_t>::max();
  size_t in_place_bytes_min = 32 * kKiB;
  // For so much of it memory is there before it has come; for more, as it comes.
  size_t in_place_trusted_bytes = IncomingBody::kTrustedBytes;
  // Time between two rounds of background work (expired keys, growth of the table), also while much
  // is left to do, and what each of the two may cost (Keyspace::ExpireSome(), Keyspace::Step()).
  Nanoseconds background_period = 100 * kMillisecond;
  Nanoseconds background_period_busy = 1 * kMillisecond;
  uint32_t background_buckets = 128;
  // How finely the table of keys grows (Keyspace::Keyspace()).
  uint32_t table_segment_bits = Keyspace::kSegmentBits;
  // While a client's command waits for other shards, more than this of what comes behind it stays
  // in the socket.
  size_t waiting_input_bytes_max = 64 * kKiB;
  RouterOptions router;
  // Of the file that `config` came from; null when there is none. It must outlive the shard.
  ConfigStore* config_store = nullptr;
  ProgramIdentity program;
};

// Why nothing can be listened on, for a person.
std::string ExplainListenError(const ListenOptions& listen, Errno error);

class Shard final : public Application, private ServerHost, private RoutedClients {
 public:
  // Listens and sets everything up; nothing is submitted before the first Turn(). The error is one
  // line for a person. `ring`, `kernel` and the group of `place` must outlive the shard; `observer`
  // (may be null) too.
  static std::expected<std::unique_ptr<Shard>, std::string> Create(Ring& ring, Kernel& kernel,
                                                                   const ShardOptions& options,
                                                                   CommandObserver* observer,
                                                                   const ShardPlace& place = {});
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  // REQUIRES: finished(), or never turned.
  ~Shard() override;

  EnterRequest Turn() { return reactor_->Turn(); }
  void OnEntered(const EnterResult& result) { reactor_->OnEntered(result); }
  bool finished() const { return reactor_->finished(); }

  // Stops accepting, lets every client have its replies, and finishes, as do all shards of the
  // group: one serves the others until none has clients. A second request ends at once what is
  // still open. Any thread, and signal handlers: it is one store; ring the wakers afterwards.
  void RequestStop() { group_.RequestStop(); }
  // The eventfd that wakes the shard when it is written to.
  int waker() const { return waker_; }

  uint16_t port() const { return port_; }
  const Connection& ConnectionOf(const Client& client) const {
    return SessionOf(client).connection;
  }
  ClientMemory MemoryOf(const Client& client) const override;
  // What all clients' unprocessed input takes, without arguments that are received in place.
  // O(connections).
  size_t input_memory_bytes() const;
  const Reactor& reactor() const { return *reactor_; }
  // Null: it is the only shard.
  const Router* router() const { return router_.get(); }
  const Keyspace& keyspace() const { return keyspace_; }
  const Subscriptions& subscriptions() const { return subscriptions_; }
  const WatchTable& watches() const { return context_.watches; }

  // Application.
  void OnEvents(std::span<const ConnectionEvent> events) override;
  void OnWoken() override;
  void OnAccepted(int descriptor) override { router_->HandOut(descriptor); }
  Nanoseconds OnTurn(Nanoseconds now) override;
  bool TrySleep() override { return router_ == nullptr || router_->mail().TryArm(); }
  void OnAwake() override;
  bool MayEnd() override { return router_ == nullptr || router_->all_left(); }

 private:
  Shard(Kernel& kernel, const ShardOptions& options, CommandObserver* observer,
        const ShardPlace& place);

  Session& SessionOf(const Connection& connection) { return *sessions_[connection.handle().index]; }
  // Gets it near; there may be none yet.
  void PrefetchSession(const Connection& connection) const {
    const size_t index = connection.handle().index;
    if (index < sessions_.size()) __builtin_prefetch(sessions_[index].get());
  }
  void ReadClocks();
  void Open(Connection& connection);
  void Receive(Connection& connection, Session& session, std::string_view data);
  // Processes what the session has kept, as far as the output has room.
  void Resume(Connection& connection, Session& session);
  // Whether the client may have so much waiting for it. To be asked whenever it has more or less.
  bool OutputFits(Session& session);
  // Some of its output has gone.
  void AfterSending(Connection& connection, Session& session);
  // What follows from the state that processing has left: send, pause or resume, finish, cut off.
  void AfterProcessing(Connection& connection, Session& session, ProcessEnd end);
  // Reads nothing more from the client, and ends the connection when it has all its replies.
  void FinishWhenReplied(Connection& connection, Session& session);
  void Stop();
  // maxmemory is a limit of all shards together.
  void ShareMemoryCounts();
  // Says good-bye to the other shards when there will be no clients here any more.
  void LeaveWhenEmpty();
  // Expiry, growth of the table, pauses: until when there is nothing to do.
  Nanoseconds WorkInBackground(Nanoseconds now);
  // Has a long argument at the end of the input received in its own memory.
  void ReceiveInPlace(Connection& connection, Session& session);
  // Hands a body that is complete to the parser. False: it is not.
  bool SupplyBody(Connection& connection, Session& session);
  void Close(Connection& connection);
  // Says `why` as a whole reply, and ends the connection.
  void Refuse(Session& session, std::string_view why);
  // Ends the connection of a client that costs too much. What it had sent and was to get is lost.
  void CutOff(Session& session, CutReason reason);
  void CutOffDoomed();
  void EnforceLimit(Session& session, ClientLimits::Verdict verdict);
  // Whether protected mode keeps the client out.
  bool MustDeny(Client& client);
  // Has the kernel ask the peers of connections accepted from now on whether they are there.
  void SetKeepalive();
  void CountExpiration(const Keyspace::Expiration& seen);
  // Goes on with who waited for the end of a pause. Returns when to look again.
  Nanoseconds ContinuePaused(Nanoseconds now);
  Session& SessionOf(const Client& client) const;

  // ServerHost.
  void Kill(Client& client) override;
  void Configure(const ServerConfig& config) override;
  void Shutdown() override;
  bool Push(Client& client, PushMessage& message) override;
  void FindAddresses(Client& client) override;
  uint64_t CopiedOutputBytes() const override;
  ProcessUsage Usage() override { return kernel_.Usage(); }
  Nanoseconds MonotonicNow() override { return kernel_.MonotonicNow(); }

  // RoutedClients.
  PendingOutput* OutputOf(Client& client) override;
  void Continue(Client& client) override;
  void Adopt(int descriptor) override;

  Kernel& kernel_;
  ShardOptions options_;
  CommandTable command_table_;
  Keyspace keyspace_;
  Subscriptions subscriptions_;
  ServerContext context_;
  // That of `place`, or one of its own.
  std::unique_ptr<ShardGroup> own_group_;
  ShardGroup& group_;
  std::unique_ptr<Router> router_;  // Null where there is one shard.
  CommandProcessor processor_;
  ClientLimits limits_;
  IntrusiveList<Session, &Session::paused_link> paused_;
  // Cut off at the end of the turn: when it is noticed, somebody goes through the subscriptions.
  std::vector<SlotHandle> doomed_;
  // By the index of the connection's slot. Not a vector: one that grows leaves its old memory
  // behind.
  std::deque<std::unique_ptr<Session>> sessions_;
  Nanoseconds next_background_ = 0;
  uint32_t stops_done_ = 0;
  int listener_ = -1;  // The reactor's, until it stops; -1: another shard accepts.
  int waker_ = -1;
  uint16_t port_ = 0;
  // Last: what it holds borrows from the members above.
  std::unique_ptr<Reactor> reactor_;
};

}  // namespace orrery::server

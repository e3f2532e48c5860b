// Brings the commands of a shard's clients to where their keys are, and their replies back in
// order.
//
// A command whose keys are all on one shard runs there: here at once, elsewhere as an errand. Such
// commands flow: the next one is read while replies are on their way, and each client has a queue
// of replies that are due, which is emptied from its front only. Messages to subscribers flow
// likewise behind each other, but start when all that is before them has taken effect: who receives
// one may count on it. Every other command is a barrier:
// it waits until no reply of its client is due, and if it runs on several shards (a wide command:
// gathers, transactions), later ones wait for its end.
//
// Bounds, so that memory is: a client has `replies_max` replies due at most, and one wide command;
// a shard has `errands_max` commands on their way to each other shard. Who would exceed it waits,
// and is not read any further when much has come behind.
//
// Why no two shards wait for each other for ever: only clients wait, never shards. Whatever there
// is no credit for, a shard goes on taking mail, running errands and posting them back, for which
// it needs no credit; posting is never refused (what has no room in a mailbox stays, in order, and
// is bounded by the errands that there are). So every errand comes home, and with it its credit,
// which goes to who has waited longest.
//
// Owned by the shard, used by its thread only. There is none where there is one shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/intrusive_list.h"
#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_errand.h"
#include "server/command_table.h"
#include "server/errand.h"
#include "server/gather.h"
#include "server/gather_run.h"
#include "server/lent_body.h"
#include "server/publication.h"
#include "server/publish.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/server_context.h"
#include "server/shard_group.h"
#include "server/transactor.h"

namespace orrery::server {

struct RouterOptions {
  // Replies that one client has due.
  uint32_t replies_max = 128;
  // Commands on their way to one shard.
  uint32_t errands_max = 1024;
};

// Who knows the clients' connections.
class RoutedClients {
 public:
  virtual ~RoutedClients() = default;
  // Where the client's replies go. Null: it gets none any more.
  virtual PendingOutput* OutputOf(Client& client) = 0;
  // Replies have come, or what its commands waited for: send them, and go on with what it has sent.
  virtual void Continue(Client& client) = 0;
  // Serves an accepted connection, or closes it.
  virtual void Adopt(int descriptor) = 0;
};

class Router final : private TransactorHost, public GatherStarter, public RemoteListeners {
 public:
  // Everything must outlive the router. Errands of it that are away must have come home before it
  // dies (Leave()).
  Router(const ShardPlace& place, const RouterOptions& options, ServerContext& server,
         RoutedClients& clients);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;
  ~Router() override;

  // --- For the command processor.

  // Where a command's keys are.
  enum class Extent : uint8_t { kNoKeys, kOneShard, kSeveralShards, kListeners };
  struct Target {
    Extent extent = Extent::kNoKeys;
    uint32_t shard = 0;  // With kOneShard.
  };
  // `spec` is what the table has under its name, or null.
  Target TargetOf(const Command& command, const CommandSpec* spec) const;
  bool IsHere(const Target& target) const {
    return target.extent == Extent::kOneShard && target.shard == self_;
  }

  // Runs the command, or sends it. False: it has not begun and waits; present it again when the
  // client is to go on. `reply` writes to the client's output, muted if this reply is.
  [[nodiscard]] bool Run(Command& command, const CommandSpec* spec, const Target& target,
                         uint64_t first_key_hash, Client& client, ReplyWriter& reply);
  // Whether a reply would be the client's next one. If not, the client waits for that.
  [[nodiscard]] bool RepliesAreIn(Client& client);

  // --- For the shard, each turn.

  // Takes mail and does what it asks for, hands replies to the clients, and lets those go on that
  // need not wait any more. Whether there was mail.
  bool Turn();
  ErrandMail& mail() { return mail_; }
  const ErrandMail& mail() const { return mail_; }

  // Takes an accepted connection to one shard after the other, this one included.
  void HandOut(int descriptor);

  // The client has gone, or gets nothing any more: what is on its way for it will end unseen.
  void Forget(Client& client);

  // --- The end. A shard serves the others until none of them has clients any more.

  // Errands of this shard that are not at home: of its clients, and values that others have
  // borrowed.
  size_t away() const { return away_; }
  size_t lent() const { return lent_; }
  const Transactor& transactor() const { return transactor_; }
  // Nothing of this shard's clients is on its way.
  bool idle() const { return away_ == 0 && transactor_.idle(); }
  // There will be no clients here any more. REQUIRES: idle(). Once.
  void Leave();
  bool has_left() const { return left_; }
  // All shards have left, and nobody needs this one.
  bool all_left() const;

  // --- For wide commands.

  // The client's command becomes `wide`: its reply is muted as the command's is, and its later
  // commands wait. The rest of the handler is left to EndWide().
  void BeginWide(WideCommand& wide, Client& client);
  // Calls write(client, reply) for the reply, if the client is still there; it goes on afterwards.
  template <typename Write>
  void EndWide(WideCommand& wide, Write write) {
    if (wide.client == nullptr) return;
    Client& client = *std::exchange(wide.client, nullptr);
    client.route->wide = nullptr;
    client.route->wait = RouteWait::kNothing;
    if (PendingOutput* output = clients_.OutputOf(client)) {
      ReplyWriter reply(*output, client.version, server_.stats.errors);
      reply.set_muted(wide.muted);
      write(client, reply);
      if (client.closing) client.route->wait = RouteWait::kEnd;
    }
    Touch(client);
  }
  void Start(CommandCall& call, Gather& gather, GatherOrder order) override;

  // --- For messages to subscribers.

  bool Publish(CommandCall& call, TopicKind kind, const Payload& payload,
               int64_t receivers) override;

  // For the loans of bodies: the last reference has gone.
  void GiveBack(LentBody& lent) { Post(lent.home, lent); }

 private:
  // Commands that have arrived and run together, so that their keys are near by then.
  static constexpr size_t kArrivedMax = 16;

  using StalledList = IntrusiveList<ClientRoute, &ClientRoute::stalled_link>;
  struct Peer {
    uint32_t away = 0;    // Commands that are there, or on their way.
    StalledList stalled;  // Clients that wait for credit.
  };

  // TransactorHost.
  void Post(unsigned target, Errand& errand) override { mail_.Post(target, &errand); }
  void OnLocked(Errand& locked) override;
  void OnReply(Transaction& transaction) override;

  void Touch(Client& client);
  // A new one at the end of the client's queue.
  CommandErrand& Enqueue(Client& client);
  // Where a reply goes that comes behind all that are due. REQUIRES: some are.
  PendingOutput& Behind(Client& client);
  void RunHere(Command& command, const CommandSpec* spec, uint64_t first_key_hash, Client& client,
               ReplyWriter& reply);
  // Whether there is credit for an errand to the shard. If not, the client waits for it.
  bool HasCredit(uint32_t shard, Client& client);
  // Whether the client may publish now. If not, it waits.
  bool MayPublish(const Command& command, const CommandSpec& spec, Client& client);
  // Whether there was credit for it.
  bool Send(Command& command, const CommandSpec* spec, uint32_t shard, uint64_t first_key_hash,
            Client& client);
  // Whether a transaction holds keys of a command up that is to run here.
  bool MustWaitHere(const Command& command, const CommandSpec* spec);

  void Receive(Errand& errand);
  void RunArrived();
  // Runs it, or has it wait for its keys.
  void Arrive(CommandErrand& errand, uint64_t first_key_hash);
  void RunErrand(CommandErrand& errand, uint64_t first_key_hash);
  void ComeHome(CommandErrand& errand);
  SharedBytes Lend(SharedBytes body, Router& borrower);
  void ReceiveConnection(ConnectionErrand& errand);
  void ReceivePart(GatherPart& part);
  void ReceivePart(PublicationPart& part);
  void EndPublication(Publication& publication);
  // Fills listening_ with the other shards where somebody may listen to the channel.
  void FindListening(TopicKind kind, std::string_view channel);

  // Hands over what has come for the client.
  void Serve(Client& client);
  // Takes the replies at the front of the queue that are complete.
  void Collect(Client& client, PendingOutput& output);
  // Lets clients go on that waited for credit.
  void SpendCredit();
  void Release(CommandErrand& errand);

  const RouterOptions options_;
  ShardGroup& group_;
  ServerContext& server_;
  RoutedClients& clients_;
  ErrandMail mail_;
  const uint32_t self_;
  std::vector<Peer> peers_;
  Transactor transactor_;
  std::vector<Client*> touched_;
  Client* resumed_ = nullptr;  // It has been given credit, before all others.
  size_t stalled_ = 0;         // In all lists.
  size_t away_ = 0;            // Errands of this shard, but for loans.
  size_t lent_ = 0;
  bool left_ = false;
  uint32_t farewells_ = 0;
  uint32_t next_to_serve_ = 0;  // What is handed out.
  Client visitor_;              // Stands in for the clients of other shards.
  std::array<CommandErrand*, kArrivedMax> arrived_{};
  size_t arrived_count_ = 0;
  ErrandPool<CommandErrand> command_pool_;
  ErrandPool<ConnectionErrand> connection_pool_;
  ErrandPool<LentBody> loan_pool_;
  ErrandPool<GatherRun> gather_pool_;
  ErrandPool<Publication> publication_pool_;
  std::vector<uint32_t> listening_;
};

}  // namespace orrery::server

#include "server/shard.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "base/siphash.h"
#include "server/authentication.h"

namespace orrery::server {
namespace {

// More than one in so many expired among the keys that a round looked at makes the next one come
// soon. Redis bears as much.
constexpr uint32_t kStaleOneIn = 10;
// While clients wait for the end of a pause, the shard looks at it this often at least: in
// nanoseconds, the end of a long one is no number.
constexpr int64_t kPauseLookMs = 1000;

SipHashKey DrawHashKey(Kernel& kernel) {
  std::array<std::byte, 16> bytes;
  kernel.Entropy(bytes);
  SipHashKey key;
  static_assert(sizeof key == sizeof bytes);
  std::memcpy(&key, bytes.data(), sizeof key);
  return key;
}

// 40 hexadecimal digits that tell this run from all others.
std::string DrawId(Kernel& kernel) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<std::byte, 20> bytes;
  kernel.Entropy(bytes);
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

}  // namespace

std::string ExplainListenError(const ListenOptions& listen, Errno error) {
  const std::string where = listen.address + ":" + std::to_string(listen.port);
  if (error == EADDRINUSE)
    return "port already in use: " + where + " (stop what listens there, or choose another --port)";
  if (error == EINVAL)
    return "not a numeric IPv4 or IPv6 address: " + listen.address + " (see --bind)";
  return "cannot listen on " + where + ": " + error.ToString();
}

std::expected<std::unique_ptr<Shard>, std::string> Shard::Create(Ring& ring, Kernel& kernel,
                                                                 const ShardOptions& options,
                                                                 CommandObserver* observer,
                                                                 const ShardPlace& place) {
  const auto listener =
      place.listener ? std::expected<int, Errno>(*place.listener) : kernel.Listen(options.listen);
  if (!listener) return std::unexpected(ExplainListenError(options.listen, listener.error()));
  const auto port = kernel.LocalPort(*listener);
  const bool alone = place.group == nullptr;
  const auto waker = alone ? kernel.MakeEventFd() : place.group->bells().eventfd(place.index);
  std::unique_ptr<Shard> shard(new Shard(kernel, options, observer, place));
  auto reactor = Reactor::Create(ring, kernel, *shard, options.reactor);
  const bool accepts = place.accepting != ShardPlace::Accepting::kNothing;
  if (!port || !waker || !reactor) {
    if (accepts) kernel.Close(*listener);
    if (alone && waker) kernel.Close(*waker);
    const Errno error = !port ? port.error() : !waker ? waker.error() : reactor.error();
    return std::unexpected("cannot set up the shard: " + error.ToString());
  }
  shard->port_ = *port;
  shard->context_.config.port = *port;
  shard->waker_ = *waker;
  shard->reactor_ = std::move(*reactor);
  const auto for_all =
      shard->router_ == nullptr ? Reactor::Accepted::kServed : Reactor::Accepted::kHandedOut;
  if (accepts) {
    const bool own = place.accepting == ShardPlace::Accepting::kForItself;
    shard->listener_ = *listener;
    shard->SetKeepalive();
    shard->reactor_->Listen(*listener, own ? Reactor::Accepted::kServed : for_all);
  }
  if (place.shared_listener) shard->reactor_->Listen(*place.shared_listener, for_all);
  shard->reactor_->Watch(*waker, alone ? Reactor::Ownership::kTaken : Reactor::Ownership::kLent);
  return shard;
}

Shard::Shard(Kernel& kernel, const ShardOptions& options, CommandObserver* observer,
             const ShardPlace& place)
    : kernel_(kernel),
      options_(options),
      keyspace_(DrawHashKey(kernel), options.table_segment_bits),
      subscriptions_(keyspace_.hash()),
      context_{.keyspace = keyspace_,
               .subscriptions = subscriptions_,
               .commands = command_table_,
               .observer = observer,
               .host = this},
      own_group_(place.group == nullptr ? std::make_unique<ShardGroup>(MailboxOptions{}) : nullptr),
      group_(place.group == nullptr ? *own_group_ : *place.group),
      router_(group_.shards() == 1 ? nullptr
                                   : std::make_unique<Router>(place, options.router, context_,
                                                              static_cast<RoutedClients&>(*this))),
      processor_(context_, router_.get()),
      limits_(context_.config) {
  ORRERY_CHECK(options.output_resume_bytes < options.output_pause_bytes);
  keyspace_.ObserveExpiry(observer);
  context_.prng = Prng(DrawHashKey(kernel).low);
  context_.config = options.config;
  context_.config.bind = options.listen.address;
  context_.identity.run_id = DrawId(kernel);
  context_.identity.replication_id = DrawId(kernel);
  context_.identity.started_ns = kernel.MonotonicNow();
  context_.identity.started_s = kernel.RealtimeNow() / kSecond;
  context_.identity.memory_bytes_at_start = keyspace_.memory_bytes();
  context_.config_store = options.config_store;
  context_.identity.program = options.program;
  context_.slow_log.SetPlace(group_.shards(), place.index);
}

Shard::~Shard() = default;

void Shard::ReadClocks() {
  const Nanoseconds realtime = kernel_.RealtimeNow();
  context_.now_ms = realtime / kMillisecond;
  context_.now_us = realtime / kMicrosecond;
  context_.monotonic_ns = reactor_->now();
}

void Shard::OnEvents(std::span<const ConnectionEvent> events) {
  ReadClocks();
  for (size_t i = 0; i < events.size(); ++i) {
    const ConnectionEvent& event = events[i];
    Connection& connection = *event.connection;
    if (i + 1 < events.size()) PrefetchSession(*events[i + 1].connection);
    switch (event.kind) {
      case ConnectionEvent::Kind::kOpened:
        Open(connection);
        break;
      case ConnectionEvent::Kind::kData:
        context_.stats.input_bytes += event.data.size();
        ++context_.stats.reads_processed;
        if (connection.open()) Receive(connection, SessionOf(connection), event.data);
        break;
      case ConnectionEvent::Kind::kBody:
        // Nothing is to be done before the end of line behind it has come.
        if (connection.open()) (void)SupplyBody(connection, SessionOf(connection));
        break;
      case ConnectionEvent::Kind::kSent:
        if (connection.open()) AfterSending(connection, SessionOf(connection));
        break;
      case ConnectionEvent::Kind::kEndOfInput:
        if (connection.open()) {
          SessionOf(connection).end_of_input = true;
          Resume(connection, SessionOf(connection));
        }
        break;
      case ConnectionEvent::Kind::kClosed:
        Close(connection);
        break;
    }
  }
  context_.stats.output_bytes =
      reactor_->counters().sent_bytes - context_.stats.output_bytes_before;
}

void Shard::Open(Connection& connection) {
  const size_t index = connection.handle().index;
  if (index >= sessions_.size()) sessions_.resize(index + 1);
  ORRERY_CHECK(sessions_[index] == nullptr);
  sessions_[index] = std::make_unique<Session>(connection);
  Session& session = *sessions_[index];
  Client& client = session.client;
  client.descriptor = connection.descriptor();
  if (router_ != nullptr) client.route = std::make_unique<ClientRoute>(client);
  if (stops_done_ > 0) {
    session.refused = true;
    reactor_->Abort(connection);
    return;
  }
  if (!group_.TryAdmit(context_.config.clients_max)) {
    return Refuse(session, "-ERR max number of clients reached\r\n");
  }
  if (MustDeny(client)) {
    group_.Dismiss();
    return Refuse(session, DeniedReply());
  }
  ++context_.stats.connections_received;
  ++context_.connected_clients;
  client.id = group_.NextClientId();
  client.connected_ns = client.last_command_ns = reactor_->now();
  client.connection_index = static_cast<uint32_t>(index);
  client.authenticated = context_.config.password.empty();
  context_.clients.PushBack(client);
  limits_.Add(session);
  if (context_.observer != nullptr) context_.observer->OnClient(client);
}

void Shard::Refuse(Session& session, std::string_view why) {
  ++context_.stats.connections_rejected;
  session.refused = true;
  session.connection.output().Append(why);
  reactor_->Finish(session.connection);
}

bool Shard::MustDeny(Client& client) {
  if (!MayDeny(context_.config)) return false;
  FindAddresses(client);
  // One whose peer has gone, or whose address cannot be asked, is not known to be local.
  const std::string& address = client.names().address;
  return !IsLocal(address) && !IsUnixClient(address);
}

void Shard::Receive(Connection& connection, Session& session, std::string_view data) {
  if (session.finishing) return;
  ORRERY_MARK_IF(!session.input.empty(), "input.unfinished-frame-goes-on");
  if (connection.body() != nullptr) {
    // It arrived before the kernel had stopped receiving elsewhere.
    data.remove_prefix(reactor_->FeedBody(connection, data));
    if (!SupplyBody(connection, session)) return;
  }
  // While reads are paused: it arrived before the kernel had stopped receiving.
  if (!session.input.empty() || connection.reads_paused()) {
    session.input.Append(data);
    if (!connection.reads_paused()) Resume(connection, session);
    return;
  }
  // The usual case: whole frames, processed where the kernel has put them.
  const ProcessResult result =
      processor_.Process(data, session.client, connection.output(), options_.output_pause_bytes);
  session.input.Append(data.substr(result.consumed_bytes));
  AfterProcessing(connection, session, result.end);
}

void Shard::Resume(Connection& connection, Session& session) {
  if (session.finishing) return;
  if (connection.reads_paused() && connection.output().size_bytes() > options_.output_resume_bytes)
    return;
  const ProcessResult result = processor_.Process(session.input.view(), session.client,
                                                  connection.output(), options_.output_pause_bytes);
  session.input.ConsumeFront(result.consumed_bytes);
  AfterProcessing(connection, session, result.end);
}

bool Shard::OutputFits(Session& session) {
  const bool fits = limits_.OutputFits(session, reactor_->now());
  // While it is over its soft limit, it matters when it is below it.
  reactor_->ReportSends(session.connection, ClientLimits::IsKnownOverSoftLimit(session));
  return fits;
}

void Shard::AfterSending(Connection& connection, Session& session) {
  if (!OutputFits(session)) return CutOff(session, CutReason::kOutput);
  if (connection.reads_paused()) Resume(connection, session);
}

void Shard::AfterProcessing(Connection& connection, Session& session, ProcessEnd end) {
  if (!OutputFits(session)) return CutOff(session, CutReason::kOutput);
  switch (end) {
    case ProcessEnd::kOutputFull:
      ORRERY_MARK("output.full");
      ORRERY_MARK_IF(connection.reads_paused(), "output.full-again");
      reactor_->PauseReads(connection);
      break;
    case ProcessEnd::kPaused:
      // What it has sent beyond this waits in the socket.
      reactor_->PauseReads(connection);
      if (!session.paused_link.linked()) paused_.PushBack(session);
      break;
    case ProcessEnd::kWaiting:
      if (session.input.size() > options_.waiting_input_bytes_max) reactor_->PauseReads(connection);
      break;
    case ProcessEnd::kClosing:
      FinishWhenReplied(connection, session);
      break;
    case ProcessEnd::kNeedMore:
      if (session.end_of_input) {
        ORRERY_MARK_IF(connection.reads_paused(), "output.full-at-the-end-of-input");
        ORRERY_MARK_IF(!session.input.empty(), "input.ends-inside-a-frame");
        FinishWhenReplied(connection, session);
      } else if (session.input.size() + session.client.parser.supplied_bytes() +
                     session.client.transaction_bytes() >
                 context_.config.input_bytes_max) {
        return CutOff(session, CutReason::kInput);
      } else {
        if (connection.reads_paused()) reactor_->ResumeReads(connection);
        ReceiveInPlace(connection, session);
      }
      break;
  }
  reactor_->Flush(connection);
}

void Shard::FinishWhenReplied(Connection& connection, Session& session) {
  session.finishing = true;
  // What is published from now on is not for it any more.
  subscriptions_.Drop(session.client);
  if (context_.observer != nullptr && !session.refused) {
    context_.observer->OnLeaving(session.client);
  }
  if (!session.client.owes_replies()) reactor_->Finish(connection);
}

PendingOutput* Shard::OutputOf(Client& client) {
  Connection& connection = SessionOf(client).connection;
  return connection.open() ? &connection.output() : nullptr;
}

void Shard::Continue(Client& client) {
  Session& session = SessionOf(client);
  Connection& connection = session.connection;
  if (!connection.open()) return;
  if (!OutputFits(session)) return CutOff(session, CutReason::kOutput);
  if (session.finishing) {
    FinishWhenReplied(connection, session);
  } else if (connection.reads_paused() || !session.input.empty() || session.end_of_input ||
             client.closing) {
    Resume(connection, session);
  }
  reactor_->Flush(connection);
}

void Shard::Adopt(int descriptor) {
  if (Connection* connection = reactor_->Adopt(descriptor)) Open(*connection);
}

void Shard::ReceiveInPlace(Connection& connection, Session& session) {
  const std::optional<RespParser::OpenBulk> bulk = session.client.parser.open_bulk();
  if (!bulk || connection.body() != nullptr) return;
  const std::string_view arrived = session.input.view().substr(bulk->offset);
  if (arrived.size() >= bulk->bytes || bulk->bytes - arrived.size() < options_.in_place_bytes_min) {
    return;
  }
  ORRERY_MARK_IF(arrived.empty(), "body.from-its-first-byte");
  IncomingBody body(bulk->bytes, options_.in_place_trusted_bytes);
  body.Append(arrived);
  session.input.Truncate(bulk->offset);
  reactor_->ReceiveBody(connection, std::move(body));
}

bool Shard::SupplyBody(Connection& connection, Session& session) {
  std::optional<SharedBytes> body = reactor_->TakeBody(connection);
  if (!body) return false;
  session.client.parser.SupplyBulk(*std::move(body));
  return true;
}

void Shard::Close(Connection& connection) {
  std::unique_ptr<Session>& session = sessions_[connection.handle().index];
  if (!session->refused) {
    --context_.connected_clients;
    group_.Dismiss();
    if (context_.observer != nullptr) context_.observer->OnClientGone(session->client);
  }
  if (session->client.link.linked()) context_.clients.Remove(session->client);
  limits_.Remove(*session);
  if (session->paused_link.linked()) paused_.Remove(*session);
  subscriptions_.Drop(session->client);
  if (router_ != nullptr) router_->Forget(session->client);
  session.reset();
}

Session& Shard::SessionOf(const Client& client) const {
  Session& session = *sessions_[client.connection_index];
  ORRERY_CHECK(&session.client == &client);
  return session;
}

void Shard::Kill(Client& client) {
  context_.clients.Remove(client);
  subscriptions_.Drop(client);
  reactor_->Abort(SessionOf(client).connection);
}

void Shard::CutOff(Session& session, CutReason reason) {
  if (!session.connection.open()) return;
  ORRERY_MARK_IF(reason == CutReason::kIdle, "limits.idle");
  ORRERY_MARK_IF(reason == CutReason::kInput, "limits.input");
  ORRERY_MARK_IF(reason == CutReason::kOutput, "limits.output");
  ServerStats& stats = context_.stats;
  ++(reason == CutReason::kIdle    ? stats.cut_off_idle
     : reason == CutReason::kInput ? stats.cut_off_for_input
                                   : stats.cut_off_for_output);
  if (context_.observer != nullptr) context_.observer->OnCutOff(session.client, reason);
  session.input.Clear();
  Kill(session.client);
}

void Shard::EnforceLimit(Session& session, ClientLimits::Verdict verdict) {
  switch (verdict) {
    case ClientLimits::Verdict::kStays:
      return;
    case ClientLimits::Verdict::kAsk:
      return reactor_->AskAboutBody(session.connection);
    case ClientLimits::Verdict::kIdle:
      return CutOff(session, CutReason::kIdle);
    case ClientLimits::Verdict::kOutput:
      return CutOff(session, CutReason::kOutput);
  }
}

void Shard::Configure(const ServerConfig& config) {
  const ServerConfig before = std::exchange(context_.config, config);
  context_.slow_log.Trim(config.slow_commands_max);
  if (config.keepalive_seconds != before.keepalive_seconds) SetKeepalive();
  if (config.idle_seconds_max == before.idle_seconds_max &&
      config.output_limits == before.output_limits) {
    return;
  }
  for (Client* client = context_.clients.front(); client != nullptr;
       client = context_.clients.Next(*client)) {
    limits_.Reconsider(SessionOf(*client), reactor_->now());
  }
}

void Shard::Shutdown() {
  group_.RequestStop();
  if (router_ == nullptr) return kernel_.SignalEventFd(waker_);
  for (unsigned shard = 0; shard < group_.shards(); ++shard) group_.bells().Ring(shard);
}

// Accepted sockets inherit it from their listener. As in Redis, a peer that does not answer is
// asked three times within the time that was silent.
void Shard::SetKeepalive() {
  constexpr int kProbes = 3;
  if (listener_ < 0 || reactor_->stopping()) return;
  const auto seconds = static_cast<int>(context_.config.keepalive_seconds);
  const auto set = [&](int level, int option, int value) {
    // Of a UNIX socket, which has peers on this machine only, it cannot be set.
    (void)kernel_.SetSocketOption(listener_, level, option, value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, seconds > 0 ? 1 : 0);
  if (seconds == 0) return;
  // The kernel takes no more than this.
  constexpr int kSecondsMax = 32'767;
  set(IPPROTO_TCP, TCP_KEEPIDLE, std::min(seconds, kSecondsMax));
  set(IPPROTO_TCP, TCP_KEEPINTVL, std::clamp(seconds / kProbes, 1, kSecondsMax));
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

bool Shard::Push(Client& client, PushMessage& message) {
  Session& session = SessionOf(client);
  if (!session.connection.open()) return false;
  // As in Redis, one that is about to be cut off counts as a receiver.
  if (session.doomed) return true;
  message.AppendTo(session.connection.output(), client.version);
  if (!OutputFits(session)) {
    session.doomed = true;
    doomed_.push_back(session.connection.handle());
  }
  reactor_->Flush(session.connection);
  return true;
}

void Shard::CutOffDoomed() {
  for (const SlotHandle handle : doomed_) {
    Session* const session = sessions_[handle.index].get();
    // One that has gone since, and whose slot has another client, is not meant.
    if (session == nullptr || session->connection.handle() != handle) continue;
    session->doomed = false;
    CutOff(*session, CutReason::kOutput);
  }
  doomed_.clear();
}

void Shard::FindAddresses(Client& client) {
  if (client.descriptor < 0) return;  // A slot of the fixed-file table cannot be asked.
  const auto ends = kernel_.Ends(client.descriptor);
  if (!ends) return;  // Its peer has gone, and so will it.
  client.mutable_names().address = ends->peer;
  client.mutable_names().local_address = ends->local;
}

ClientMemory Shard::MemoryOf(const Client& client) const {
  const Session& session = SessionOf(client);
  const IncomingBody* body = session.connection.body();
  return {.input_bytes = session.input.size() + session.client.parser.supplied_bytes() +
                         (body == nullptr ? 0 : body->filled_bytes()),
          .input_free_bytes = session.input.capacity_bytes() - session.input.size(),
          .parser_bytes = session.client.parser.memory_bytes(),
          .transaction_bytes = session.client.transaction_bytes(),
          .output_bytes = session.connection.output().size_bytes()};
}

uint64_t Shard::CopiedOutputBytes() const {
  uint64_t bytes = reactor_->counters().copied_bytes;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session != nullptr) bytes += session->connection.output().copied_bytes();
  }
  return bytes;
}

size_t Shard::input_memory_bytes() const {
  size_t bytes = 0;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session == nullptr) continue;
    bytes += session->input.capacity_bytes() + session->client.parser.memory_bytes() +
             session->client.transaction_bytes();
  }
  return bytes;
}

Nanoseconds Shard::ContinuePaused(Nanoseconds now) {
  if (paused_.empty()) return kNever;
  ReadClocks();
  const int64_t left_ms = context_.pause.end_ms - context_.monotonic_ms();
  if (left_ms >= 0) return now + std::min(left_ms + 1, kPauseLookMs) * kMillisecond;
  for (size_t waiting = paused_.size(); waiting > 0; --waiting) {
    Session& session = *paused_.PopFront();
    if (session.connection.open()) Resume(session.connection, session);
  }
  return paused_.empty() ? kNever : now;
}

// As Redis does: what was seen last moves an average a little.
void Shard::CountExpiration(const Keyspace::Expiration& seen) {
  // Integers, so that every build counts to the same digit.
  constexpr int64_t kMillion = 1'000'000;
  constexpr int64_t kStalePart = 20;
  constexpr int64_t kTtlPart = 50;
  const int64_t stale_ppm = seen.visited > 0 ? seen.expired * kMillion / seen.visited : 0;
  int64_t& average_ppm = context_.stats.expired_stale_ppm;
  average_ppm += (stale_ppm - average_ppm) / kStalePart;
  int64_t& average_ms = context_.average_ttl_ms;
  if (keyspace_.expiring() == 0) {
    average_ms = 0;
  } else if (seen.visited > seen.expired) {
    const int64_t ttl_ms = seen.ttl_sum_ms / (seen.visited - seen.expired);
    average_ms =
        average_ms == 0 ? ttl_ms : average_ms / kTtlPart * (kTtlPart - 1) + ttl_ms / kTtlPart;
  }
}

void Shard::OnWoken() {
  const uint32_t requests = group_.stop_requests();
  for (; stops_done_ != requests; ++stops_done_) Stop();
}

void Shard::Stop() {
  if (router_ == nullptr || reactor_->stopping()) {
    reactor_->Stop();
    return;
  }
  if (stops_done_ == 0) {
    // Accepting goes on until the replies that are due have come: until then, who comes is let go.
    for (const std::unique_ptr<Session>& session : sessions_) {
      if (session != nullptr && session->connection.open()) {
        FinishWhenReplied(session->connection, *session);
      }
    }
    return;
  }
  reactor_->Stop();
  reactor_->Stop();
}

void Shard::LeaveWhenEmpty() {
  if (stops_done_ == 0 || router_->has_left() || !router_->idle()) return;
  if (!reactor_->stopping()) reactor_->Stop();
  if (reactor_->connections() == 0) router_->Leave();
}

void Shard::OnAwake() {
  if (router_ != nullptr) router_->mail().Disarm();
}

Nanoseconds Shard::OnTurn(Nanoseconds now) {
  if (router_ == nullptr) {
    const Nanoseconds deadline = WorkInBackground(now);
    CutOffDoomed();
    return deadline;
  }
  ReadClocks();
  if (router_->Turn()) reactor_->NoteWork();
  ShareMemoryCounts();
  const Nanoseconds deadline = WorkInBackground(now);
  CutOffDoomed();
  LeaveWhenEmpty();
  router_->mail().Flush([this](unsigned shard) { group_.bells().Ring(shard); });
  return deadline;
}

void Shard::ShareMemoryCounts() {
  group_.SetMemory(context_.shard, keyspace_.memory_bytes());
  context_.memory_bytes_beside =
      context_.config.memory_bytes_max != 0 ? group_.MemoryBeside(context_.shard) : 0;
}

Nanoseconds Shard::WorkInBackground(Nanoseconds now) {
  if (context_.rates.due(now)) context_.rates.Record(now, context_.stats.traffic());
  if (now >= next_background_) {
    ReadClocks();
    context_.peak_memory_bytes =
        std::max<uint64_t>(context_.peak_memory_bytes, keyspace_.memory_bytes());
    const Keyspace::Expiration expiration =
        keyspace_.ExpireSome(context_.now_ms, options_.background_buckets);
    // Where so many of them had expired, many others will have.
    const bool stale = expiration.expired * kStaleOneIn > expiration.visited;
    CountExpiration(expiration);
    ORRERY_MARK_IF(expiration.expired > 0, "keyspace.expired-unasked");
    ORRERY_MARK_IF(stale, "keyspace.many-expired");
    const bool busy = keyspace_.Step(options_.background_buckets) || stale;
    next_background_ = now + (busy ? options_.background_period_busy : options_.background_period);
  }
  // A server with nothing to expire and nothing to move sleeps until somebody comes. What has come
  // up since the last round counts: nobody may come for long.
  const bool work = keyspace_.unsettled() || keyspace_.expiring() > 0;
  const Nanoseconds next_look = limits_.Advance(
      now,
      [this](Session& session, ClientLimits::Verdict verdict) { EnforceLimit(session, verdict); });
  return std::min({work ? next_background_ : kNever, ContinuePaused(now), next_look});
}

}  // namespace orrery::server

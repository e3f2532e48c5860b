#include "server/main.h"

#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "runtime/bells.h"
#include "runtime/ring/liburing_ring.h"
#include "runtime/ring/user_data.h"
#include "runtime/shard_threads.h"
#include "server/config.h"
#include "server/config_options.h"
#include "server/config_store.h"
#include "server/shard.h"
#include "server/shard_group.h"

namespace orrery::server {
namespace {

// Room for the clients that are told that there are too many, and for those that are leaving: each
// stays until it has read so, for a while at most. More of them than this at once are closed
// without a word.
constexpr uint32_t kConnectionsMax = kClientsMaxHighest + 65'536;
static_assert(kConnectionsMax <= UserData::kIndexMax);

// As many as mailboxes between them can be had.
constexpr unsigned kShardsMax = 128;

// What all receive buffers of a shard may take.
constexpr size_t kReceiveMemoryMax = 4096 * kMiB;

// What a signal handler may touch: set before the handlers are, and never changed while they are.
struct Signalled {
  ShardGroup* group = nullptr;
  Bells* bells = nullptr;
};
Signalled signalled;

extern "C" void OnStopSignal(int) {
  const int saved_errno = errno;
  signalled.group->RequestStop();
  const uint64_t one = 1;
  for (unsigned shard = 0; shard < signalled.group->shards(); ++shard) {
    // A full counter has rung already; nothing else can go wrong here.
    (void)!write(signalled.bells->eventfd(shard), &one, sizeof one);
  }
  errno = saved_errno;
}

void SetHandler(std::initializer_list<int> signals, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  for (const int signal : signals) ORRERY_CHECK(sigaction(signal, &action, nullptr) == 0);
}

int Fail(const std::string& message) {
  fmt::print(stderr, "orrery-server: {}\n", message);
  return 1;
}

// For INFO: what cannot be found out is left empty.
ProgramIdentity IdentifyProgram() {
  ProgramIdentity program;
  program.process_id = getpid();
  std::error_code error;
  program.executable = std::filesystem::read_symlink("/proc/self/exe", error).string();
  utsname system{};
  if (uname(&system) == 0) {
    program.operating_system =
        fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  }
  program.compiler_version = fmt::format("{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
  return program;
}

// "127.0.0.1:6379, and /run/orrery.sock".
std::string DescribeListeners(const ShardOptions& options, uint16_t port,
                              const std::string& unix_path) {
  const bool v6 = options.listen.address.find(':') != std::string::npos;
  std::string text = v6 ? "[" + options.listen.address + "]" : options.listen.address;
  text += ":" + std::to_string(port);
  return unix_path.empty() ? text : unix_path + " and " + text;
}

struct ServeOptions {
  ShardOptions shard;
  ShardThreadsOptions threads;
  UnixListenOptions unix_listen;  // Without a path: none.
  bool one_acceptor = false;      // The first shard accepts, for all.
};

// The listening sockets of all shards, or of the one that accepts, and that of the UNIX socket if
// there is one.
struct Listeners {
  std::vector<int> tcp;
  std::optional<int> unix_socket;
};

std::expected<Listeners, std::string> Listen(const ServeOptions& options, Kernel& kernel) {
  const ListenOptions& listen = options.shard.listen;
  Listeners listeners;
  if (options.threads.shards == 1 || options.one_acceptor) {
    const auto tcp = kernel.Listen(listen);
    if (!tcp) return std::unexpected(ExplainListenError(listen, tcp.error()));
    listeners.tcp = {*tcp};
  } else {
    auto tcp = kernel.ListenShared(listen, options.threads.shards);
    if (!tcp) return std::unexpected(ExplainListenError(listen, tcp.error()));
    listeners.tcp = *std::move(tcp);
  }
  if (options.unix_listen.path.empty()) return listeners;
  const auto unix_socket = kernel.ListenUnix(options.unix_listen);
  if (!unix_socket) {
    return std::unexpected("cannot listen on " + options.unix_listen.path + ": " +
                           unix_socket.error().ToString());
  }
  listeners.unix_socket = *unix_socket;
  return listeners;
}

// Directives of Redis that a configuration file may keep, though they mean nothing here.
void TellWithoutEffect(const ConfigOptions& options) {
  if (options.without_effect().empty()) return;
  std::string names;
  for (const std::string& name : options.without_effect()) names += " " + name;
  fmt::print(stderr, "orrery-server: {}: without effect here:{}\n", options.path(), names);
}

// No more clients than there are descriptors for: they would wait, and never be told why. And where
// there are fixed-file tables, no more than these have slots for.
void FitClients(Kernel& kernel, unsigned shards, ShardOptions& options) {
  constexpr uint64_t kOtherDescriptors = 64;
  const auto descriptors = kernel.RaiseDescriptorLimit();
  const uint64_t slots = uint64_t{options.reactor.fixed_files} * shards;
  uint64_t clients = kClientsMaxHighest;
  std::string why;
  if (slots > 0) {
    clients = std::min(clients, slots);
    why = fmt::format("the fixed-file tables have {} slots", slots);
  } else if (descriptors) {
    clients =
        std::clamp<uint64_t>(*descriptors, kOtherDescriptors + 1, clients + kOtherDescriptors) -
        kOtherDescriptors;
    why = fmt::format("{} descriptors may be open (ulimit -n)", *descriptors);
  }
  ServerConfig& config = options.config;
  config.clients_possible = static_cast<uint32_t>(clients);
  if (config.clients_max <= clients) return;
  fmt::print(stderr, "orrery-server: maxclients is {}: {}\n", clients, why);
  config.clients_max = config.clients_possible;
}

int Serve(const ServeOptions& options, Kernel& kernel) {
  const unsigned shards = options.threads.shards;
  const auto bells = Bells::Create(kernel, shards);
  if (!bells) return Fail("cannot make the shards' wakers: " + bells.error().ToString());
  ShardGroup group({.shards = shards}, bells->get());
  const auto listeners = Listen(options, kernel);
  if (!listeners) return Fail(listeners.error());
  signalled = {.group = &group, .bells = bells->get()};

  std::string ring_text;  // Of the first shard's.
  const auto make = [&](unsigned number, Ring& ring) {
    using Accepting = ShardPlace::Accepting;
    ShardPlace place{.group = &group, .index = number};
    if (options.one_acceptor) {
      place.listener = listeners->tcp.front();
      place.accepting = number == 0 ? Accepting::kForAll : Accepting::kNothing;
    } else {
      place.listener = listeners->tcp[number];
    }
    if (number == 0) {
      ring_text = DescribeRing(ring.memory());
      place.shared_listener = listeners->unix_socket;
    }
    return Shard::Create(ring, kernel, options.shard, nullptr, place);
  };
  const auto started = [&](std::span<Shard* const> all) {
    SetHandler({SIGINT, SIGTERM}, OnStopSignal);
    // Whoever reads what is printed here may leave; the clients stay.
    SetHandler({SIGPIPE}, SIG_IGN);
    fmt::print("orrery-server: listening on {}, {}{}, {}\n",
               DescribeListeners(options.shard, all.front()->port(), options.unix_listen.path),
               shards == 1 ? "1 shard" : fmt::format("{} shards", shards),
               options.threads.pin ? " pinned" : "", ring_text);
    std::fflush(stdout);
  };
  const auto ended = RunShards<Shard>(kernel, options.threads, make, started);
  if (listeners->unix_socket) kernel.RemoveSocketFile(options.unix_listen.path);
  if (!ended) return Fail(ended.error());

  // They have done what they ask for; another one must not spoil the exit code.
  SetHandler({SIGINT, SIGTERM}, SIG_IGN);
  fmt::print("orrery-server: stopped\n");
  return 0;
}

}  // namespace

int Main(int argc, char** argv, Host& host) {
  CLI::App app(
      "A Redis-protocol server on io_uring. Data lives in memory only: it is gone when the server "
      "stops.",
      "orrery-server");
  app.get_formatter()->column_width(30);
  app.option_defaults()->always_capture_default();
  // What the command line says stands behind what the configuration file says.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer(
      "\nStop it with Ctrl-C (SIGINT) or SIGTERM: clients get the replies they wait for, then it "
      "exits with 0.\n"
      "A second signal ends at once what is still open.\n\n"
      "Try it:  redis-cli -p 6379 SET greeting hello");

  ServeOptions serve;
  ShardOptions& options = serve.shard;
  RingOptions& ring_options = serve.threads.ring;
  if (host.allows_threads()) {
    serve.threads.shards = std::min(kShardsMax, static_cast<unsigned>(UsableCores().size()));
  }
  ConfigOptions config_options(app);
  app.add_option("--shards", serve.threads.shards,
                 "Threads that serve clients, each with its part of the keys; unless said, as many "
                 "as cores may be used")
      ->check(CLI::Range(1u, kShardsMax).description(""))
      ->type_name("N");
  app.add_flag("--pin", serve.threads.pin, "Keep each thread to a core of its own");
  app.add_flag("--one-acceptor", serve.one_acceptor,
               "The first shard accepts all clients and deals them out in turn; without it each "
               "listens on the port, and the kernel deals")
      ->group("Tuning");
  app.add_option("--spin", options.reactor.spin_turns,
                 "How often a shard that had work looks for more before it sleeps; for shards that "
                 "have a core each")
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--sq-entries", ring_options.sq_entries, "Submission queue entries of the ring")
      ->check(CLI::Range(1u, 32'768u).description(""))
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--cq-entries", ring_options.cq_entries, "Completion queue entries of the ring")
      ->check(CLI::Range(2u, 65'536u).description(""))
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--buffers", options.reactor.buffers,
                 "Receive buffers of a shard, a power of two, shared by its clients")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const uint64_t value = std::strtoull(text.c_str(), nullptr, 10);
            const bool fits = value >= 1 && value <= 32'768 && (value & (value - 1)) == 0;
            return fits ? std::string() : text + " is not a power of two from 1 to 32768";
          },
          ""))
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--buffer-bytes", options.reactor.buffer_bytes, "Size of a receive buffer")
      ->check(CLI::Range(size_t{64}, size_t{1} << 24).description(""))
      ->type_name("BYTES")
      ->group("Tuning");
  app.add_option("--fixed-files", options.reactor.fixed_files,
                 "Slots of a fixed-file table to accept clients into, who have no addresses then; "
                 "0: no table")
      ->check(CLI::Range(0u, 1u << 20).description(""))
      ->type_name("N")
      ->group("Tuning");
  size_t zero_copy_from = 0;
  app.add_option("--zero-copy-from", zero_copy_from,
                 "Send values of this size or more without copying them; 0 never does")
      ->type_name("BYTES")
      ->group("Tuning");

  size_t in_place_from = options.in_place_bytes_min;
  app.add_option(
         "--in-place-from", in_place_from,
         "Receive arguments of which this much is still to come in their own memory; 0 never "
         "does")
      ->type_name("BYTES")
      ->group("Tuning");

  host.AddOptions(app);
  const auto arguments = config_options.Arguments(argc, argv);
  if (!arguments) return Fail(arguments.error());
  try {
    // The last one first: that is how they are taken.
    app.parse(std::vector<std::string>(arguments->rbegin(), arguments->rend()));
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return Fail(std::string(error.what()) + " (--help lists the options)");
  }
  if (const auto applied = config_options.Apply(options.config); !applied) {
    return Fail(applied.error() + " (--help lists the options)");
  }
  options.listen.address = options.config.bind;
  options.listen.port = options.config.port;
  options.listen.backlog = static_cast<int>(options.config.backlog);
  serve.unix_listen = {.path = options.config.unix_path,
                       .permissions = options.config.unix_permissions,
                       .backlog = options.listen.backlog};
  std::optional<ConfigStore> config_store;
  if (!config_options.path().empty()) {
    config_store.emplace(config_options.path());
    options.config_store = &*config_store;
    TellWithoutEffect(config_options);
  }
  if (ring_options.cq_entries < ring_options.sq_entries) {
    return Fail("--cq-entries must be at least --sq-entries (--help lists the options)");
  }
  if (options.reactor.buffers * options.reactor.buffer_bytes > kReceiveMemoryMax) {
    return Fail("--buffers times --buffer-bytes must be at most " +
                std::to_string(kReceiveMemoryMax) + " (--help lists the options)");
  }
  options.reactor.connections_max = kConnectionsMax;
  options.in_place_bytes_min = in_place_from > 0 ? in_place_from : ShardOptions::kNeverInPlace;
  if (zero_copy_from > 0) options.reactor.zero_copy.body_bytes_min = zero_copy_from;
  options.program = IdentifyProgram();
  if (!host.allows_threads() && serve.threads.shards > 1) {
    return Fail("what this runs on takes one thread: --shards must be 1");
  }
  const auto kernel = host.Open();
  if (!kernel) return Fail(kernel.error());
  FitClients(**kernel, serve.threads.shards, options);
  return Serve(serve, **kernel);
}

}  // namespace orrery::server

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
#include <memory>
#include <string>
#include <system_error>

#include "base/check.h"
#include "base/units.h"
#include "runtime/ring/liburing_ring.h"
#include "runtime/ring/user_data.h"
#include "server/config.h"
#include "server/shard.h"

namespace orrery::server {
namespace {

// Room for the clients that are told that there are too many, and for those that are leaving: each
// stays until it has read so, for a while at most. More of them than this at once are closed
// without a word.
constexpr uint32_t kConnectionsMax = kClientsMaxHighest + 65'536;
static_assert(kConnectionsMax <= UserData::kIndexMax);

// What all receive buffers together may take.
constexpr size_t kReceiveMemoryMax = 4096 * kMiB;

// What a signal handler may touch: set before the handlers are, and never changed while they are.
Shard* signalled_shard = nullptr;

extern "C" void OnStopSignal(int) {
  const int saved_errno = errno;
  signalled_shard->RequestStop();
  const uint64_t one = 1;
  // A full counter has rung already; nothing else can go wrong here.
  (void)!write(signalled_shard->waker(), &one, sizeof one);
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

int Serve(const ShardOptions& options, const RingOptions& ring_options, Kernel& kernel) {
  // Without it, the number of clients is bounded by whatever the shell allows. The bound is then
  // merely lower.
  (void)kernel.RaiseDescriptorLimit();

  auto ring = kernel.MakeRing(ring_options);
  if (!ring) return Fail(ring.error());
  auto shard = Shard::Create(**ring, kernel, options, nullptr);
  if (!shard) return Fail(shard.error());

  signalled_shard = shard->get();
  SetHandler({SIGINT, SIGTERM}, OnStopSignal);
  // Whoever reads what is printed here may leave; the clients stay.
  SetHandler({SIGPIPE}, SIG_IGN);
  const bool v6 = options.listen.address.find(':') != std::string::npos;
  fmt::print("orrery-server: listening on {}{}{}:{}, {}\n", v6 ? "[" : "", options.listen.address,
             v6 ? "]" : "", (*shard)->port(), DescribeRing((*ring)->memory()));
  std::fflush(stdout);

  while (!(*shard)->finished()) (*shard)->OnEntered((*ring)->Enter((*shard)->Turn()));

  // It has done what they ask for; another one must not spoil the exit code.
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
  app.footer(
      "\nStop it with Ctrl-C (SIGINT) or SIGTERM: clients get the replies they wait for, then it "
      "exits with 0.\n"
      "A second signal ends at once what is still open.\n\n"
      "Try it:  redis-cli -p 6379 SET greeting hello");

  ShardOptions options;
  RingOptions ring_options;
  options.listen.port = 6379;
  app.add_option("--bind", options.listen.address, "Numeric IPv4 or IPv6 address to listen on")
      ->type_name("ADDRESS");
  app.add_option("--port", options.listen.port, "TCP port to listen on; 0 picks a free one")
      ->type_name("PORT");
  app.add_option("--maxclients", options.config.clients_max,
                 "Clients served at once; more are refused with an error")
      ->check(CLI::Range(1u, kClientsMaxHighest).description(""))
      ->type_name("N");
  app.add_option("--sq-entries", ring_options.sq_entries, "Submission queue entries of the ring")
      ->check(CLI::Range(1u, 32'768u).description(""))
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--cq-entries", ring_options.cq_entries, "Completion queue entries of the ring")
      ->check(CLI::Range(2u, 65'536u).description(""))
      ->type_name("N")
      ->group("Tuning");
  app.add_option("--buffers", options.reactor.buffers,
                 "Receive buffers, a power of two, shared by all clients")
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return Fail(std::string(error.what()) + " (--help lists the options)");
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
  const auto kernel = host.Open();
  if (!kernel) return Fail(kernel.error());
  return Serve(options, ring_options, **kernel);
}

}  // namespace orrery::server

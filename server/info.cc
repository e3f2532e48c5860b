#include "server/info.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

#include "server/access_clock.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// Builds "name:value" lines.
class InfoWriter {
 public:
  void Field(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void Field(std::string_view name, uint64_t value) { Field(name, std::to_string(value)); }

  void StartSection(std::string_view title) {
    if (!text_.empty()) text_ += "\r\n";
    text_.append("# ").append(title).append("\r\n");
  }

  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// "1.56M", as Redis prints sizes for people.
std::string ForPeople(uint64_t bytes) {
  if (bytes < kKiB) return std::to_string(bytes) + "B";
  double size = static_cast<double>(bytes) / static_cast<double>(kKiB);
  const char* unit = "K";
  for (const char* larger : {"M", "G", "T", "P"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = larger;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f%s", size, unit);
  return text;
}

// "12.34", as Redis prints ratios.
std::string Ratio(uint64_t part, uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f",
                whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

// "0.001173": seconds.
std::string Seconds(Nanoseconds time) {
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%06lld", static_cast<long long>(time / kSecond),
                static_cast<long long>(time % kSecond / kMicrosecond));
  return text;
}

ProcessUsage UsageOf(const ServerContext& server) {
  return server.host != nullptr ? server.host->Usage() : ProcessUsage{};
}

void WriteServer(const ServerContext& server, InfoWriter& info) {
  const auto uptime_s =
      static_cast<uint64_t>((server.monotonic_ns - server.identity.started_ns) / kSecond);
  info.Field("redis_version", kRedisVersion);
  info.Field("redis_mode", "standalone");
  info.Field("server_name", "orrery");
  info.Field("arch_bits", 64);
  info.Field("monotonic_clock", "POSIX clock_gettime");
  info.Field("multiplexing_api", "io_uring");
  info.Field("process_id", static_cast<uint64_t>(server.identity.process_id));
  info.Field("run_id", server.identity.run_id);
  info.Field("tcp_port", server.config.port);
  info.Field("server_time_usec", static_cast<uint64_t>(server.now_us));
  info.Field("uptime_in_seconds", uptime_s);
  info.Field("uptime_in_days", uptime_s / (24 * 3600));
  info.Field("lru_clock", AccessClock(server.now_ms));
  info.Field("config_file", "");
  info.Field("io_threads_active", 0);
}

void WriteClients(const ServerContext& server, InfoWriter& info) {
  info.Field("connected_clients", server.connected_clients);
  info.Field("cluster_connections", 0);
  info.Field("maxclients", server.config.clients_max);
  info.Field("blocked_clients", 0);
  info.Field("tracking_clients", 0);
  info.Field("clients_in_timeout_table", 0);
}

void WriteMemory(const ServerContext& server, InfoWriter& info) {
  const uint64_t used = server.keyspace.memory_bytes();
  info.Field("used_memory", used);
  info.Field("used_memory_human", ForPeople(used));
  const ProcessUsage usage = UsageOf(server);
  const uint64_t peak = std::max(server.peak_memory_bytes, used);
  info.Field("used_memory_rss", usage.resident_bytes);
  info.Field("used_memory_rss_human", ForPeople(usage.resident_bytes));
  info.Field("used_memory_peak", peak);
  info.Field("used_memory_peak_human", ForPeople(peak));
  info.Field("total_system_memory", usage.machine_bytes);
  info.Field("total_system_memory_human", ForPeople(usage.machine_bytes));
  info.Field("mem_fragmentation_ratio", Ratio(usage.resident_bytes, used));
  info.Field("mem_allocator", "libc");
  info.Field("active_defrag_running", 0);
  info.Field("used_memory_overhead", server.keyspace.table_bytes());
  info.Field("used_memory_dataset", used - server.keyspace.table_bytes());
  info.Field("maxmemory", 0);
  info.Field("maxmemory_human", "0B");
  info.Field("maxmemory_policy", "noeviction");
}

void WritePersistence(const ServerContext&, InfoWriter& info) {
  info.Field("loading", 0);
  info.Field("async_loading", 0);
  info.Field("rdb_bgsave_in_progress", 0);
  info.Field("aof_enabled", 0);
  info.Field("aof_rewrite_in_progress", 0);
}

void WriteStats(const ServerContext& server, InfoWriter& info) {
  const ServerStats& stats = server.stats;
  info.Field("total_connections_received", stats.connections_received);
  info.Field("total_commands_processed", stats.commands_processed);
  info.Field("total_net_input_bytes", stats.input_bytes);
  info.Field("total_net_output_bytes", stats.output_bytes);
  info.Field("rejected_connections", stats.connections_rejected);
  info.Field("sync_full", 0);
  info.Field("sync_partial_ok", 0);
  info.Field("sync_partial_err", 0);
  info.Field("expired_keys", server.keyspace.counters().expired - stats.expired_before);
  info.Field("evicted_keys", 0);
  info.Field("evicted_clients", 0);
  info.Field("keyspace_hits", stats.keyspace_hits);
  info.Field("keyspace_misses", stats.keyspace_misses);
  info.Field("pubsub_channels", 0);
  info.Field("pubsub_patterns", 0);
  info.Field("latest_fork_usec", 0);
  info.Field("total_forks", 0);
  info.Field("protocol_errors", stats.protocol_errors);
}

void WriteReplication(const ServerContext&, InfoWriter& info) {
  info.Field("role", "master");
  info.Field("connected_slaves", 0);
  info.Field("master_failover_state", "no-failover");
  info.Field("master_repl_offset", 0);
  info.Field("repl_backlog_active", 0);
}

void WriteCpu(const ServerContext& server, InfoWriter& info) {
  const ProcessUsage usage = UsageOf(server);
  info.Field("used_cpu_sys", Seconds(usage.system));
  info.Field("used_cpu_user", Seconds(usage.user));
  info.Field("used_cpu_sys_children", Seconds(0));
  info.Field("used_cpu_user_children", Seconds(0));
  info.Field("used_cpu_sys_main_thread", Seconds(usage.thread_system));
  info.Field("used_cpu_user_main_thread", Seconds(usage.thread_user));
}

void WriteModules(const ServerContext&, InfoWriter&) {}

void WriteCluster(const ServerContext&, InfoWriter& info) { info.Field("cluster_enabled", 0); }

void WriteKeyspace(const ServerContext& server, InfoWriter& info) {
  const Keyspace& keyspace = server.keyspace;
  if (keyspace.size() == 0) return;
  info.Field("db0", "keys=" + std::to_string(keyspace.size()) +
                        ",expires=" + std::to_string(keyspace.expiring()) + ",avg_ttl=0");
}

struct Section {
  std::string_view title;
  void (*write)(const ServerContext& server, InfoWriter& info);
};

constexpr auto kSections = std::to_array<Section>({
    {"Server", WriteServer},
    {"Clients", WriteClients},
    {"Memory", WriteMemory},
    {"Persistence", WritePersistence},
    {"Stats", WriteStats},
    {"Replication", WriteReplication},
    {"CPU", WriteCpu},
    {"Modules", WriteModules},
    {"Cluster", WriteCluster},
    {"Keyspace", WriteKeyspace},
});

bool NamesAll(std::string_view name) {
  return EqualsIgnoreCase(name, "default") || EqualsIgnoreCase(name, "all") ||
         EqualsIgnoreCase(name, "everything");
}

}  // namespace

std::string InfoText(const ServerContext& server, std::span<const std::string_view> sections) {
  const bool all = sections.empty() || std::ranges::any_of(sections, NamesAll);
  InfoWriter info;
  for (const Section& section : kSections) {
    const bool named = std::ranges::any_of(
        sections, [&](std::string_view name) { return EqualsIgnoreCase(name, section.title); });
    if (!all && !named) continue;
    info.StartSection(section.title);
    section.write(server, info);
  }
  return info.Take();
}

}  // namespace orrery::server

#include "server/info.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <utility>

#include "server/access_clock.h"
#include "server/config_store.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// The background's, when it has little to do (ShardOptions::background_period).
constexpr uint64_t kBackgroundRoundsPerSecond = 10;

// Builds "name:value" lines.
class InfoWriter {
 public:
  void Field(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void Field(std::string_view name, uint64_t value) { Field(name, std::to_string(value)); }
  // What there is nothing of here.
  void Zeros(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) Field(name, 0);
  }

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

// "12.34".
std::string Decimal(double number) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.2f", number);
  return text;
}

// "0.001173": seconds.
std::string Seconds(Nanoseconds time) {
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%06lld", static_cast<long long>(time / kSecond),
                static_cast<long long>(time % kSecond / kMicrosecond));
  return text;
}

// "62.207".
std::string Microseconds(Nanoseconds time) {
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%03lld", static_cast<long long>(time / kMicrosecond),
                static_cast<long long>(time % kMicrosecond));
  return text;
}

// "12.34%", as Redis prints parts of a whole.
std::string Percent(uint64_t part, uint64_t whole) {
  const double percent =
      whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  return Decimal(percent) + "%";
}

std::string Ratio(uint64_t part, uint64_t whole) {
  return Decimal(whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole));
}

// What one is larger than the other by; negative when it is smaller.
std::string Excess(uint64_t large, uint64_t small) {
  return std::to_string(static_cast<int64_t>(large) - static_cast<int64_t>(small));
}

ProcessUsage UsageOf(ServerContext& server) {
  return server.host != nullptr ? server.host->Usage() : ProcessUsage{};
}

void WriteServer(ServerContext& server, const ShardFigures&, InfoWriter& info) {
  const ProgramIdentity& program = server.identity.program;
  const auto uptime_s =
      static_cast<uint64_t>((server.monotonic_ns - server.identity.started_ns) / kSecond);
  info.Field("redis_version", kRedisVersion);
  info.Field("redis_git_sha1", "00000000");
  info.Field("redis_git_dirty", 0);
  info.Field("redis_mode", "standalone");
  info.Field("server_name", "orrery");
  info.Field("os", program.operating_system);
  info.Field("arch_bits", 64);
  info.Field("monotonic_clock", "POSIX clock_gettime");
  info.Field("multiplexing_api", "io_uring");
  info.Field("atomicvar_api", "c11-builtin");
  info.Field("gcc_version", program.compiler_version);
  info.Field("process_id", static_cast<uint64_t>(program.process_id));
  info.Field("process_supervised", "no");
  info.Field("run_id", server.identity.run_id);
  info.Field("tcp_port", server.config.port);
  info.Field("server_time_usec", static_cast<uint64_t>(server.now_us));
  info.Field("uptime_in_seconds", uptime_s);
  info.Field("uptime_in_days", uptime_s / (24 * 3600));
  info.Field("hz", kBackgroundRoundsPerSecond);
  info.Field("configured_hz", kBackgroundRoundsPerSecond);
  info.Field("lru_clock", AccessClock(server.now_ms));
  info.Field("executable", program.executable);
  info.Field("config_file",
             server.config_store != nullptr ? server.config_store->path() : std::string());
  info.Field("io_threads_active", 0);
}

void WriteClients(ServerContext& server, const ShardFigures& all, InfoWriter& info) {
  info.Field("connected_clients", all.connected_clients);
  info.Field("cluster_connections", 0);
  info.Field("maxclients", server.config.clients_max);
  info.Field("client_recent_max_input_buffer", all.client_input_bytes_max);
  info.Field("client_recent_max_output_buffer", all.client_output_bytes_max);
  info.Field("blocked_clients", 0);
  info.Field("tracking_clients", 0);
  info.Field("clients_in_timeout_table", 0);
}

// There are no scripts and no functions.
void WriteScriptMemory(InfoWriter& info) {
  info.Zeros({"used_memory_lua", "used_memory_vm_eval"});
  info.Field("used_memory_lua_human", ForPeople(0));
  info.Zeros({"used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions",
              "number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total"});
  info.Field("used_memory_vm_total_human", ForPeople(0));
  info.Zeros({"used_memory_functions", "used_memory_scripts"});
  info.Field("used_memory_scripts_human", ForPeople(0));
}

void WriteMemory(ServerContext& server, const ShardFigures& all, InfoWriter& info) {
  const uint64_t used = all.memory_bytes;
  const ProcessUsage usage = UsageOf(server);
  const uint64_t peak = all.memory_bytes_max;
  const uint64_t at_start = all.memory_bytes_at_start;
  const uint64_t clients = all.clients_memory_bytes;
  const uint64_t resident = usage.resident_bytes;
  info.Field("used_memory", used);
  info.Field("used_memory_human", ForPeople(used));
  info.Field("used_memory_rss", resident);
  info.Field("used_memory_rss_human", ForPeople(resident));
  info.Field("used_memory_peak", peak);
  info.Field("used_memory_peak_human", ForPeople(peak));
  info.Field("used_memory_peak_perc", Percent(used, peak));
  const uint64_t table = all.table_bytes;
  info.Field("used_memory_overhead", table);
  info.Field("used_memory_startup", at_start);
  info.Field("used_memory_dataset", used - table);
  info.Field("used_memory_dataset_perc",
             Percent(used - table, used > at_start ? used - at_start : 0));
  // As of a Redis on the C library's allocator, which says nothing of itself.
  info.Field("allocator_allocated", used);
  info.Field("allocator_active", resident);
  info.Field("allocator_resident", resident);
  info.Field("total_system_memory", usage.machine_bytes);
  info.Field("total_system_memory_human", ForPeople(usage.machine_bytes));
  WriteScriptMemory(info);
  info.Field("maxmemory", server.config.memory_bytes_max);
  info.Field("maxmemory_human", ForPeople(server.config.memory_bytes_max));
  info.Field("maxmemory_policy", "noeviction");
  info.Field("allocator_frag_ratio", Ratio(resident, used));
  info.Field("allocator_frag_bytes", Excess(resident, used));
  info.Field("allocator_rss_ratio", Ratio(resident, resident));
  info.Field("allocator_rss_bytes", 0);
  info.Field("rss_overhead_ratio", Ratio(resident, resident));
  info.Field("rss_overhead_bytes", 0);
  info.Field("mem_fragmentation_ratio", Ratio(resident, used));
  info.Field("mem_fragmentation_bytes", Excess(resident, used));
  info.Zeros({"mem_not_counted_for_evict", "mem_replication_backlog",
              "mem_total_replication_buffers", "mem_clients_slaves"});
  info.Field("mem_clients_normal", clients);
  info.Zeros({"mem_cluster_links", "mem_aof_buffer"});
  info.Field("mem_allocator", "libc");
  info.Field("active_defrag_running", 0);
  info.Field("lazyfree_pending_objects", all.keys_dying);
  info.Field("lazyfreed_objects", all.keys_freed);
}

// Nothing is kept on disk, and nothing forks.
void WritePersistence(ServerContext& server, const ShardFigures&, InfoWriter& info) {
  info.Zeros(
      {"loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"});
  info.Field("current_fork_perc", Decimal(0));
  info.Zeros({"current_save_keys_processed", "current_save_keys_total", "rdb_bgsave_in_progress"});
  info.Field("rdb_last_save_time", static_cast<uint64_t>(server.identity.started_s));
  info.Field("rdb_last_bgsave_status", "ok");
  info.Field("rdb_last_bgsave_time_sec", "-1");
  info.Field("rdb_current_bgsave_time_sec", "-1");
  info.Zeros({"rdb_saves", "rdb_last_cow_size", "rdb_last_load_keys_expired",
              "rdb_last_load_keys_loaded", "aof_enabled", "aof_rewrite_in_progress",
              "aof_rewrite_scheduled"});
  info.Field("aof_last_rewrite_time_sec", "-1");
  info.Field("aof_current_rewrite_time_sec", "-1");
  info.Field("aof_last_bgrewrite_status", "ok");
  info.Zeros({"aof_rewrites", "aof_rewrites_consecutive_failures"});
  info.Field("aof_last_write_status", "ok");
  info.Zeros({"aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"});
}

void WriteStats(ServerContext& server, const ShardFigures& all, InfoWriter& info) {
  const ServerStats& stats = all.stats;
  const Traffic& rates = all.rates;
  const auto kilobytes = [](uint64_t bytes) {
    return Decimal(static_cast<double>(bytes) / static_cast<double>(kKiB));
  };
  info.Field("total_connections_received", stats.connections_received);
  info.Field("total_commands_processed", stats.commands_processed);
  info.Field("instantaneous_ops_per_sec", rates.commands);
  info.Field("total_net_input_bytes", stats.input_bytes);
  info.Field("total_net_output_bytes", stats.output_bytes);
  info.Zeros({"total_net_repl_input_bytes", "total_net_repl_output_bytes"});
  info.Field("instantaneous_input_kbps", kilobytes(rates.input_bytes));
  info.Field("instantaneous_output_kbps", kilobytes(rates.output_bytes));
  info.Field("instantaneous_input_repl_kbps", Decimal(0));
  info.Field("instantaneous_output_repl_kbps", Decimal(0));
  info.Field("rejected_connections", stats.connections_rejected);
  info.Zeros({"sync_full", "sync_partial_ok", "sync_partial_err"});
  info.Field("expired_keys", all.keys_expired);
  info.Field("expired_stale_perc", Decimal(static_cast<double>(all.expired_stale_ppm) / 10'000));
  info.Zeros({"expired_time_cap_reached_count", "evicted_keys", "evicted_clients",
              "total_eviction_exceeded_time", "current_eviction_exceeded_time"});
  info.Field("keyspace_hits", stats.keyspace_hits);
  info.Field("keyspace_misses", stats.keyspace_misses);
  info.Field("pubsub_channels", server.subscriptions.topics(TopicKind::kChannel));
  info.Field("pubsub_patterns", server.subscriptions.topics(TopicKind::kPattern));
  info.Field("pubsubshard_channels", server.subscriptions.topics(TopicKind::kShardChannel));
  info.Zeros({"latest_fork_usec", "total_forks", "migrate_cached_sockets",
              "slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses",
              "active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time",
              "current_active_defrag_time", "tracking_total_keys", "tracking_total_items",
              "tracking_total_prefixes", "unexpected_error_replies"});
  info.Field("total_error_replies", stats.errors.total());
  info.Field("dump_payload_sanitizations", 0);
  info.Field("total_reads_processed", stats.reads_processed);
  info.Zeros({"io_threaded_reads_processed", "io_threaded_writes_processed", "reply_buffer_shrinks",
              "reply_buffer_expands"});
  // Of 7.2.
  info.Field("client_query_buffer_limit_disconnections", stats.cut_off_for_input);
  info.Field("client_output_buffer_limit_disconnections", stats.cut_off_for_output);
  info.Field("protocol_errors", stats.protocol_errors);
  // Ours: what of all output was copied, and not borrowed from values.
  info.Field("output_copied_bytes", all.output_copied_bytes);
}

void WriteReplication(ServerContext& server, const ShardFigures&, InfoWriter& info) {
  info.Field("role", "master");
  info.Field("connected_slaves", 0);
  info.Field("master_failover_state", "no-failover");
  info.Field("master_replid", server.identity.replication_id);
  info.Field("master_replid2", std::string(40, '0'));
  info.Field("master_repl_offset", 0);
  info.Field("second_repl_offset", "-1");
  info.Zeros({"repl_backlog_active"});
  info.Field("repl_backlog_size", 1 * kMiB);
  info.Zeros({"repl_backlog_first_byte_offset", "repl_backlog_histlen"});
}

void WriteCpu(ServerContext& server, const ShardFigures&, InfoWriter& info) {
  const ProcessUsage usage = UsageOf(server);
  info.Field("used_cpu_sys", Seconds(usage.system));
  info.Field("used_cpu_user", Seconds(usage.user));
  info.Field("used_cpu_sys_children", Seconds(0));
  info.Field("used_cpu_user_children", Seconds(0));
  info.Field("used_cpu_sys_main_thread", Seconds(usage.thread_system));
  info.Field("used_cpu_user_main_thread", Seconds(usage.thread_user));
}

void WriteModules(ServerContext&, const ShardFigures&, InfoWriter&) {}

// Calls are counted each; their times are those of a sample.
void WriteCommandStats(ServerContext&, const ShardFigures& all, InfoWriter& info) {
  for (const CommandStats& command : all.stats.commands) {
    if (command.calls + command.rejected_calls == 0) continue;
    const auto time_us = static_cast<uint64_t>(command.EstimatedTime() / kMicrosecond);
    const double each_us = command.calls == 0
                               ? 0.0
                               : static_cast<double>(time_us) / static_cast<double>(command.calls);
    info.Field("cmdstat_" + std::string(command.name),
               "calls=" + std::to_string(command.calls) + ",usec=" + std::to_string(time_us) +
                   ",usec_per_call=" + Decimal(each_us) +
                   ",rejected_calls=" + std::to_string(command.rejected_calls) +
                   ",failed_calls=" + std::to_string(command.failed_calls));
  }
}

void WriteErrorStats(ServerContext&, const ShardFigures& all, InfoWriter& info) {
  for (const auto& [code, count] : all.stats.errors.by_code()) {
    info.Field("errorstat_" + code, "count=" + std::to_string(count));
  }
}

void WriteLatencyStats(ServerContext&, const ShardFigures& all, InfoWriter& info) {
  for (const CommandStats& command : all.stats.commands) {
    if (command.times == nullptr) continue;
    const auto percentile = [&](uint64_t per_mille) {
      return Microseconds(command.times->Percentile(per_mille, 1000));
    };
    info.Field("latency_percentiles_usec_" + std::string(command.name),
               "p50=" + percentile(500) + ",p99=" + percentile(990) + ",p99.9=" + percentile(999));
  }
}

void WriteCluster(ServerContext&, const ShardFigures&, InfoWriter& info) {
  info.Field("cluster_enabled", 0);
}

void WriteKeyspace(ServerContext&, const ShardFigures& all, InfoWriter& info) {
  if (all.keys == 0) return;
  info.Field("db0", "keys=" + std::to_string(all.keys) +
                        ",expires=" + std::to_string(all.keys_expiring) +
                        ",avg_ttl=" + std::to_string(all.average_ttl_ms));
}

struct Section {
  std::string_view title;
  void (*write)(ServerContext& server, const ShardFigures& all, InfoWriter& info);
  bool by_default = true;  // Without a name given.
};

// In Redis's order.
constexpr auto kSections = std::to_array<Section>({
    {"Server", WriteServer},
    {"Clients", WriteClients},
    {"Memory", WriteMemory},
    {"Persistence", WritePersistence},
    {"Stats", WriteStats},
    {"Replication", WriteReplication},
    {"CPU", WriteCpu},
    {"Modules", WriteModules},
    {"Commandstats", WriteCommandStats, false},
    {"Errorstats", WriteErrorStats},
    {"Latencystats", WriteLatencyStats, false},
    {"Cluster", WriteCluster},
    {"Keyspace", WriteKeyspace},
});

bool IsNamed(const Section& section, std::string_view name) {
  if (EqualsIgnoreCase(name, "all") || EqualsIgnoreCase(name, "everything")) return true;
  if (EqualsIgnoreCase(name, "default")) return section.by_default;
  return EqualsIgnoreCase(name, section.title);
}

}  // namespace

std::string InfoText(ServerContext& server, const ShardFigures& all,
                     std::span<const std::string> sections) {
  InfoWriter info;
  for (const Section& section : kSections) {
    const bool named = std::ranges::any_of(
        sections, [&](std::string_view name) { return IsNamed(section, name); });
    if (!named && !(sections.empty() && section.by_default)) continue;
    info.StartSection(section.title);
    section.write(server, all, info);
  }
  return info.Take();
}

}  // namespace orrery::server

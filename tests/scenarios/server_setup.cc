#include "tests/scenarios/server_setup.h"

#include <algorithm>
#include <string_view>

namespace orrery::scenarios {
namespace {

// Everybody reads in the end: nothing that a zero-copy send has pinned is ever given up.
constexpr Nanoseconds kNotificationTimeout = 1000 * kSecond;
static_assert(kNotificationTimeout > kScriptsMax + kSettleMax);
// A server that waits so long for a client, and takes so much from it, loses none of its replies.
constexpr Nanoseconds kPatientLinger = 1 * kSecond;
constexpr size_t kPatientDrainBytes = 8 * kMiB;
// One more than the server itself has.
constexpr int64_t kDescriptorsMin = 7;
constexpr int64_t kSegmentBitsMin = 2;
constexpr int64_t kSegmentBitsMax = 16;
constexpr int64_t kWallJumpMax = 400 * 86'400 * kSecond;

// In their order in time.
std::vector<WallJump> JumpsIn(const sim::Configuration& configuration) {
  std::vector<WallJump> jumps;
  for (uint64_t index = 0; index < kWallJumpsMax; ++index) {
    const int64_t by = sim::ValueOr(configuration, WallJumpName(index, "by_ns"), 0);
    if (by == 0) continue;
    const WallJump jump{.at = sim::ValueOr(configuration, WallJumpName(index, "at_ns"), 0),
                        .by = by};
    const auto later = std::find_if(jumps.begin(), jumps.end(),
                                    [&](const WallJump& other) { return other.at > jump.at; });
    jumps.insert(later, jump);
  }
  return jumps;
}

template <typename T>
void Take(const sim::Configuration& configuration, std::string_view name, T& value) {
  value = static_cast<T>(sim::ValueOr(configuration, name, static_cast<int64_t>(value)));
}

}  // namespace

std::string WallJumpName(uint64_t index, const char* what) {
  return "wall_jump_" + std::to_string(index) + "_" + what;
}

ServerSetup ReadServerSetup(const sim::Plan& plan) {
  const sim::Configuration& configuration = plan.configuration;
  ServerSetup setup;
  Take(configuration, "prompt", setup.prompt);
  setup.kernel.task_work = setup.prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred;
  setup.kernel.entropy_seed = plan.seed;
  Take(configuration, "sq_entries", setup.kernel.sq_entries);
  Take(configuration, "cq_entries", setup.kernel.cq_entries);
  Take(configuration, "socket_buffer_bytes", setup.kernel.socket_buffer_bytes);
  Take(configuration, "descriptors_max", setup.kernel.descriptors_max);
  Take(configuration, "clients_max", setup.shard.config.clients_max);
  server::ServerConfig& config = setup.shard.config;
  Take(configuration, "idle_seconds_max", config.idle_seconds_max);
  Take(configuration, "input_bytes_max", config.input_bytes_max);
  Take(configuration, "memory_bytes_max", config.memory_bytes_max);
  server::OutputLimit& output =
      config.output_limits[static_cast<size_t>(server::ClientClass::kNormal)];
  Take(configuration, "output_hard_bytes", output.hard_bytes);
  Take(configuration, "output_soft_bytes", output.soft_bytes);
  Take(configuration, "output_soft_seconds", output.soft_seconds);
  if (output != server::OutputLimit{}) {
    config.output_limits[static_cast<size_t>(server::ClientClass::kPubSub)] = output;
  }
  if (sim::ValueOr(configuration, "password", 0) != 0) config.password = kPassword;
  Take(configuration, "connections_max", setup.shard.reactor.connections_max);
  setup.shard.listen.port = kServerPort;
  Take(configuration, "buffers", setup.shard.reactor.buffers);
  Take(configuration, "buffer_bytes", setup.shard.reactor.buffer_bytes);
  Take(configuration, "fixed_files", setup.shard.reactor.fixed_files);
  Take(configuration, "iovecs_max", setup.shard.reactor.iovecs_max);
  Take(configuration, "linger_ns", setup.shard.reactor.linger);
  setup.shard.reactor.flush_timeout = setup.shard.reactor.linger;
  setup.shard.reactor.notification_timeout = kNotificationTimeout;
  Take(configuration, "drain_bytes_max", setup.shard.reactor.drain_bytes_max);
  ZeroCopyOptions& zero_copy = setup.shard.reactor.zero_copy;
  Take(configuration, "zero_copy_bytes_min", zero_copy.body_bytes_min);
  Take(configuration, "send_slots", zero_copy.slab.slots);
  Take(configuration, "send_iovecs", zero_copy.slab.iovecs);
  Take(configuration, "send_guards", zero_copy.slab.guards);
  Take(configuration, "copy_slots", zero_copy.copy_slots);
  Take(configuration, "copy_bytes", zero_copy.copy_bytes);
  Take(configuration, "in_place_bytes_min", setup.shard.in_place_bytes_min);
  Take(configuration, "in_place_trusted_bytes", setup.shard.in_place_trusted_bytes);
  Take(configuration, "output_pause_bytes", setup.shard.output_pause_bytes);
  Take(configuration, "output_resume_bytes", setup.shard.output_resume_bytes);
  Take(configuration, "table_segment_bits", setup.shard.table_segment_bits);
  Take(configuration, "background_buckets", setup.shard.background_buckets);
  const int64_t stop_after = sim::ValueOr(configuration, "stop_after_ns", -1);
  if (stop_after >= 0) setup.stop_after = stop_after;
  const int64_t stop_after_steps = sim::ValueOr(configuration, "stop_after_steps", -1);
  if (stop_after_steps >= 0) setup.stop_after_steps = static_cast<uint64_t>(stop_after_steps);
  setup.jumps = JumpsIn(configuration);
  return setup;
}

bool EndsHastily(const ServerSetup& setup) {
  const ReactorOptions& reactor = setup.shard.reactor;
  // Where clients may be idle for some time only, some pause for longer than any linger.
  return reactor.linger < kPatientLinger || reactor.drain_bytes_max < kPatientDrainBytes ||
         setup.shard.config.idle_seconds_max != 0;
}

std::optional<std::string> ProblemOf(const sim::Configuration& configuration) {
  const auto at_least = [&configuration](const char* name,
                                         int64_t low) -> std::optional<std::string> {
    if (sim::ValueOr(configuration, name, low) >= low) return std::nullopt;
    return "configuration: \"" + std::string(name) + "\" must be at least " + std::to_string(low);
  };
  for (const char* name :
       {"sq_entries", "cq_entries", "socket_buffer_bytes", "buffers", "buffer_bytes", "iovecs_max",
        "output_pause_bytes", "zero_copy_bytes_min", "send_slots", "send_iovecs", "send_guards",
        "copy_slots", "copy_bytes", "in_place_bytes_min", "in_place_trusted_bytes",
        "background_buckets", "clients_max", "connections_max", "input_bytes_max"}) {
    if (auto problem = at_least(name, 1)) return problem;
  }
  for (const char* name : {"idle_seconds_max", "memory_bytes_max", "output_hard_bytes",
                           "output_soft_bytes", "output_soft_seconds"}) {
    if (auto problem = at_least(name, 0)) return problem;
  }
  if (auto problem = at_least("descriptors_max", kDescriptorsMin)) return problem;
  const int64_t segment_bits = sim::ValueOr(configuration, "table_segment_bits", kSegmentBitsMin);
  if (segment_bits < kSegmentBitsMin || segment_bits > kSegmentBitsMax) {
    return "configuration: \"table_segment_bits\" must be 2 to 16";
  }
  for (uint64_t index = 0; index < kWallJumpsMax; ++index) {
    if (auto problem = at_least(WallJumpName(index, "at_ns").c_str(), 0)) return problem;
    const std::string name = WallJumpName(index, "by_ns");
    const int64_t by = sim::ValueOr(configuration, name, 0);
    if (by < -kWallJumpMax || by > kWallJumpMax) {
      return "configuration: \"" + name + "\" must be 400 days at most";
    }
  }
  return std::nullopt;
}

}  // namespace orrery::scenarios

#include "server/command_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/short_bytes.h"
#include "server/command_families.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// Eight ASCII letters at once; other bytes stay as they are.
uint64_t ToLowerWord(uint64_t word) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const uint64_t low_bits = word & (0x7f * kEach);
  const uint64_t from_a = low_bits + (0x80 - 'A') * kEach;
  const uint64_t beyond_z = low_bits + (0x7f - 'Z') * kEach;
  const uint64_t letters = (from_a & ~beyond_z) & ~word & (0x80 * kEach);
  return word | (letters >> 2);
}

// Whether it takes more for more data, and not only for more keys given to it.
bool DependsOnData(const CommandSpec& spec) {
  const bool by_keys_given =
      spec.keys.last < 0 && spec.complexity.find("number of keys") != std::string_view::npos;
  return !spec.complexity.starts_with("O(1)") && !by_keys_given;
}

// Whether it is plain (CommandSpec::is_plain).
bool IsPlain(const CommandSpec& spec) {
  constexpr uint32_t kOthers =
      kCategoryTransaction | kCategoryPubSub | kCategoryConnection | kCategoryAdmin;
  return spec.keys.first > 0 && spec.handler != nullptr && spec.subcommands.empty() &&
         (spec.categories & kOthers) == 0 && (spec.flags & (kAdmin | kNoMulti)) == 0 &&
         !spec.may_be_slow && !spec.on_all_shards && !spec.runs_in_multi;
}

// Whether the slow log has to know how long this call takes: where it cannot take as long as a slow
// one, it has not.
bool IsWatched(const CommandCall& call) {
  const ServerConfig& config = call.server.config;
  if (config.slow_from_us < 0 || (call.spec.flags & kSkipSlowlog) != 0) return false;
  return call.spec.may_be_slow || call.size() >= kManyArguments || WatchesAll(config);
}

void KeepIfSlow(const CommandCall& call, Nanoseconds took) {
  ServerContext& server = call.server;
  const int64_t from_us = server.config.slow_from_us;  // The call may have changed it.
  if (from_us < 0 || took / kMicrosecond < from_us) return;
  SlowCommand command{
      .at_us = server.now_us, .took = took, .arguments = KeptArguments(call.arguments)};
  if (server.slow_visit != nullptr) {
    *server.slow_visit = std::make_unique<SlowCommand>(std::move(command));
  } else {
    KeepSlow(std::move(command), &call.client, server);
  }
}

}  // namespace

void RunTimed(CommandCall& call, bool for_statistics, bool for_slow_log) {
  ServerContext& server = call.server;
  if (server.host == nullptr) return call.spec.handler(call);
  const Nanoseconds start = server.host->MonotonicNow();
  call.spec.handler(call);
  const Nanoseconds took = server.host->MonotonicNow() - start;
  if (for_statistics) server.stats.commands[call.spec.number].AddTime(took);
  if (for_slow_log) KeepIfSlow(call, took);
}

void KeepSlow(SlowCommand command, Client* client, ServerContext& server) {
  if (client != nullptr) {
    if (client->names().address.empty()) server.host->FindAddresses(*client);
    command.client_address = client->names().address;
    command.client_name = client->names().name;
  }
  server.slow_log.Add(std::move(command), server.config.slow_commands_max);
}

void RunCommand(CommandCall& call) {
  call.server.keyspace.CountUses(!call.client.no_touch);
  RunCounted(call, IsWatched(call));
}

const CommandSpec* CommandSpec::FindSubcommand(std::string_view subcommand) const {
  for (const CommandSpec& candidate : subcommands) {
    if (EqualsIgnoreCase(candidate.name.substr(name.size() + 1), subcommand)) return &candidate;
  }
  return nullptr;
}

const CommandSpec* CommandSpec::ForCall(const Command& command) const {
  const CommandSpec* spec =
      subcommands.empty() || command.size() < 2 ? this : FindSubcommand(command[1]);
  return spec != nullptr && spec->TakesArguments(command.size()) ? spec : nullptr;
}

uint32_t CommandSpec::AllCategories() const {
  uint32_t all = categories;
  if ((flags & kWrite) != 0) all |= kCategoryWrite;
  if ((flags & kReadOnly) != 0) all |= kCategoryRead;
  if ((flags & kAdmin) != 0) all |= kCategoryAdmin | kCategoryDangerous;
  all |= (flags & kFast) != 0 ? kCategoryFast : kCategorySlow;
  return all;
}

uint64_t CommandTable::Front(std::string_view name) { return ToLowerWord(LoadUpToWord(name)); }

CommandTable::CommandTable() {
  for (const std::span<const CommandSpec> family :
       {ConnectionCommands(), ClientCommands(), StringCommands(), CounterCommands(), LcsCommands(),
        BitCommands(), BitFieldCommands(), KeyCommands(), ExpiryCommands(), ScanCommands(),
        ObjectCommands(), DumpCommands(), PubSubCommands(), TransactionCommands(), ServerCommands(),
        SlowLogCommands(), ConfigCommands(), IntrospectionCommands()}) {
    specs_.insert(specs_.end(), family.begin(), family.end());
  }
  const size_t commands = specs_.size();
  for (size_t i = 0; i < commands; ++i) {
    const std::span<const CommandSpec> subcommands = specs_[i].subcommands;
    specs_.insert(specs_.end(), subcommands.begin(), subcommands.end());
  }
  // Now that they have come to stay.
  size_t next_subcommand = commands;
  for (size_t i = 0; i < specs_.size(); ++i) {
    CommandSpec& spec = specs_[i];
    spec.number = static_cast<uint32_t>(i);
    spec.may_be_slow |= DependsOnData(spec);
    spec.is_plain = IsPlain(spec);
    spec.subcommands = {specs_.data() + next_subcommand, spec.subcommands.size()};
    next_subcommand += spec.subcommands.size();
    if (i < commands) commands_.push_back(&spec);
  }
  slots_.resize(std::bit_ceil(commands_.size() * kSlotsPerCommand));
  slot_mask_ = slots_.size() - 1;
  for (const CommandSpec* spec : commands_) {
    ORRERY_CHECK_MSG(Find(spec->name) == nullptr, "two commands have one name");
    const uint64_t front = Front(spec->name);
    size_t index = SlotIndex(front, spec->name.size());
    while (slots_[index].spec != nullptr) index = (index + 1) & slot_mask_;
    slots_[index] = {.front = front, .size = spec->name.size(), .spec = spec};
  }
}

std::vector<CommandStats> CommandTable::MakeStats() const {
  std::vector<CommandStats> stats;
  for (const CommandSpec& spec : specs_) stats.emplace_back().name = spec.name;
  return stats;
}

const CommandSpec* CommandTable::Find(std::string_view name) const {
  const uint64_t front = Front(name);
  for (size_t index = SlotIndex(front, name.size());; index = (index + 1) & slot_mask_) {
    const Slot& slot = slots_[index];
    if (slot.front != front || slot.size != name.size()) [[unlikely]] {
      if (slot.spec == nullptr) return nullptr;
      continue;
    }
    if (name.size() <= sizeof(front) ||
        EqualsIgnoreCase(slot.spec->name.substr(sizeof(front)), name.substr(sizeof(front)))) {
      return slot.spec;
    }
  }
}

const CommandSpec* CommandTable::FindFullName(std::string_view name) const {
  const size_t bar = name.find('|');
  const CommandSpec* spec = Find(name.substr(0, bar));
  if (spec == nullptr || bar == std::string_view::npos) return spec;
  return spec->FindSubcommand(name.substr(bar + 1));
}

}  // namespace orrery::server

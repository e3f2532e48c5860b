#include "server/server_stats.h"

#include <algorithm>
#include <utility>

namespace orrery::server {

void CommandStats::AddTime(Nanoseconds time) {
  if (times == nullptr) times = std::make_unique<TimeHistogram>();
  times->Add(time);
  timed += time;
  ++timed_calls;
}

void CommandStats::Add(const CommandStats& other) {
  name = other.name;
  calls += other.calls;
  rejected_calls += other.rejected_calls;
  failed_calls += other.failed_calls;
  timed_calls += other.timed_calls;
  timed += other.timed;
  if (other.times == nullptr) return;
  if (times == nullptr) times = std::make_unique<TimeHistogram>();
  times->Add(*other.times);
}

Nanoseconds CommandStats::EstimatedTime() const {
  if (timed_calls == 0) return 0;
  const double mean = static_cast<double>(timed) / static_cast<double>(timed_calls);
  return static_cast<Nanoseconds>(mean * static_cast<double>(calls));
}

void ErrorCounts::Count(std::string_view text) {
  ++total_;
  std::string_view code = text.substr(0, text.find(' '));
  auto found = by_code_.find(code);
  if (found == by_code_.end()) {
    if (by_code_.size() >= kCodesMax) code = "ERR";
    found = by_code_.emplace(code, 0).first;
  }
  ++found->second;
}

void ErrorCounts::Add(const ErrorCounts& other) {
  total_ += other.total_;
  for (const auto& [code, count] : other.by_code_) by_code_[code] += count;
}

void ServerStats::Add(const ServerStats& other) {
  connections_received += other.connections_received;
  connections_rejected += other.connections_rejected;
  cut_off_idle += other.cut_off_idle;
  cut_off_for_input += other.cut_off_for_input;
  cut_off_for_output += other.cut_off_for_output;
  commands_processed += other.commands_processed;
  reads_processed += other.reads_processed;
  input_bytes += other.input_bytes;
  output_bytes += other.output_bytes;
  keyspace_hits += other.keyspace_hits;
  keyspace_misses += other.keyspace_misses;
  protocol_errors += other.protocol_errors;
  errors.Add(other.errors);
  commands.resize(std::max(commands.size(), other.commands.size()));
  for (size_t number = 0; number < other.commands.size(); ++number) {
    commands[number].Add(other.commands[number]);
  }
}

void ServerStats::Reset(uint64_t expired, uint64_t freed) {
  ServerStats fresh;
  fresh.expired_before = expired;
  fresh.freed_before = freed;
  fresh.output_bytes_before = output_bytes_before + output_bytes;
  for (const CommandStats& command : commands) fresh.commands.emplace_back().name = command.name;
  *this = std::move(fresh);
}

void RateMeter::Record(Nanoseconds now, const Traffic& traffic) {
  entries_[recorded_++ % kRecords] = {.at = now, .traffic = traffic};
  next_ = now + kPeriod;
}

Traffic RateMeter::PerSecond(Nanoseconds now, const Traffic& traffic) const {
  if (recorded_ == 0) return {};
  const Entry* since = &entries_[(recorded_ - 1) % kRecords];
  for (size_t back = 2; back <= std::min(recorded_, kRecords); ++back) {
    const Entry& older = entries_[(recorded_ - back) % kRecords];
    if (older.at < now - kWindow) break;
    since = &older;
  }
  const Nanoseconds passed = std::max(now - since->at, kPeriod);
  // CONFIG RESETSTAT may have been in between.
  const auto rate = [passed](uint64_t before, uint64_t after) -> uint64_t {
    if (after < before) return 0;
    return static_cast<uint64_t>(static_cast<double>(after - before) * kSecond /
                                 static_cast<double>(passed));
  };
  return {.commands = rate(since->traffic.commands, traffic.commands),
          .input_bytes = rate(since->traffic.input_bytes, traffic.input_bytes),
          .output_bytes = rate(since->traffic.output_bytes, traffic.output_bytes)};
}

}  // namespace orrery::server

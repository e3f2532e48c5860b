#include "tests/scenarios/device_workload.h"

#include <array>
#include <string_view>
#include <utility>

#include "tests/scenarios/item_reader.h"

namespace orrery::scenarios {
namespace {

using sim::Json;

constexpr uint64_t kNumberMax = 1'000'000;

constexpr std::array<std::pair<DeviceStep::Kind, std::string_view>, 9> kDeviceNames = {{
    {DeviceStep::Kind::kRead, "read"},
    {DeviceStep::Kind::kWrite, "write"},
    {DeviceStep::Kind::kFence, "fence"},
    {DeviceStep::Kind::kNonsense, "nonsense"},
    {DeviceStep::Kind::kAwait, "await"},
    {DeviceStep::Kind::kWait, "wait"},
    {DeviceStep::Kind::kScribbleWords, "scribble_words"},
    {DeviceStep::Kind::kScribbleStatus, "scribble_status"},
    {DeviceStep::Kind::kScribbleEmpty, "scribble_empty"},
}};

constexpr std::array<std::pair<DeviceStep::Wrong, std::string_view>, 6> kWrongNames = {{
    {DeviceStep::Wrong::kNothing, "nothing"},
    {DeviceStep::Wrong::kSourceIsDestination, "source_is_destination"},
    {DeviceStep::Wrong::kSourceIsDescriptor, "source_is_descriptor"},
    {DeviceStep::Wrong::kSourceIsGarbage, "source_is_garbage"},
    {DeviceStep::Wrong::kDestinationIsSource, "destination_is_source"},
    {DeviceStep::Wrong::kDestinationIsGarbage, "destination_is_garbage"},
}};

constexpr std::array<std::pair<HostStep::Kind, std::string_view>, 5> kHostNames = {{
    {HostStep::Kind::kAddSource, "add_source"},
    {HostStep::Kind::kAddDestination, "add_destination"},
    {HostStep::Kind::kWithdrawSource, "withdraw_source"},
    {HostStep::Kind::kWithdrawDestination, "withdraw_destination"},
    {HostStep::Kind::kWait, "wait"},
}};

// --- Generating.

class Generator {
 public:
  Generator(Prng& prng, uint64_t file_bytes, uint64_t place_bytes)
      : prng_(prng), file_bytes_(file_bytes), place_bytes_(place_bytes) {}

  DeviceWorkload Generate() {
    wrong_in_32_ = prng_.Chance(1, 3) ? 0 : prng_.Between(1, 8);
    scribbles_ = prng_.Chance(1, 3);
    withdraws_ = prng_.Chance(2, 3);
    DeviceWorkload workload;
    // What there is from the start: most things need a file and a place.
    const uint64_t sources = prng_.Between(1, 4);
    for (uint64_t source = 0; source < sources; ++source)
      workload.host.push_back(AddSource(source));
    const uint64_t destinations = prng_.Between(1, 12);
    for (uint64_t place = 0; place < destinations; ++place) {
      workload.host.push_back(
          {.kind = HostStep::Kind::kAddDestination, .which = place, .bytes = Bytes()});
    }
    const uint64_t steps = prng_.Between(1, prng_.Chance(1, 4) ? 300 : 80);
    for (uint64_t step = 0; step < steps; ++step) workload.device.push_back(Device());
    const uint64_t changes = prng_.Below(20);
    for (uint64_t step = 0; step < changes; ++step) workload.host.push_back(Host());
    return workload;
  }

 private:
  Nanoseconds Duration() {
    const uint64_t high = uint64_t{1} << prng_.Between(0, 20);
    return static_cast<Nanoseconds>(prng_.Below(high));
  }
  // Mostly as much as a place has, or less.
  uint64_t Bytes() {
    if (prng_.Chance(1, 8)) return prng_.Below(4);
    return prng_.Between(1, place_bytes_);
  }

  HostStep AddSource(uint64_t which) {
    HostStep step{.kind = HostStep::Kind::kAddSource, .which = which};
    // The whole file and more, or a part of it.
    const bool part = prng_.Chance(1, 2);
    step.begin = part ? prng_.Below(file_bytes_) : 0;
    step.bytes = part ? prng_.Between(1, file_bytes_) : 2 * file_bytes_;
    step.access = prng_.Chance(1, 2) ? 3 : prng_.Between(1, 2);
    return step;
  }

  DeviceStep Device() {
    using Kind = DeviceStep::Kind;
    DeviceStep step;
    const uint64_t pick = prng_.Below(64);
    step.kind = pick < 30   ? Kind::kRead
                : pick < 44 ? Kind::kWrite
                : pick < 50 ? Kind::kFence
                : pick < 54 ? Kind::kAwait
                : pick < 58 ? Kind::kWait
                : pick < 60 ? Kind::kScribbleWords
                : pick < 61 ? Kind::kScribbleStatus
                : pick < 62 ? Kind::kScribbleEmpty
                            : Kind::kNonsense;
    const bool scribble = step.kind >= Kind::kScribbleWords;
    if (scribble && !scribbles_) step.kind = Kind::kRead;
    if (step.kind == Kind::kNonsense && wrong_in_32_ == 0) step.kind = Kind::kRead;
    step.source = prng_.Below(16);
    step.destination = prng_.Below(16);
    step.offset = prng_.Below(file_bytes_ + file_bytes_ / 4);
    step.bytes = Bytes();
    step.value = prng_.Below(8);
    step.duration = step.kind == Kind::kWait ? Duration() : 0;
    if (!prng_.Chance(wrong_in_32_, 32)) return step;
    switch (prng_.Below(4)) {
      case 0:
        step.bytes = place_bytes_ + prng_.Between(1, kNumberMax - place_bytes_);
        break;
      case 1:
        step.offset = UINT64_MAX - prng_.Below(file_bytes_);
        break;
      default:
        step.wrong = static_cast<DeviceStep::Wrong>(prng_.Between(1, 5));
    }
    return step;
  }

  HostStep Host() {
    using Kind = HostStep::Kind;
    const uint64_t pick = prng_.Below(8);
    if (pick < 4) return {.kind = Kind::kWait, .duration = Duration()};
    if (pick < 5) return AddSource(prng_.Below(8));
    if (pick < 6) {
      return {.kind = Kind::kAddDestination, .which = prng_.Below(16), .bytes = Bytes()};
    }
    if (!withdraws_) return {.kind = Kind::kWait, .duration = Duration()};
    const Kind kind = pick < 7 ? Kind::kWithdrawSource : Kind::kWithdrawDestination;
    return {.kind = kind, .which = prng_.Below(16)};
  }

  Prng& prng_;
  const uint64_t file_bytes_;
  const uint64_t place_bytes_;
  uint64_t wrong_in_32_ = 0;
  bool scribbles_ = false;
  bool withdraws_ = false;
};

// --- Reading.

std::string ReadDeviceStep(ItemReader& reader, DeviceWorkload& workload) {
  DeviceStep step;
  const std::string name = reader.Text("do");
  const std::string wrong = reader.has("wrong") ? reader.Text("wrong") : "nothing";
  if (!reader.problem.empty()) return reader.problem;
  if (!FindKind(kDeviceNames, name, step.kind)) {
    return "no device's step has the name \"" + name + "\"";
  }
  if (!FindKind(kWrongNames, wrong, step.wrong)) return "nothing is wrong by \"" + wrong + "\"";
  step.source = reader.Number("source", kNumberMax);
  step.destination = reader.Number("destination", kNumberMax);
  step.offset = reader.Number("offset", UINT64_MAX);
  step.bytes = reader.Number("bytes", UINT32_MAX);
  step.value = reader.Number("value", UINT32_MAX);
  step.duration = reader.Time("duration_ns");
  workload.device.push_back(step);
  return reader.problem;
}

std::string ReadHostStep(ItemReader& reader, DeviceWorkload& workload) {
  HostStep step;
  const std::string name = reader.Text("do");
  if (!reader.problem.empty()) return reader.problem;
  if (!FindKind(kHostNames, name, step.kind)) return "no host's step has the name \"" + name + "\"";
  step.which = reader.Number("which", kNumberMax);
  step.begin = reader.Number("begin", kNumberMax);
  step.bytes = reader.Number("bytes", kNumberMax);
  step.access = reader.Number("access", 3);
  step.duration = reader.Time("duration_ns");
  workload.host.push_back(step);
  return reader.problem;
}

std::string ReadItem(const Json& item, DeviceWorkload& workload) {
  ItemReader reader(item);
  const std::string op = reader.Text("op");
  if (op == "device") return ReadDeviceStep(reader, workload);
  if (op == "host") return ReadHostStep(reader, workload);
  return reader.problem.empty() ? "no item has the op \"" + op + "\"" : reader.problem;
}

}  // namespace

DeviceWorkload GenerateDeviceWorkload(Prng& prng, uint64_t file_bytes, uint64_t place_bytes) {
  return Generator(prng, file_bytes, place_bytes).Generate();
}

void WriteDeviceWorkload(const DeviceWorkload& workload, std::vector<Json>& items) {
  const auto put = [](Json& item, const char* name, auto value) {
    if (value != 0) item[name] = static_cast<uint64_t>(value);
  };
  for (const HostStep& step : workload.host) {
    Json item = {{"op", "host"}};
    item["do"] = NameIn(kHostNames, step.kind);
    put(item, "which", step.which);
    put(item, "begin", step.begin);
    put(item, "bytes", step.bytes);
    put(item, "access", step.access);
    put(item, "duration_ns", step.duration);
    items.push_back(std::move(item));
  }
  for (const DeviceStep& step : workload.device) {
    Json item = {{"op", "device"}};
    item["do"] = NameIn(kDeviceNames, step.kind);
    if (step.wrong != DeviceStep::Wrong::kNothing) item["wrong"] = NameIn(kWrongNames, step.wrong);
    put(item, "source", step.source);
    put(item, "destination", step.destination);
    put(item, "offset", step.offset);
    put(item, "bytes", step.bytes);
    put(item, "value", step.value);
    put(item, "duration_ns", step.duration);
    items.push_back(std::move(item));
  }
}

std::expected<DeviceWorkload, std::string> ReadDeviceWorkload(const std::vector<Json>& items) {
  DeviceWorkload workload;
  for (size_t index = 0; index < items.size(); ++index) {
    const std::string problem = ReadItem(items[index], workload);
    if (!problem.empty()) {
      return std::unexpected("workload item " + std::to_string(index + 1) + ": " + problem);
    }
  }
  return workload;
}

}  // namespace orrery::scenarios

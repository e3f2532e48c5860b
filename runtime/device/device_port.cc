#include "runtime/device/device_port.h"

#include <string_view>
#include <utility>

#include "runtime/registered_buffers.h"

namespace orrery {
namespace {

constexpr size_t kRegionBytesMax = size_t{1} << 30;  // What one registered buffer may have.

struct FailureName {
  DeviceFailure failure;
  std::string_view name;
  std::string_view help;
};
constexpr std::array<FailureName, static_cast<size_t>(DeviceFailure::kCount)> kFailures = {{
    {DeviceFailure::kOperation, "operation", "Requests for an operation that there is not."},
    {DeviceFailure::kHandle, "handle", "Requests that named what is no handle."},
    {DeviceFailure::kDirection, "direction", "Requests for what their file may not be used for."},
    {DeviceFailure::kRange, "range", "Requests for bytes that are not theirs."},
    {DeviceFailure::kKernel, "kernel", "Requests that ended with an error of the kernel's."},
    {DeviceFailure::kStopped, "stopped", "Requests that the end of the loop ended."},
}};

}  // namespace

std::expected<std::unique_ptr<DevicePort>, std::string> DevicePort::Create(
    Kernel& kernel, std::span<std::byte> queue, std::vector<std::span<std::byte>> regions) {
  auto slots = MapSlotQueue(queue);
  if (!slots) return std::unexpected(slots.error());
  if (regions.empty() || regions.size() > RegisteredBuffers::kRegionsMax) {
    return std::unexpected("device port: from 1 to " +
                           std::to_string(RegisteredBuffers::kRegionsMax) +
                           " regions of memory can be registered");
  }
  for (const std::span<std::byte> region : regions) {
    if (!region.empty() && region.size() <= kRegionBytesMax) continue;
    return std::unexpected("device port: a region has from 1 byte to 1 GiB");
  }
  const auto eventfd = kernel.MakeEventFd();
  if (!eventfd) return std::unexpected("device port: an eventfd: " + eventfd.error().ToString());
  return std::unique_ptr<DevicePort>(new DevicePort(kernel, *eventfd, *slots, std::move(regions)));
}

DevicePort::DevicePort(Kernel& kernel, int eventfd, SlotQueue queue,
                       std::vector<std::span<std::byte>> regions)
    : kernel_(kernel), eventfd_(eventfd), queue_(queue), handles_(std::move(regions)) {}

DevicePort::~DevicePort() { kernel_.Close(eventfd_); }

void DevicePort::RequestStop() {
  stop_requested_.store(true, std::memory_order_release);
  if (waker_.Publish()) kernel_.SignalEventFd(eventfd_);
}

void DevicePort::Register(Metrics& metrics) const {
  const auto count = [](const OwnedCount& counter) {
    return [&counter] { return counter.value(); };
  };
  metrics.AddCounter("orrery_device_claimed_total", "Requests that the loop has taken.",
                     count(counters_.claimed));
  metrics.AddCounter("orrery_device_completed_total", "Requests that were answered, well or not.",
                     count(counters_.completed));
  for (const FailureName& each : kFailures) {
    metrics.AddCounter("orrery_device_failed_" + std::string(each.name) + "_total",
                       std::string(each.help),
                       count(counters_.failed[static_cast<size_t>(each.failure)]));
  }
  metrics.AddCounter("orrery_device_read_bytes_total", "Bytes read for the device.",
                     count(counters_.bytes_read));
  metrics.AddCounter("orrery_device_written_bytes_total", "Bytes written for the device.",
                     count(counters_.bytes_written));
  metrics.AddGauge("orrery_device_in_flight", "Requests that were taken and not answered.",
                   count(counters_.in_flight));
  metrics.AddCounter("orrery_device_lost_total",
                     "Requests whose memory was left to the kernel for ever.",
                     count(counters_.lost));
  metrics.AddCounter("orrery_device_refused_total",
                     "Changes of a slot by somebody whose it was not.", count(counters_.refused));
  metrics.AddHistogram("orrery_device_queue_to_claim_nanoseconds",
                       "From the publication of a request to its claim.", counters_.queue_to_claim);
  metrics.AddHistogram("orrery_device_claim_to_complete_nanoseconds",
                       "From the claim of a request to its completion.",
                       counters_.claim_to_complete);
}

}  // namespace orrery

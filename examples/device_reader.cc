// bazel run //examples:device_reader -- --file=FILE [--block=BYTES] [--depth=N]
#include "examples/device_reader.h"

#include <bit>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <string_view>

#include "runtime/ring/linux_kernel.h"

namespace orrery::examples::device_reader {
namespace {

bool TakeNumber(std::string_view argument, std::string_view name, uint32_t max, uint32_t& number) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const char* const end = argument.data() + argument.size();
  const auto [read, error] = std::from_chars(argument.data(), end, number);
  return error == std::errc() && read == end && number > 0 && number <= max;
}

bool Parse(std::span<char*> arguments, Options& options) {
  for (const std::string_view argument : arguments) {
    if (argument.starts_with("--file=")) {
      options.file = argument.substr(7);
    } else if (!TakeNumber(argument, "--block=", 64 * kMiB, options.block_bytes) &&
               !TakeNumber(argument, "--depth=", ORRERY_DEVICE_SLOTS_MAX, options.depth)) {
      return false;
    }
  }
  return !options.file.empty() && std::has_single_bit(options.depth);
}

int Main(std::span<char*> arguments) {
  Options options;
  if (!Parse(arguments, options)) {
    std::printf(
        "usage: device_reader --file=FILE [--block=BYTES] [--depth=N]\nA thread plays a device "
        "that reads FILE through the device loop, N blocks at a time (a power of two).\n");
    return 2;
  }
  LinuxKernel kernel;
  const auto report = ReadFile(kernel, options);
  if (!report) {
    std::fprintf(stderr, "device_reader: %s\n", report.error().c_str());
    return 1;
  }
  const double seconds = static_cast<double>(report->time) / static_cast<double>(kSecond);
  const auto us = [](Nanoseconds time) { return static_cast<double>(time) / kMicrosecond; };
  std::printf("%" PRIu64 " bytes in %" PRIu64 " blocks of %" PRIu32
              ": %.2f GB/s, %.0f requests/s\n",
              report->bytes, report->blocks, options.block_bytes,
              static_cast<double>(report->bytes) / seconds / 1e9,
              static_cast<double>(report->blocks) / seconds);
  std::printf("published to claimed: %.1f us (p50), %.1f us (p99)\n", us(report->claim_p50),
              us(report->claim_p99));
  const uint64_t expected = ChecksumOf(options);
  const bool right = report->checksum == expected;
  std::printf("checksum %016" PRIx64 ": %s\n", report->checksum,
              right ? "right" : "WRONG, or the file has changed");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace orrery::examples::device_reader

int main(int argc, char** argv) {
  return orrery::examples::device_reader::Main({argv + 1, static_cast<size_t>(argc - 1)});
}

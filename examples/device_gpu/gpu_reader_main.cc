// A GPU reads a file through the device loop, and the host verifies what it has summed up.
//
//     bazel run --config=bench //examples/device_gpu:gpu_reader -- --file=FILE [--block=65536]
//         [--depth=256] [--requests=100000] [--random] [--direct]
//
// Exit code: 0 the sum is right, 1 it is not or something failed, 2 wrong use.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "examples/device_gpu/gpu_job.h"
#include "runtime/device/device_port.h"
#include "runtime/device/device_thread.h"
#include "runtime/loop/shared_file.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery::examples::gpu_reader {
namespace {

struct Options {
  std::string file;
  uint64_t block_bytes = 64 * kKiB;
  uint64_t depth = 256;  // Slots, blocks of memory, and blocks of threads.
  uint64_t requests = 100'000;
  bool random = false;
  bool direct = false;
};

// Memory that both the ring and the GPU know.
class Mapped {
 public:
  explicit Mapped(size_t bytes) {
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      problem_ = "no memory";
      return;
    }
    memory_ = {static_cast<std::byte*>(memory), bytes};
    problem_ = MapMemory(memory, bytes);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (problem_ == nullptr) UnmapMemory(memory_.data());
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
  }

  const char* problem() const { return problem_; }
  std::span<std::byte> span() { return memory_; }

 private:
  std::span<std::byte> memory_;
  const char* problem_ = nullptr;
};

bool TakeNumber(std::string_view argument, std::string_view name, uint64_t max, uint64_t& number) {
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
    } else if (argument == "--random") {
      options.random = true;
    } else if (argument == "--direct") {
      options.direct = true;
    } else if (!TakeNumber(argument, "--block=", 16 * kMiB, options.block_bytes) &&
               !TakeNumber(argument, "--depth=", ORRERY_DEVICE_SLOTS_MAX, options.depth) &&
               !TakeNumber(argument, "--requests=", uint64_t{1} << 40, options.requests)) {
      return false;
    }
  }
  return !options.file.empty() && std::has_single_bit(options.depth) &&
         options.block_bytes % 4096 == 0 && options.depth * options.block_bytes <= 1 << 30;
}

// The sum of the words of each block of the file, by read(2).
std::vector<uint64_t> SumBlocks(const Options& options, uint64_t blocks) {
  std::vector<uint64_t> sums(blocks);
  std::vector<uint32_t> block(options.block_bytes / 4);
  const int fd = ::open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  for (uint64_t& sum : sums) {
    auto* const bytes = reinterpret_cast<char*>(block.data());  // Words as read(2) gives them.
    for (size_t filled = 0; filled < options.block_bytes;) {
      const ssize_t got = ::read(fd, bytes + filled, options.block_bytes - filled);
      if (got <= 0) break;
      filled += static_cast<size_t>(got);
    }
    for (const uint32_t word : block) sum += word;
  }
  ::close(fd);
  return sums;
}

int Fail(std::string_view what, std::string_view why) {
  std::fprintf(stderr, "gpu_reader: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(why.size()), why.data());
  return 1;
}

void Print(const Job& job, const Report& report, Nanoseconds time) {
  const double seconds = static_cast<double>(time) / static_cast<double>(kSecond);
  const auto us = [](uint64_t time_ns) { return static_cast<double>(time_ns) / kMicrosecond; };
  std::printf("%" PRIu64 " reads of %" PRIu32 " bytes by %" PRIu32
              " blocks of threads: %.2f GB/s, %.0f requests/s\n",
              job.requests, job.block_bytes, job.thread_blocks,
              static_cast<double>(report.bytes) / seconds / 1e9,
              static_cast<double>(job.requests) / seconds);
  std::printf("published to answered, as the GPU sees it: %.1f us (mean), %.1f us (longest)\n",
              us(report.wait_ns_total) / static_cast<double>(job.requests), us(report.wait_ns_max));
}

int Main(std::span<char*> arguments) {
  Options options;
  if (!Parse(arguments, options)) {
    std::printf(
        "usage: gpu_reader --file=FILE [--block=BYTES] [--depth=N] [--requests=N] [--random] "
        "[--direct]\nBYTES: a multiple of 4096. N of --depth: a power of two, up to 4096.\n");
    return 2;
  }
  std::array<char, 256> name{};
  if (const char* problem = FindGpu(name.data(), name.size())) return Fail("the GPU", problem);
  const int flags = O_RDONLY | O_CLOEXEC | (options.direct ? O_DIRECT : 0);
  const int fd = ::open(options.file.c_str(), flags);
  if (fd < 0) return Fail(options.file, std::strerror(errno));
  LinuxKernel kernel;
  const SharedFile file(kernel, fd);
  struct stat status{};
  (void)::fstat(fd, &status);
  const uint64_t blocks = static_cast<uint64_t>(status.st_size) / options.block_bytes;
  if (blocks == 0) return Fail(options.file, "it has no whole block");

  const size_t queue_bytes = options.depth * sizeof(orrery_device_slot);
  Mapped queue(std::max<size_t>(queue_bytes, 4096));
  Mapped handles(std::max<size_t>(options.depth * sizeof(uint32_t), 4096));
  Mapped memory(options.depth * options.block_bytes);
  for (const Mapped* each : {&queue, &handles, &memory}) {
    if (each->problem() != nullptr) return Fail("mapped memory", each->problem());
  }
  const auto port = DevicePort::Create(kernel, queue.span().first(queue_bytes), {memory.span()});
  if (!port) return Fail("the port", port.error());
  // Words in memory that mmap(2) has aligned.
  auto* const destinations = reinterpret_cast<uint32_t*>(handles.span().data());
  for (uint64_t block = 0; block < options.depth; ++block) {
    destinations[block] = (*port)
                              ->handles()
                              .AddDestination(0, block * options.block_bytes, options.block_bytes)
                              .value();
  }
  const Job job{
      .slots = reinterpret_cast<orrery_device_slot*>(queue.span().data()),
      .slot_count = static_cast<uint32_t>(options.depth),
      .destinations = destinations,
      .memory = reinterpret_cast<const unsigned char*>(memory.span().data()),
      .block_bytes = static_cast<uint32_t>(options.block_bytes),
      .source = (*port)->handles().AddSource(file, {}).value(),
      .file_blocks = blocks,
      .requests = options.requests,
      .thread_blocks = static_cast<uint32_t>(options.depth),
      .random = options.random,
  };
  const std::vector<uint64_t> sums = SumBlocks(options, blocks);
  const auto loop =
      DeviceThread::Start(**port, {.requests_max = static_cast<uint32_t>(options.depth)});
  if (!loop) return Fail("the loop", loop.error());

  std::printf("%s, %s of %s\n", name.data(), options.random ? "random reads" : "sequential reads",
              options.file.c_str());
  Report report;
  const Nanoseconds start = kernel.MonotonicNow();
  if (const char* problem = RunJob(job, &report)) return Fail("the kernel", problem);
  const Nanoseconds time = kernel.MonotonicNow() - start;
  if (const auto stopped = (*loop)->Stop(); !stopped) {
    return Fail("the loop", stopped.error().ToString());
  }
  Print(job, report, time);
  uint64_t expected = 0;
  for (uint64_t number = 0; number < job.requests; ++number) expected += sums[BlockOf(job, number)];
  const bool right = report.errors == 0 && report.sum == expected;
  std::printf("%" PRIu64 " errors; sum %016" PRIx64 ": %s\n", report.errors, report.sum,
              right ? "right" : "WRONG");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace orrery::examples::gpu_reader

int main(int argc, char** argv) {
  return orrery::examples::gpu_reader::Main({argv + 1, static_cast<size_t>(argc - 1)});
}

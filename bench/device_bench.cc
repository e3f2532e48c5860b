// One measurement of the device loop, for //bench:device: a device that reads a file block by block
// for some seconds; prints one JSON object.
//
// The device is played on the loop's own thread, between its turns, so that on a machine with other
// work one thread stands against fio's one; what playing costs is then counted as the loop's. With
// --thread it is a thread of its own, that looks all the time, as an accelerator does: that shows
// how long its requests wait.
#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "runtime/device/device_loop.h"
#include "runtime/device/device_port.h"
#include "runtime/device/requester.h"
#include "runtime/loop/shared_file.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

struct Options {
  std::string file;
  uint32_t block_bytes = 4096;
  uint32_t depth = 32;
  double seconds = 1;
  bool random = false;
  bool direct = false;
  bool fixed_buffers = true;
  bool thread = false;
  int loop_cpu = -1;
  int device_cpu = -1;
};

void StayOn(int cpu) {
  if (cpu < 0) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<size_t>(cpu), &only);
  ORRERY_CHECK(::sched_setaffinity(0, sizeof only, &only) == 0);
}

Nanoseconds ThreadTime() {
  rusage usage{};
  ORRERY_CHECK(::getrusage(RUSAGE_THREAD, &usage) == 0);
  const auto of = [](const timeval& time) {
    return time.tv_sec * kSecond + time.tv_usec * kMicrosecond;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

std::span<std::byte> MakeMemory(size_t bytes) {
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(2 * kMiB, bytes));
  ORRERY_CHECK(memory != nullptr);
  std::fill_n(memory, bytes, std::byte{0});
  return {memory, bytes};
}

// Keeps `depth` requests in the queue until the time is up, and takes what is left.
class Player {
 public:
  Player(LinuxKernel& kernel, SlotQueue queue, const Options& options, uint32_t source,
         std::vector<uint32_t> blocks, uint64_t file_bytes)
      : kernel_(kernel),
        requester_(queue),
        options_(options),
        source_(source),
        blocks_(std::move(blocks)),
        file_blocks_(file_bytes / options.block_bytes),
        numbers_(options.depth) {
    ORRERY_CHECK(file_blocks_ > 0);
    for (size_t block = 0; block < blocks_.size(); ++block) free_.push_back(block);
    start_ = kernel_.MonotonicNow();
  }

  // Takes what is answered, and asks for as much again. False: the time is up, and all is taken.
  bool Step() {
    const Nanoseconds now = kernel_.MonotonicNow();
    if (time == 0 && now - start_ >= static_cast<Nanoseconds>(options_.seconds * kSecond)) {
      time = now - start_;
      in_time = taken;
    }
    TakeSome();
    while (time == 0 && !free_.empty() && Ask(free_.back())) free_.pop_back();
    return time == 0 || taken < requester_.published();
  }
  // Of a thread of its own.
  void Play() {
    while (Step()) __builtin_ia32_pause();
  }

  uint64_t taken = 0;
  uint64_t in_time = 0;
  Nanoseconds time = 0;  // Once it is up.

 private:
  // Answers come in any order: each block is looked at.
  void TakeSome() {
    for (size_t block = 0; block < blocks_.size(); ++block) {
      if (!numbers_[block].has_value()) continue;
      const auto result = requester_.TryTake(*numbers_[block]);
      if (!result.has_value()) continue;
      ORRERY_CHECK(result->ok);
      ORRERY_CHECK(result->tag == options_.block_bytes);
      numbers_[block].reset();
      free_.push_back(block);
      ++taken;
    }
  }

  bool Ask(size_t block) {
    const uint64_t number = requester_.published();
    const uint64_t at = options_.random ? Mix64(number) % file_blocks_ : number % file_blocks_;
    numbers_[block] =
        requester_.TryPublish({.operation = ORRERY_DEVICE_READ,
                               .source = source_,
                               .destination = blocks_[block],
                               .offset = at * options_.block_bytes,
                               .bytes = options_.block_bytes,
                               .published_at = static_cast<uint32_t>(kernel_.MonotonicNow()) | 1});
    return numbers_[block].has_value();
  }

  LinuxKernel& kernel_;
  Requester requester_;
  const Options& options_;
  const uint32_t source_;
  const std::vector<uint32_t> blocks_;
  const uint64_t file_blocks_;
  std::vector<std::optional<uint64_t>> numbers_;  // By block: the request that it is used by.
  std::vector<size_t> free_;
  Nanoseconds start_ = 0;
};

int Run(const Options& options) {
  LinuxKernel kernel;
  const int flags = O_RDONLY | O_CLOEXEC | (options.direct ? O_DIRECT : 0);
  const int fd = ::open(options.file.c_str(), flags);
  ORRERY_CHECK_MSG(fd >= 0, "the file cannot be opened");
  struct stat status{};
  ORRERY_CHECK(::fstat(fd, &status) == 0);
  const SharedFile file(kernel, fd);
  // Slots to spare, so that a late answer does not hold up the next question.
  const size_t queue_bytes = size_t{2} * options.depth * sizeof(orrery_device_slot);
  const std::span<std::byte> queue = MakeMemory(std::max(queue_bytes, 2 * kMiB)).first(queue_bytes);
  const size_t memory_bytes = size_t{options.depth} * options.block_bytes;
  const auto memory = MakeMemory((memory_bytes + 2 * kMiB - 1) / (2 * kMiB) * 2 * kMiB);
  auto port = DevicePort::Create(kernel, queue, {memory});
  ORRERY_CHECK_MSG(port.has_value(), "no port");
  const uint32_t source = (*port)->handles().AddSource(file, {}).value();
  std::vector<uint32_t> blocks;
  for (uint64_t block = 0; block < options.depth; ++block) {
    blocks.push_back((*port)
                         ->handles()
                         .AddDestination(0, block * options.block_bytes, options.block_bytes)
                         .value());
  }
  StayOn(options.loop_cpu);
  auto loop = DeviceLoop::Create(
      **port, {.requests_max = options.depth, .fixed_buffers = options.fixed_buffers});
  ORRERY_CHECK_MSG(loop.has_value(), loop.error().c_str());
  Player player(kernel, MapSlotQueue(queue).value(), options, source, blocks,
                static_cast<uint64_t>(status.st_size));
  const Nanoseconds before = ThreadTime();
  std::thread device;
  if (options.thread) {
    device = std::thread([&] {
      StayOn(options.device_cpu);
      player.Play();
      (*port)->RequestStop();
    });
  }
  bool playing = !options.thread;
  while (!(*loop)->finished()) {
    const EnterRequest request = (*loop)->Turn();
    if (playing && !(playing = player.Step())) (*port)->RequestStop();
    (*loop)->OnEntered((*loop)->ring().Enter(request));
  }
  const Nanoseconds cpu = ThreadTime() - before;
  if (device.joinable()) device.join();
  const DeviceCounters& counters = (*port)->counters();
  const auto us = [](Nanoseconds time) { return static_cast<double>(time) / kMicrosecond; };
  fmt::print(
      "{{\"requests\": {}, \"requests_per_s\": {:.1f}, \"cpu_us_per_request\": {:.4f}, "
      "\"claim_p50_us\": {:.2f}, \"claim_p99_us\": {:.2f}, \"complete_p50_us\": {:.2f}, "
      "\"complete_p99_us\": {:.2f}, \"turns\": {}}}\n",
      player.in_time, static_cast<double>(player.in_time) * kSecond / player.time,
      us(cpu) / static_cast<double>(player.taken), us(counters.queue_to_claim.Percentile(1, 2)),
      us(counters.queue_to_claim.Percentile(99, 100)),
      us(counters.claim_to_complete.Percentile(1, 2)),
      us(counters.claim_to_complete.Percentile(99, 100)), (*loop)->operations().turns);
  return 0;
}

}  // namespace
}  // namespace orrery

int main(int argc, char** argv) {
  orrery::Options options;
  bool plain = false;
  CLI::App app("One measurement of the device loop; //bench:device runs it beside fio.");
  app.add_option("--file", options.file, "What is read")->required();
  app.add_option("--block", options.block_bytes, "Bytes of a request")->capture_default_str();
  app.add_option("--depth", options.depth, "Requests at a time: a power of two")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "For so long")->capture_default_str();
  app.add_flag("--random", options.random, "Blocks in no order");
  app.add_flag("--direct", options.direct, "O_DIRECT");
  app.add_flag("--plain", plain, "Plain reads into memory that is not registered");
  app.add_flag("--thread", options.thread, "The device is a thread of its own");
  app.add_option("--loop-cpu", options.loop_cpu, "Where the loop runs");
  app.add_option("--device-cpu", options.device_cpu, "Where the thread runs that plays the device");
  CLI11_PARSE(app, argc, argv);
  options.fixed_buffers = !plain;
  return orrery::Run(options);
}

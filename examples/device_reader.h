// A device that reads a file, played by a thread: what a program around a device loop looks like.
//
// The host gives out two kinds of handles: one for the file, and one for each of so many blocks of
// memory. The device knows nothing else. It keeps as many requests in the queue as there are
// blocks, sums up what arrives, and asks for the next block of the file in each that it has read.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/units.h"
#include "runtime/device/device_port.h"
#include "runtime/device/device_thread.h"
#include "runtime/device/requester.h"
#include "runtime/loop/shared_file.h"
#include "runtime/ring/kernel.h"

namespace orrery::examples::device_reader {

struct Options {
  std::string file;
  uint32_t block_bytes = 64 * kKiB;
  uint32_t depth = 32;  // Blocks, and slots of the queue: a power of two.
};

struct Report {
  uint64_t bytes = 0;
  uint64_t blocks = 0;
  uint64_t checksum = 0;
  Nanoseconds time = 0;
  // From a request's publication to its claim: half of them waited no longer, and 99 of 100.
  Nanoseconds claim_p50 = 0;
  Nanoseconds claim_p99 = 0;
};

// Of a block: sums of them are a file's checksum, in whatever order the blocks arrive.
inline uint64_t Checksum(uint64_t number, std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325 ^ number;  // FNV-1a, 64 bits at a time.
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    hash = (hash ^ word) * 0x100000001b3;
  }
  for (; at < bytes.size(); ++at) hash = (hash ^ static_cast<uint64_t>(bytes[at])) * 0x100000001b3;
  return hash;
}

// Memory that a queue, or direct reads, can begin in.
class Pages {
 public:
  explicit Pages(size_t bytes) : bytes_(bytes) { std::memset(memory_.get(), 0, bytes); }
  std::span<std::byte> span() { return {memory_.get(), bytes_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  static constexpr size_t kPageBytes = 4096;

  size_t bytes_;
  std::unique_ptr<std::byte, Free> memory_{static_cast<std::byte*>(
      std::aligned_alloc(kPageBytes, (bytes_ + kPageBytes - 1) / kPageBytes * kPageBytes))};
};

// The device: everything that it has is in its constructor.
class Device {
 public:
  Device(SlotQueue queue, uint32_t file, std::vector<uint32_t> blocks, std::span<std::byte> memory,
         uint32_t block_bytes, Kernel& clock)
      : requester_(queue),
        file_(file),
        blocks_(std::move(blocks)),
        memory_(memory),
        block_bytes_(block_bytes),
        clock_(clock) {}

  // Reads from the start to where the file ends. The error is the host's answer.
  std::expected<void, int> ReadAll(Report& report) {
    uint64_t taken = 0;
    for (bool ended = false; !ended || taken < requester_.published();) {
      const bool room = requester_.published() - taken < blocks_.size();
      if (!ended && room) {
        Ask();
        continue;
      }
      const auto result = requester_.TryTake(taken);
      if (!result.has_value()) {
        std::this_thread::yield();
        continue;
      }
      if (!result->ok) return std::unexpected(static_cast<int>(result->tag));
      Take(taken++, result->tag, report);
      ended |= result->tag < block_bytes_;
    }
    return {};
  }

 private:
  size_t PlaceOf(uint64_t number) const { return number % blocks_.size(); }

  void Ask() {
    const uint64_t number = requester_.published();
    // 0 would mean that it is not known.
    const auto now = static_cast<uint32_t>(clock_.MonotonicNow()) | 1;
    // There is a slot for each block, and this block's is free.
    (void)requester_.TryPublish({.operation = ORRERY_DEVICE_READ,
                                 .source = file_,
                                 .destination = blocks_[PlaceOf(number)],
                                 .offset = number * block_bytes_,
                                 .bytes = block_bytes_,
                                 .published_at = now});
  }
  void Take(uint64_t number, uint32_t bytes, Report& report) {
    if (bytes == 0) return;
    const auto block = memory_.subspan(PlaceOf(number) * block_bytes_, bytes);
    report.checksum += Checksum(number, block);
    report.bytes += bytes;
    ++report.blocks;
  }

  Requester requester_;
  const uint32_t file_;
  const std::vector<uint32_t> blocks_;
  const std::span<std::byte> memory_;
  const uint32_t block_bytes_;
  Kernel& clock_;
};

// The host: makes the loop, lets a device read the file, and stops the loop. The error is a line
// for a person.
inline std::expected<Report, std::string> ReadFile(Kernel& kernel, const Options& options) {
  const int fd = ::open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(options.file + ": " + std::strerror(errno));
  const SharedFile file(kernel, fd);
  Pages queue(options.depth * sizeof(orrery_device_slot));
  Pages memory(size_t{options.depth} * options.block_bytes);
  const auto port = DevicePort::Create(kernel, queue.span(), {memory.span()});
  if (!port) return std::unexpected(port.error());
  const auto source = (*port)->handles().AddSource(file, {});
  if (!source) return std::unexpected(options.file + ": " + source.error().ToString());
  std::vector<uint32_t> blocks;
  for (uint64_t block = 0; block < options.depth; ++block) {
    const auto destination =
        (*port)->handles().AddDestination(0, block * options.block_bytes, options.block_bytes);
    if (!destination) return std::unexpected("a block: " + destination.error().ToString());
    blocks.push_back(*destination);
  }
  const auto loop = DeviceThread::Start(**port, {.requests_max = options.depth});
  if (!loop) return std::unexpected(loop.error());

  Report report;
  std::expected<void, int> read;
  const Nanoseconds start = kernel.MonotonicNow();
  std::thread([&] {
    const SlotQueue slots = MapSlotQueue(queue.span()).value();
    Device device(slots, *source, blocks, memory.span(), options.block_bytes, kernel);
    read = device.ReadAll(report);
  }).join();
  report.time = kernel.MonotonicNow() - start;
  if (const auto stopped = (*loop)->Stop(); !stopped) {
    return std::unexpected("the loop ended: " + stopped.error().ToString());
  }
  if (!read) return std::unexpected("a read: " + std::string(std::strerror(read.error())));
  report.claim_p50 = (*port)->counters().queue_to_claim.Percentile(1, 2);
  report.claim_p99 = (*port)->counters().queue_to_claim.Percentile(99, 100);
  return report;
}

// What the checksum must be, without a device: by read(2).
inline uint64_t ChecksumOf(const Options& options) {
  const int fd = ::open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  std::vector<std::byte> block(options.block_bytes);
  uint64_t sum = 0;
  for (uint64_t number = 0;; ++number) {
    size_t filled = 0;
    for (ssize_t got = 1; got > 0 && filled < block.size(); filled += static_cast<size_t>(got)) {
      got = std::max<ssize_t>(::read(fd, block.data() + filled, block.size() - filled), 0);
    }
    if (filled > 0) sum += Checksum(number, std::span(block).first(filled));
    if (filled < block.size()) break;
  }
  ::close(fd);
  return sum;
}

}  // namespace orrery::examples::device_reader

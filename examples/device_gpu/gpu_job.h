// What the host's half and the GPU's half of gpu_reader have in common: for C++ and CUDA.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/device/device_queue.h"

#ifdef __CUDACC__
#define GPU_READER_BOTH __host__ __device__
#else
#define GPU_READER_BOTH
#endif

namespace orrery::examples::gpu_reader {

// What the GPU is given. Its pointers are the host's when the host fills it in.
struct Job {
  orrery_device_slot* slots = nullptr;
  uint32_t slot_count = 0;
  const uint32_t* destinations = nullptr;  // A handle for each slot,
  const unsigned char* memory = nullptr;   // and the block of memory that it names.
  uint32_t block_bytes = 0;                // A multiple of 16.
  uint32_t source = 0;
  uint64_t file_blocks = 0;
  uint64_t requests = 0;
  uint32_t thread_blocks = 0;  // As many requests are in the queue at a time, at most.
  bool random = false;
};

struct Report {
  uint64_t sum = 0;     // Of all 32-bit words that have arrived, with each request.
  uint64_t bytes = 0;   // That have arrived.
  uint64_t errors = 0;  // Requests that were answered with ERROR.
  // From publication to answer, as the GPU sees it.
  uint64_t wait_ns_total = 0;
  uint64_t wait_ns_max = 0;
};

// Which block of the file request number `number` is for.
GPU_READER_BOTH inline uint64_t BlockOf(const Job& job, uint64_t number) {
  if (!job.random) return number % job.file_blocks;
  uint64_t mixed = number + 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return (mixed ^ (mixed >> 31)) % job.file_blocks;
}

// --- For the host, implemented in gpu_reader.cu. What they return is a problem for a person, or
// null.

// Finds a GPU and says its name.
const char* FindGpu(char* name, size_t name_bytes);
// Maps memory of the host's into the GPU, and takes it out again. Ordinary pages, so that the
// kernel can register them with a ring as well.
const char* MapMemory(void* memory, size_t bytes);
void UnmapMemory(void* memory);
// Runs the job to its end: one kernel, that stays until the last answer.
const char* RunJob(const Job& job, Report* report);

}  // namespace orrery::examples::gpu_reader

// The GPU's half of gpu_reader: one kernel that stays, asks the host for blocks of a file through
// the mapped queue, and sums up what arrives. It makes no system call, and the host makes none for
// it but those of its ring.
//
// A block of threads takes a number, waits until the slot of that number is its own, asks, waits
// for the answer, reads the data together, and recycles the slot. Whoever has taken a number has
// its turn without any other block's help, so blocks need not all be resident.
#include <cuda_runtime.h>

#include <cstdio>
#include <cuda/atomic>

#include "examples/device_gpu/gpu_job.h"

namespace orrery::examples::gpu_reader {
namespace {

constexpr unsigned kThreads = 256;

// A status, as both sides see it.
using Status = cuda::atomic_ref<uint32_t, cuda::thread_scope_system>;

__device__ uint64_t Now() {
  uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

__device__ void Publish(const Job& job, orrery_device_slot& slot, uint64_t number) {
  Status status(slot.status);
  while (status.load(cuda::memory_order_acquire) != ORRERY_DEVICE_EMPTY) __nanosleep(100);
  const uint64_t offset = BlockOf(job, number) * job.block_bytes;
  slot.operation = ORRERY_DEVICE_READ;
  slot.source = job.source;
  slot.destination = job.destinations[number % job.slot_count];
  slot.offset_low = static_cast<uint32_t>(offset);
  slot.offset_high = static_cast<uint32_t>(offset >> 32);
  slot.bytes = job.block_bytes;
  slot.tag = 0;  // The host's clock is not known here.
  status.store(ORRERY_DEVICE_PUBLISHED, cuda::memory_order_release);
}

// How many bytes have arrived; none of an error.
__device__ uint32_t Await(orrery_device_slot& slot, Report* report) {
  Status status(slot.status);
  const uint64_t begin = Now();
  uint32_t seen = status.load(cuda::memory_order_acquire);
  while (seen != ORRERY_DEVICE_OK && seen != ORRERY_DEVICE_ERROR) {
    __nanosleep(100);
    seen = status.load(cuda::memory_order_acquire);
  }
  const auto waited = static_cast<unsigned long long>(Now() - begin);
  atomicAdd(reinterpret_cast<unsigned long long*>(&report->wait_ns_total), waited);
  atomicMax(reinterpret_cast<unsigned long long*>(&report->wait_ns_max), waited);
  if (seen == ORRERY_DEVICE_OK) return slot.tag;
  atomicAdd(reinterpret_cast<unsigned long long*>(&report->errors), 1ull);
  return 0;
}

// By all threads of the block: each has a part of it.
__device__ uint64_t SumOf(const unsigned char* memory, uint32_t bytes) {
  uint64_t sum = 0;
  const auto* const quads = reinterpret_cast<const uint4*>(memory);
  for (uint32_t at = threadIdx.x; at < bytes / 16; at += blockDim.x) {
    const uint4 quad = quads[at];
    sum += uint64_t{quad.x} + quad.y + quad.z + quad.w;
  }
  return sum;
}

__global__ void Read(Job job, unsigned long long* next, Report* report) {
  __shared__ unsigned long long number;
  __shared__ uint32_t bytes;
  uint64_t sum = 0;
  for (;;) {
    if (threadIdx.x == 0) number = atomicAdd(next, 1ull);
    __syncthreads();
    if (number >= job.requests) break;
    orrery_device_slot& slot = job.slots[number % job.slot_count];
    if (threadIdx.x == 0) {
      Publish(job, slot, number);
      bytes = Await(slot, report);
    }
    // What thread 0 has acquired, all have after this.
    __syncthreads();
    sum += SumOf(job.memory + number % job.slot_count * job.block_bytes, bytes);
    __syncthreads();
    if (threadIdx.x == 0) {
      atomicAdd(reinterpret_cast<unsigned long long*>(&report->bytes), bytes);
      Status(slot.status).store(ORRERY_DEVICE_EMPTY, cuda::memory_order_release);
    }
  }
  atomicAdd(reinterpret_cast<unsigned long long*>(&report->sum), sum);
}

const char* ProblemOf(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// Where the GPU sees memory of the host's.
template <typename T>
const char* Translate(T*& pointer) {
  void* device = nullptr;
  // The call takes no const; it writes nothing.
  const char* const problem = ProblemOf(
      cudaHostGetDevicePointer(&device, const_cast<void*>(static_cast<const void*>(pointer)), 0));
  pointer = static_cast<T*>(device);
  return problem;
}

// Memory of the GPU's.
template <typename T>
class OnGpu {
 public:
  OnGpu() {
    problem_ = ProblemOf(cudaMalloc(&memory_, sizeof(T)));
    if (problem_ == nullptr) problem_ = ProblemOf(cudaMemset(memory_, 0, sizeof(T)));
  }
  OnGpu(const OnGpu&) = delete;
  OnGpu& operator=(const OnGpu&) = delete;
  ~OnGpu() { cudaFree(memory_); }

  const char* problem() const { return problem_; }
  T* get() { return memory_; }

 private:
  T* memory_ = nullptr;
  const char* problem_ = nullptr;
};

}  // namespace

const char* FindGpu(char* name, size_t name_bytes) {
  cudaDeviceProp properties;
  if (const char* problem = ProblemOf(cudaGetDeviceProperties(&properties, 0))) return problem;
  std::snprintf(name, name_bytes, "%s", properties.name);
  return properties.canMapHostMemory ? nullptr : "this GPU cannot map the host's memory";
}

const char* MapMemory(void* memory, size_t bytes) {
  return ProblemOf(cudaHostRegister(memory, bytes, cudaHostRegisterMapped));
}
void UnmapMemory(void* memory) { cudaHostUnregister(memory); }

const char* RunJob(const Job& job, Report* report) {
  Job mapped = job;
  if (const char* problem = Translate(mapped.slots)) return problem;
  if (const char* problem = Translate(mapped.destinations)) return problem;
  if (const char* problem = Translate(mapped.memory)) return problem;
  OnGpu<unsigned long long> next;
  OnGpu<Report> counted;
  if (next.problem() != nullptr) return next.problem();
  if (counted.problem() != nullptr) return counted.problem();
  Read<<<job.thread_blocks, kThreads>>>(mapped, next.get(), counted.get());
  if (const char* problem = ProblemOf(cudaGetLastError())) return problem;
  if (const char* problem = ProblemOf(cudaDeviceSynchronize())) return problem;
  return ProblemOf(cudaMemcpy(report, counted.get(), sizeof *report, cudaMemcpyDeviceToHost));
}

}  // namespace orrery::examples::gpu_reader

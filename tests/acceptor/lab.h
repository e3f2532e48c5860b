// What an experiment is written with: one ring, connections, files, buffers, and the outcome that
// it writes down.
//
// One body runs on Linux and on the model. Every completion after Start() becomes a word of the
// outcome: "2=5" (the operation 2 gave 5), "2=ECANCELED", with "+" for F_MORE, "!" for a
// notification and "#0" for the buffer. What Linux leaves open without any meaning is not in it:
// descriptors, and the hint SOCK_NONEMPTY unless it is asked for. One thread, but for what the
// surroundings do beside.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"
#include "tests/acceptor/surroundings.h"
#include "tests/conformance/world.h"

namespace orrery::acceptor {

struct Connection {
  int fd = -1;
  conformance::World::Peer peer = 0;
};

class Lab {
 public:
  static constexpr Nanoseconds kAwaitBound = 2 * kSecond;
  static constexpr uint16_t kGroup = 7;
  static constexpr unsigned kBufferBytes = 8;

  explicit Lab(Surroundings& surroundings);
  // Everything that was submitted ends here; none of it is in the outcome.
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // --- Set-up, before Start().
  Connection Connect();
  int listener();
  uint16_t port();
  int MakeEventFd();
  // A file of the experiment's own with so many bytes, synced, open for both.
  int MakeFile(std::string_view name, size_t bytes);
  // Takes a file's pages out of memory, where there is such a thing.
  void MakeCold(int fd);
  // Sends of `memory` until nothing more fits.
  void FillStream(const Connection& connection, std::span<const std::byte> memory);
  // `count` published buffers of kBufferBytes; a power of two.
  void UseBuffers(unsigned count);
  // Completions of `id` show as "all" or "short" of `whole` bytes.
  void ShowAsPartOf(uint32_t id, int32_t whole);
  // Its results that are descriptors show as "fd".
  void ShowAsDescriptor(uint32_t id) { descriptors_of_.insert(id); }
  // And those with the hint SOCK_NONEMPTY, by "~".
  void ShowHint(uint32_t id) { with_hint_.insert(id); }
  // Memory that lives longer than the ring.
  std::span<std::byte> Memory(size_t bytes);

  void Start() { surroundings_.Start(); }

  // --- The experiment.
  // Prepares operation `id` > 0: `fill` gets a zeroed SQE.
  template <typename Fill>
  void Add(uint32_t id, Fill fill) {
    io_uring_sqe& sqe = Acquire();
    fill(&sqe);
    sqe.user_data = id;
  }
  // Submits what is prepared, waits for `min_complete`, and writes down what is there.
  EnterResult Enter(unsigned min_complete = 0, Nanoseconds timeout = kAwaitBound);
  // Enters until everything that was submitted has ended, or until `completions` are written down.
  void AwaitEnds();
  void AwaitCompletions(size_t completions);
  void Moment() { surroundings_.Moment(); }
  void Beside(std::vector<std::function<void()>> actions) {
    surroundings_.Beside(std::move(actions));
  }
  // Everything that was begun beside has happened, and the kernel is benign.
  void Rest() { surroundings_.Rest(); }
  void Note(std::string_view word);
  // Closes a descriptor that the lab made.
  void CloseFile(int fd);
  // Of the completion that was seen last.
  int32_t last_result() const { return last_result_; }
  // Completions that were written down.
  size_t completions() const { return completions_; }

  conformance::World& world() { return surroundings_.world(); }
  Kernel& kernel() { return world().kernel(); }
  Ring& ring() { return *ring_; }
  bool real() const { return surroundings_.real(); }

  const std::string& outcome() const { return outcome_; }

 private:
  struct Part {
    uint32_t id;
    int32_t whole;
  };

  io_uring_sqe& Acquire();
  void Reap();
  void WriteDown(const io_uring_cqe& cqe);
  // Before Start(): the result of what was prepared.
  int32_t Result();
  // What the kernel may still write to.
  void WindUp();

  Surroundings& surroundings_;
  std::vector<std::vector<std::byte>> memory_;
  void* shared_buffers_ = nullptr;
  size_t shared_bytes_ = 0;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> queue_;
  std::vector<std::string> paths_;
  std::vector<int> descriptors_;
  int listener_ = -1;
  std::vector<Part> parts_;
  std::set<uint32_t> with_hint_;
  std::set<uint32_t> descriptors_of_;
  size_t in_flight_ = 0;
  size_t completions_ = 0;
  int32_t last_result_ = 0;
  std::string outcome_;
};

}  // namespace orrery::acceptor

// Records what a program and its kernel exchange: a Kernel and a Ring in front of the real ones.
//
//     TraceWriter writer(file);
//     ServerTraceRecorder recorder(linux_kernel, writer);
//     auto ring = recorder.kernel().MakeRing(options);   // ... and run the program on these two
//     ... ring->reset(); if (!recorder.Close()) ...                         // the file is not
//     whole
//
// The program neither knows nor asks. Nothing that it does is changed: each call goes through as it
// came. Invariant: what is written of a call is what it was given before it, and what it left after
// it; the memory of a send is read once more when it has completed. One ring, used by one thread.
#pragma once

#include <memory>

#include "runtime/ring/kernel.h"
#include "tests/acceptor/server_trace.h"

namespace orrery::acceptor {

class ServerTraceRecorder {
 public:
  // Both must outlive it.
  ServerTraceRecorder(Kernel& inner, TraceWriter& writer);
  ServerTraceRecorder(const ServerTraceRecorder&) = delete;
  ServerTraceRecorder& operator=(const ServerTraceRecorder&) = delete;
  ~ServerTraceRecorder();

  // For the program. Its ring is made by MakeRing(), once, and must die before the recorder.
  Kernel& kernel();

  // Ends the trace. False: the file is not whole.
  [[nodiscard]] bool Close();

 private:
  class Log;
  class RecordingRing;
  class RecordingKernel;

  std::unique_ptr<Log> log_;
  std::unique_ptr<RecordingKernel> kernel_;
};

}  // namespace orrery::acceptor

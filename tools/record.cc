// orrery-server with a recorder between it and Linux: everything that it and the kernel say to each
// other goes to a file, which //tools:accept_trace explains. Options are the server's, and --trace.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include "runtime/ring/linux_kernel.h"
#include "server/main.h"
#include "tests/acceptor/server_trace.h"
#include "tests/acceptor/server_trace_recorder.h"
#include "tools/from_caller.h"

namespace {

using orrery::acceptor::ServerTraceRecorder;
using orrery::acceptor::TraceWriter;
using orrery::tools::FromCaller;

class RecordingHost final : public orrery::server::Host {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_option("--trace", path_, "The file to record to")
        ->required()
        ->type_name("FILE")
        ->group("Recording");
  }

  bool allows_threads() const override { return false; }

  std::expected<orrery::Kernel*, std::string> Open() override {
    std::FILE* const file = std::fopen(FromCaller(path_).c_str(), "wbe");
    if (file == nullptr) return std::unexpected("cannot write " + path_);
    writer_ = std::make_unique<TraceWriter>(file);
    recorder_ = std::make_unique<ServerTraceRecorder>(linux_, *writer_);
    return &recorder_->kernel();
  }

  // After the server has ended. False: the trace is not whole.
  bool Close() {
    if (recorder_ == nullptr) return true;
    if (!recorder_->Close()) {
      fmt::print(stderr, "record: {} could not be written\n", path_);
      return false;
    }
    fmt::print("record: {} bytes in {}\n", writer_->bytes(), path_);
    return true;
  }

 private:
  std::string path_;
  orrery::LinuxKernel linux_;
  std::unique_ptr<TraceWriter> writer_;
  std::unique_ptr<ServerTraceRecorder> recorder_;
};

}  // namespace

int main(int argc, char** argv) {
  RecordingHost host;
  const int code = orrery::server::Main(argc, argv, host);
  if (!host.Close()) return 1;
  return code;
}

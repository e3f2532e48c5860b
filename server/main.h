// orrery-server as a function: options, set-up, the driver, signals. What it runs on comes from
// outside, so that a tool can stand between it and Linux; the server does not ask what that is.
#pragma once

#include <CLI/CLI.hpp>
#include <expected>
#include <string>

#include "runtime/ring/kernel.h"

namespace orrery::server {

class Host {
 public:
  virtual ~Host() = default;

  // Adds options to the server's own.
  virtual void AddOptions(CLI::App&) {}
  // Whether what Open() gives may be used by several threads, a shard each.
  virtual bool allows_threads() const { return true; }
  // What the server runs on. Called once, after the options were read; it must outlive Main(). Its
  // rings are the running Linux's, whoever stands in front of them. The error is one line for a
  // person.
  virtual std::expected<Kernel*, std::string> Open() = 0;
};

// The exit code. Call it once in a process: signals are its own.
int Main(int argc, char** argv, Host& host);

}  // namespace orrery::server

// The configuration file on disk: read at the start, rewritten by CONFIG REWRITE.
//
// The new text stands under a name of its own, and is synced, before it takes the old one's place:
// after a crash there is the old file or the new one. Any thread may rewrite; one at a time does.
// It waits for the disk, for as long as that takes.
#pragma once

#include <expected>
#include <mutex>
#include <string>
#include <utility>

#include "server/config.h"

namespace orrery::server {

// The text of a file; the error is one line for a person.
std::expected<std::string, std::string> ReadWholeFile(const std::string& path);

class ConfigStore {
 public:
  explicit ConfigStore(std::string path) : path_(std::move(path)) {}
  ConfigStore(const ConfigStore&) = delete;
  ConfigStore& operator=(const ConfigStore&) = delete;

  const std::string& path() const { return path_; }
  // Makes the file say what `config` is. The error is one line for a person; then the file is as it
  // was.
  std::expected<void, std::string> Rewrite(const ServerConfig& config);

 private:
  const std::string path_;  // Absolute.
  std::mutex mutex_;
};

}  // namespace orrery::server

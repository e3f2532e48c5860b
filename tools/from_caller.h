// Paths that a person gives to a tool.
#pragma once

#include <cstdlib>
#include <string>

namespace orrery::tools {

// `path` as it was meant: `bazel run` starts a program elsewhere, and says where it was called from
// in BUILD_WORKING_DIRECTORY. An empty path stays empty.
inline std::string FromCaller(const std::string& path) {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (path.empty() || path.front() == '/' || directory == nullptr) return path;
  return std::string(directory) + "/" + path;
}

}  // namespace orrery::tools

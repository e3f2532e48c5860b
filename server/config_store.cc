#include "server/config_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "base/errno.h"
#include "server/config_file.h"

namespace orrery::server {
namespace {

// A configuration file of more than this is something else.
constexpr size_t kFileBytesMax = size_t{16} << 20;

std::unexpected<std::string> Failure(std::string_view what, const std::string& path) {
  return std::unexpected(std::string(what) + " " + path + ": " + Errno(errno).ToString());
}

// Closes it at the end.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) (void)close(descriptor_);  // What mattered was synced.
  }
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

bool WriteAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

std::expected<std::string, std::string> ReadWholeFile(const std::string& path) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return Failure("cannot open", path);
  std::string text;
  char part[4096];
  for (;;) {
    const ssize_t bytes = read(file.descriptor(), part, sizeof part);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return Failure("cannot read", path);
    if (bytes == 0) return text;
    text.append(part, static_cast<size_t>(bytes));
    if (text.size() > kFileBytesMax) return std::unexpected(path + " is no configuration file");
  }
}

std::expected<void, std::string> ConfigStore::Rewrite(const ServerConfig& config) {
  const std::lock_guard lock(mutex_);
  const auto before = ReadWholeFile(path_);
  if (!before) return std::unexpected(before.error());
  struct stat old{};
  if (stat(path_.c_str(), &old) != 0) return Failure("cannot look at", path_);
  const std::string beside = path_ + ".rewrite-" + std::to_string(getpid());
  const auto give_up = [&](std::string_view what) {
    auto failure = Failure(what, beside);
    (void)unlink(beside.c_str());  // It may not be there.
    return failure;
  };
  {
    const File file(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.is_open()) return Failure("cannot make", beside);
    if (!WriteAll(file.descriptor(), RewriteConfig(*before, config))) {
      return give_up("cannot write");
    }
    if (fchmod(file.descriptor(), old.st_mode & 07777) != 0)
      return give_up("cannot set the mode of");
    if (fsync(file.descriptor()) != 0) return give_up("cannot sync");
  }
  if (rename(beside.c_str(), path_.c_str()) != 0) return give_up("cannot rename");
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const File parent(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.is_open() || fsync(parent.descriptor()) != 0) return Failure("cannot sync", folder);
  return {};
}

}  // namespace orrery::server

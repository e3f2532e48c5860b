// Files and directories in memory: a tree of inodes, and the contents of files by pages. Private to
// kernel_model.
//
// Everything exists twice: as the program sees it, and as it has been synced. A sync copies from
// the first to the second; nothing here takes the second back yet. It is the place for a loss of
// power: what is synced must survive one, what is not may survive in any part. Errors are -errno.
// There are no permissions, symbolic links or times.
//
// Invariant: an inode lives while an entry of a directory, seen or synced, or an open file names
// it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace orrery::model {

// The bytes of a file. What was never written reads as zeros.
class FileContents {
 public:
  static constexpr size_t kPageBytes = 4096;

  uint64_t size() const { return size_; }
  size_t pages() const { return pages_.size(); }
  // REQUIRES: offset + count <= size().
  void Read(uint64_t offset, std::byte* bytes, size_t count) const;
  // Grows when it has to.
  void Write(uint64_t offset, const std::byte* bytes, size_t count);
  void Resize(uint64_t size);
  // Zeros where there is something; the size stays.
  void Zero(uint64_t offset, uint64_t count);
  // Becomes equal to `other`, with which it was equal but for the pages that changed there since
  // the last such call, and forgets those.
  void CopyChanges(FileContents& other);
  // As if they had been copied.
  void ForgetChanges() { changed_.clear(); }
  bool changed() const { return !changed_.empty(); }

 private:
  using Page = std::array<std::byte, kPageBytes>;

  Page& PageAt(uint64_t index);
  void Drop(uint64_t first_page);

  uint64_t size_ = 0;
  std::map<uint64_t, std::unique_ptr<Page>> pages_;
  std::set<uint64_t> changed_;
};

struct Inode {
  using Entries = std::map<std::string, Inode*, std::less<>>;

  uint64_t number = 0;  // In order of creation; the root is 1.
  bool directory = false;
  uint32_t mode = 0;  // Permission bits, kept but not looked at.
  uint32_t names = 0;
  uint32_t synced_names = 0;
  uint32_t opens = 0;

  // A file. The size counts as written with the last sync, too.
  FileContents written;
  FileContents synced;

  // A directory.
  Inode* parent = nullptr;  // Null when it has been removed. The root's is itself.
  Entries entries;
  Entries synced_entries;
};

class FileSystem {
 public:
  static constexpr size_t kNameBytesMax = 255;   // NAME_MAX
  static constexpr size_t kPathBytesMax = 4096;  // PATH_MAX, with its end
  static constexpr uint64_t kFileBytesMax = uint64_t{1} << 44;

  FileSystem();
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  ~FileSystem();

  Inode& root() { return *root_; }

  // Paths are relative to `from`, unless they begin with a slash.
  struct Found {
    Inode* inode = nullptr;
    int32_t error = 0;
  };
  Found Look(Inode& from, std::string_view path);
  // open(2) without the descriptor: looks up, creates, truncates. It is not counted as open yet.
  Found Open(Inode& from, std::string_view path, uint32_t flags, uint32_t mode);
  // Whether that would make a new file.
  bool WouldCreate(Inode& from, std::string_view path, uint32_t flags);
  int32_t MakeDirectory(Inode& from, std::string_view path, uint32_t mode);
  int32_t Unlink(Inode& from, std::string_view path, bool directory);
  // flags: RENAME_NOREPLACE, RENAME_EXCHANGE.
  int32_t Rename(Inode& from, std::string_view path, Inode& to_from, std::string_view to_path,
                 uint32_t flags);

  void AddOpen(Inode& inode) { ++inode.opens; }
  void DropOpen(Inode& inode);

  // What is seen becomes what is synced: a file's contents, or a directory's entries.
  void Sync(Inode& inode);
  // A sync that failed: what changed is not synced, and no later sync will do it (fsync(2), EIO).
  void FailSync(Inode& inode);

  // Inodes but the root.
  size_t size() const { return inodes_.size() - 1; }

 private:
  // Where a path leads: the last directory, and the name in it.
  struct Place {
    Inode* directory = nullptr;
    std::string_view name;   // ".", ".." or empty (the root) when it is no entry.
    Inode* inode = nullptr;  // Null when there is none.
    bool slash = false;      // The path ends with a slash: only a directory will do.
    int32_t error = 0;

    bool special() const { return name.empty() || name == "." || name == ".."; }
  };
  Place Resolve(Inode& from, std::string_view path);
  Inode& Make(bool directory, uint32_t mode);
  void AddName(Inode& directory, std::string_view name, Inode& inode);
  void RemoveName(Inode& directory, std::string_view name);
  void DropUnused(Inode& inode);

  std::map<uint64_t, std::unique_ptr<Inode>> inodes_;
  uint64_t next_number_ = 1;
  Inode* root_;
};

}  // namespace orrery::model

#include "kernel_model/file_system.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace orrery::model {

// --- FileContents

FileContents::Page& FileContents::PageAt(uint64_t index) {
  std::unique_ptr<Page>& page = pages_[index];
  if (page == nullptr) page = std::make_unique<Page>();
  return *page;
}

void FileContents::Read(uint64_t offset, std::byte* bytes, size_t count) const {
  ORRERY_CHECK(offset + count <= size_);
  while (count > 0) {
    const size_t start = offset % kPageBytes;
    const size_t part = std::min(count, kPageBytes - start);
    const auto page = pages_.find(offset / kPageBytes);
    if (page == pages_.end()) {
      std::memset(bytes, 0, part);
    } else {
      std::memcpy(bytes, page->second->data() + start, part);
    }
    offset += part;
    bytes += part;
    count -= part;
  }
}

void FileContents::Write(uint64_t offset, const std::byte* bytes, size_t count) {
  size_ = std::max(size_, offset + count);
  while (count > 0) {
    const size_t start = offset % kPageBytes;
    const size_t part = std::min(count, kPageBytes - start);
    std::memcpy(PageAt(offset / kPageBytes).data() + start, bytes, part);
    changed_.insert(offset / kPageBytes);
    offset += part;
    bytes += part;
    count -= part;
  }
}

void FileContents::Zero(uint64_t offset, uint64_t count) {
  const uint64_t end = std::min(offset + count, size_);
  if (offset >= end) return;
  for (auto page = pages_.lower_bound(offset / kPageBytes);
       page != pages_.end() && page->first * kPageBytes < end; ++page) {
    const uint64_t begin = page->first * kPageBytes;
    const uint64_t from = std::max(offset, begin);
    const uint64_t to = std::min(end, begin + kPageBytes);
    std::memset(page->second->data() + (from - begin), 0, to - from);
    changed_.insert(page->first);
  }
}

void FileContents::Resize(uint64_t size) {
  if (size < size_) {
    // What comes back when it grows again is zeros.
    Zero(size, size_ - size);
    const auto gone = pages_.lower_bound((size + kPageBytes - 1) / kPageBytes);
    for (auto page = gone; page != pages_.end(); ++page) changed_.insert(page->first);
    pages_.erase(gone, pages_.end());
  }
  size_ = size;
}

void FileContents::CopyChanges(FileContents& other) {
  for (const uint64_t index : other.changed_) {
    const auto page = other.pages_.find(index);
    if (page == other.pages_.end()) {
      pages_.erase(index);
    } else {
      PageAt(index) = *page->second;
    }
  }
  size_ = other.size_;
  other.changed_.clear();
}

// --- FileSystem

FileSystem::FileSystem() : root_(&Make(/*directory=*/true, 0755)) {
  root_->parent = root_;
  root_->names = root_->synced_names = 1;
}

FileSystem::~FileSystem() = default;

Inode& FileSystem::Make(bool directory, uint32_t mode) {
  auto inode = std::make_unique<Inode>();
  inode->number = next_number_++;
  inode->directory = directory;
  inode->mode = mode & 07777;
  Inode& made = *inode;
  inodes_[made.number] = std::move(inode);
  return made;
}

void FileSystem::DropUnused(Inode& inode) {
  if (inode.names + inode.synced_names + inode.opens > 0) return;
  // What only its synced entries named goes with it.
  for (const auto& [name, child] : Inode::Entries(std::move(inode.synced_entries))) {
    --child->synced_names;
    DropUnused(*child);
  }
  inodes_.erase(inode.number);
}

void FileSystem::AddName(Inode& directory, std::string_view name, Inode& inode) {
  const bool added = directory.entries.emplace(name, &inode).second;
  ORRERY_CHECK(added);
  ++inode.names;
  if (inode.directory) inode.parent = &directory;
}

void FileSystem::RemoveName(Inode& directory, std::string_view name) {
  const auto entry = directory.entries.find(name);
  ORRERY_CHECK(entry != directory.entries.end());
  Inode& inode = *entry->second;
  directory.entries.erase(entry);
  --inode.names;
}

void FileSystem::DropOpen(Inode& inode) {
  ORRERY_CHECK(inode.opens > 0);
  --inode.opens;
  DropUnused(inode);
}

FileSystem::Place FileSystem::Resolve(Inode& from, std::string_view path) {
  Place place;
  const auto failed = [&place](int error) {
    place.error = -error;
    place.inode = nullptr;
    return place;
  };
  if (path.empty()) return failed(ENOENT);
  if (path.size() >= kPathBytesMax) return failed(ENAMETOOLONG);
  place.directory = place.inode = path.front() == '/' ? root_ : &from;
  size_t begin = path.find_first_not_of('/');
  while (begin != std::string_view::npos) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const size_t next = path.find_first_not_of('/', end);
    place.name = path.substr(begin, end - begin);
    place.slash = end < path.size();
    if (place.inode == nullptr) return failed(ENOENT);
    if (!place.inode->directory) return failed(ENOTDIR);
    if (place.name.size() > kNameBytesMax) return failed(ENAMETOOLONG);
    place.directory = place.inode;
    // A directory that was removed has no parent, and nothing can be made in it.
    if (place.directory->parent == nullptr) return failed(ENOENT);
    if (place.name == "..") {
      place.inode = place.directory->parent;
    } else if (place.name != ".") {
      const auto entry = place.directory->entries.find(place.name);
      place.inode = entry == place.directory->entries.end() ? nullptr : entry->second;
    }
    begin = next;
  }
  return place;
}

FileSystem::Found FileSystem::Look(Inode& from, std::string_view path) {
  const Place place = Resolve(from, path);
  if (place.error != 0) return {.error = place.error};
  if (place.inode == nullptr) return {.error = -ENOENT};
  if (place.slash && !place.inode->directory) return {.error = -ENOTDIR};
  return {.inode = place.inode};
}

bool FileSystem::WouldCreate(Inode& from, std::string_view path, uint32_t flags) {
  if ((flags & O_CREAT) == 0) return false;
  const Place place = Resolve(from, path);
  return place.error == 0 && place.inode == nullptr && !place.slash;
}

FileSystem::Found FileSystem::Open(Inode& from, std::string_view path, uint32_t flags,
                                   uint32_t mode) {
  const bool create = (flags & O_CREAT) != 0;
  const bool only_directories = (flags & O_DIRECTORY) != 0;
  if (create && only_directories) return {.error = -EINVAL};
  const Place place = Resolve(from, path);
  if (place.error != 0) return {.error = place.error};
  if (create && place.slash) return {.error = -EISDIR};
  if (place.inode == nullptr) {
    if (!create) return {.error = -ENOENT};
    Inode& made = Make(/*directory=*/false, mode);
    AddName(*place.directory, place.name, made);
    return {.inode = &made};
  }
  Inode& inode = *place.inode;
  if (create && (flags & O_EXCL) != 0) return {.error = -EEXIST};
  if (!inode.directory && (only_directories || place.slash)) return {.error = -ENOTDIR};
  const bool changes = create || (flags & (O_ACCMODE | O_TRUNC)) != 0;
  if (inode.directory && changes) return {.error = -EISDIR};
  if ((flags & O_TRUNC) != 0) inode.written.Resize(0);
  return {.inode = &inode};
}

int32_t FileSystem::MakeDirectory(Inode& from, std::string_view path, uint32_t mode) {
  const Place place = Resolve(from, path);
  if (place.error != 0) return place.error;
  if (place.inode != nullptr) return -EEXIST;
  AddName(*place.directory, place.name, Make(/*directory=*/true, mode));
  return 0;
}

int32_t FileSystem::Unlink(Inode& from, std::string_view path, bool directory) {
  const Place place = Resolve(from, path);
  if (place.error != 0) return place.error;
  if (directory) {
    if (place.inode == root_) return place.name == ".." ? -ENOTEMPTY : -EBUSY;
    if (place.name == ".") return -EINVAL;
    if (place.name == "..") return -ENOTEMPTY;
  } else if (place.special()) {
    return -EISDIR;
  }
  if (place.inode == nullptr) return -ENOENT;
  Inode& inode = *place.inode;
  if (directory || place.slash) {
    if (!inode.directory) return -ENOTDIR;
  }
  if (inode.directory && !directory) return -EISDIR;
  if (inode.directory && !inode.entries.empty()) return -ENOTEMPTY;
  RemoveName(*place.directory, place.name);
  if (inode.directory) inode.parent = nullptr;
  DropUnused(inode);
  return 0;
}

int32_t FileSystem::Rename(Inode& from, std::string_view path, Inode& to_from,
                           std::string_view to_path, uint32_t flags) {
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  const bool no_replace = (flags & RENAME_NOREPLACE) != 0;
  if (exchange && no_replace) return -EINVAL;
  const Place source = Resolve(from, path);
  if (source.error != 0) return source.error;
  const Place target = Resolve(to_from, to_path);
  if (target.error != 0) return target.error;
  if (source.special()) return -EBUSY;
  if (target.special()) return no_replace ? -EEXIST : -EBUSY;
  if (source.inode == nullptr) return -ENOENT;
  Inode& moved = *source.inode;
  Inode* const replaced = target.inode;
  if (no_replace && replaced != nullptr) return -EEXIST;
  if (exchange && replaced == nullptr) return -ENOENT;
  if (!moved.directory && source.slash) return -ENOTDIR;
  if (exchange ? !replaced->directory && target.slash : !moved.directory && target.slash) {
    return -ENOTDIR;
  }
  // A directory cannot move below itself, nor onto what holds it.
  const auto holds = [this](const Inode& outer, const Inode* inner) {
    for (; inner != root_; inner = inner->parent) {
      if (inner == &outer) return true;
    }
    return false;
  };
  if (moved.directory && holds(moved, target.directory)) return -EINVAL;
  if (replaced != nullptr && replaced->directory && holds(*replaced, source.directory)) {
    return exchange ? -EINVAL : -ENOTEMPTY;
  }
  if (replaced == &moved) return 0;
  if (replaced != nullptr && !exchange) {
    if (replaced->directory && !moved.directory) return -EISDIR;
    if (!replaced->directory && moved.directory) return -ENOTDIR;
    if (replaced->directory && !replaced->entries.empty()) return -ENOTEMPTY;
  }
  RemoveName(*source.directory, source.name);
  if (replaced != nullptr) RemoveName(*target.directory, target.name);
  AddName(*target.directory, target.name, moved);
  if (exchange) {
    AddName(*source.directory, source.name, *replaced);
  } else if (replaced != nullptr) {
    if (replaced->directory) replaced->parent = nullptr;
    DropUnused(*replaced);
  }
  return 0;
}

void FileSystem::Sync(Inode& inode) {
  if (!inode.directory) {
    inode.synced.CopyChanges(inode.written);
    return;
  }
  for (const auto& [name, child] : inode.entries) ++child->synced_names;
  const Inode::Entries before = std::exchange(inode.synced_entries, inode.entries);
  for (const auto& [name, child] : before) {
    --child->synced_names;
    DropUnused(*child);
  }
}

void FileSystem::FailSync(Inode& inode) {
  // The pages are clean, and stay what they are in memory; the disk has something else.
  if (!inode.directory) inode.written.ForgetChanges();
}

}  // namespace orrery::model

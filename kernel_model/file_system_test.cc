// The tree of files by itself: what lives how long, and what is synced. What its operations answer
// is checked against Linux by the conformance tests.
#include "kernel_model/file_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "base/prng.h"

namespace orrery::model {
namespace {

std::string TextOf(const FileContents& contents) {
  std::string text(contents.size(), '.');
  contents.Read(0, reinterpret_cast<std::byte*>(text.data()), text.size());  // Bytes are text here.
  return text;
}

void Put(FileContents& contents, uint64_t offset, std::string_view text) {
  contents.Write(offset, reinterpret_cast<const std::byte*>(text.data()), text.size());
}

class FileSystemTest : public ::testing::Test {
 protected:
  Inode& Create(std::string_view path) {
    const FileSystem::Found found = files_.Open(root_, path, O_RDWR | O_CREAT, 0644);
    EXPECT_NE(found.inode, nullptr) << path;
    return *found.inode;
  }

  FileSystem files_;
  Inode& root_ = files_.root();
};

TEST(FileContents, EqualsAStringWhateverIsDoneToIt) {
  Prng prng(7);
  FileContents contents;
  FileContents copy;
  std::string expected;
  for (int round = 0; round < 2000; ++round) {
    const uint64_t offset = prng.Below(20000);
    const uint64_t count = prng.Below(9000);
    switch (prng.Below(4)) {
      case 0:
        contents.Resize(offset);
        expected.resize(offset, '\0');
        break;
      case 1:
        contents.Zero(offset, count);
        for (uint64_t i = offset; i < offset + count && i < expected.size(); ++i) expected[i] = 0;
        break;
      case 2:
        copy.CopyChanges(contents);
        ASSERT_EQ(TextOf(copy), expected) << round;
        break;
      default: {
        const std::string text(count, static_cast<char>('a' + prng.Below(26)));
        Put(contents, offset, text);
        if (count > 0 && expected.size() < offset + count) expected.resize(offset + count, '\0');
        if (count == 0 && expected.size() < offset) expected.resize(offset, '\0');
        expected.replace(offset, count, text);
      }
    }
    ASSERT_EQ(TextOf(contents), expected) << round;
  }
}

TEST(FileContents, HolesTakeNoMemory) {
  FileContents contents;
  Put(contents, uint64_t{1} << 40, "end");
  EXPECT_EQ(contents.pages(), 1U);
  contents.Resize(0);
  EXPECT_EQ(contents.pages(), 0U);
}

TEST_F(FileSystemTest, AnInodeLivesWhileSomethingNamesIt) {
  Inode& file = Create("file");
  EXPECT_EQ(files_.size(), 1U);
  files_.AddOpen(file);
  EXPECT_EQ(files_.Unlink(root_, "file", false), 0);
  EXPECT_EQ(files_.size(), 1U);
  files_.DropOpen(file);
  EXPECT_EQ(files_.size(), 0U);
}

TEST_F(FileSystemTest, ASyncedNameKeepsItsInode) {
  Create("file");
  files_.Sync(root_);
  EXPECT_EQ(files_.Unlink(root_, "file", false), 0);
  EXPECT_EQ(files_.size(), 1U);  // A loss of power would bring it back.
  files_.Sync(root_);
  EXPECT_EQ(files_.size(), 0U);
}

TEST_F(FileSystemTest, WhatOnlyASyncedDirectoryNamesGoesWithIt) {
  ASSERT_EQ(files_.MakeDirectory(root_, "directory", 0755), 0);
  Inode& directory = *files_.Look(root_, "directory").inode;
  Create("directory/file");
  files_.Sync(directory);
  files_.Sync(root_);
  EXPECT_EQ(files_.Unlink(root_, "directory/file", false), 0);
  EXPECT_EQ(files_.Unlink(root_, "directory", true), 0);
  EXPECT_EQ(files_.size(), 2U);
  files_.Sync(root_);
  EXPECT_EQ(files_.size(), 0U);
}

TEST_F(FileSystemTest, ASyncCopiesWhatChanged) {
  Inode& file = Create("file");
  Put(file.written, 0, "one");
  EXPECT_EQ(TextOf(file.synced), "");
  EXPECT_TRUE(file.written.changed());
  files_.Sync(file);
  EXPECT_EQ(TextOf(file.synced), "one");
  EXPECT_FALSE(file.written.changed());
  Put(file.written, 3, "+two");
  EXPECT_EQ(TextOf(file.synced), "one");
}

TEST_F(FileSystemTest, AFailedSyncLosesWhatChangedAndNoLaterOneBringsItBack) {
  Inode& file = Create("file");
  Put(file.written, 0, "safe");
  files_.Sync(file);
  Put(file.written, 0, "lost");
  files_.FailSync(file);
  files_.Sync(file);
  EXPECT_EQ(TextOf(file.written), "lost");
  EXPECT_EQ(TextOf(file.synced), "safe");
}

TEST_F(FileSystemTest, ARenamedFileIsSyncedUnderItsOldNameUntilTheDirectoryIs) {
  Inode& file = Create("old");
  files_.Sync(root_);
  ASSERT_EQ(files_.Rename(root_, "old", root_, "new", 0), 0);
  EXPECT_EQ(root_.entries.at("new"), &file);
  EXPECT_EQ(root_.synced_entries.at("old"), &file);
  files_.Sync(root_);
  EXPECT_FALSE(root_.synced_entries.contains("old"));
  EXPECT_EQ(root_.synced_entries.at("new"), &file);
}

TEST_F(FileSystemTest, NothingIsMadeInADirectoryThatIsGone) {
  ASSERT_EQ(files_.MakeDirectory(root_, "directory", 0755), 0);
  Inode& directory = *files_.Look(root_, "directory").inode;
  files_.AddOpen(directory);
  ASSERT_EQ(files_.Unlink(root_, "directory", true), 0);
  EXPECT_EQ(files_.Open(directory, "file", O_RDWR | O_CREAT, 0).error, -ENOENT);
  EXPECT_EQ(files_.MakeDirectory(directory, "below", 0755), -ENOENT);
  files_.DropOpen(directory);
  EXPECT_EQ(files_.size(), 0U);
}

TEST_F(FileSystemTest, TheRootStays) {
  EXPECT_EQ(files_.Unlink(root_, "/", true), -EBUSY);
  EXPECT_EQ(files_.Unlink(root_, "/", false), -EISDIR);
  EXPECT_EQ(files_.MakeDirectory(root_, "/", 0755), -EEXIST);
  EXPECT_EQ(files_.Look(root_, "/../..").inode, &root_);
  EXPECT_EQ(files_.Look(root_, std::string(FileSystem::kPathBytesMax, '/')).error, -ENAMETOOLONG);
}

}  // namespace
}  // namespace orrery::model

// Names of files: opening, making, removing, renaming, and looking at them.
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "tests/conformance/file_fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class FileNames : public FileConformance {};
INSTANTIATE_TEST_SUITE_P(Kernels, FileNames, AllWorlds(), WorldName);

TEST_P(FileNames, Y12_OpeningFindsOrMakes) {
  EXPECT_EQ(Open("file", O_RDONLY), -ENOENT);
  const int fd = Open("file", O_RDWR | O_CREAT);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Write(fd, "text", 0), 4);
  EXPECT_EQ(Open("file", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_EQ(Contents(Open("file", O_RDWR | O_CREAT)), "text");
  EXPECT_EQ(Contents(Open("file", O_RDWR | O_TRUNC)), "");
}

TEST_P(FileNames, Y12_KindsMustFit) {
  Create("file");
  ASSERT_EQ(MakeDirectory("directory"), 0);
  EXPECT_EQ(Open("file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
  EXPECT_EQ(Open("file/", O_RDONLY), -ENOTDIR);
  EXPECT_EQ(Open("file/below", O_RDONLY), -ENOTDIR);
  EXPECT_EQ(Open("directory", O_WRONLY), -EISDIR);
  EXPECT_EQ(Open("directory", O_RDONLY | O_CREAT), -EISDIR);
  EXPECT_EQ(Open("other/", O_RDWR | O_CREAT), -EISDIR);
  EXPECT_EQ(Open("none/below", O_RDWR | O_CREAT), -ENOENT);
  EXPECT_EQ(Open(std::string(256, 'x'), O_RDONLY), -ENAMETOOLONG);
  EXPECT_GE(Open(std::string(255, 'x'), O_RDWR | O_CREAT), 0);
  EXPECT_GE(Open("directory/./../file", O_RDONLY), 0);
}

TEST_P(FileNames, Y12_APathThatIsNone) {
  EXPECT_EQ(OpenAt(AT_FDCWD, "", O_RDONLY), -ENOENT);
  EXPECT_EQ(OpenAt(AT_FDCWD, nullptr, O_RDONLY), -EFAULT);
}

TEST_P(FileNames, F4_OpeningIntoASlot) {
  CreateWith("file", "text");
  const char* const path = Path("file");
  const auto open = [&](uint32_t id, uint32_t file_index, int flags = O_RDONLY) {
    AddOpen(id, AT_FDCWD, path, flags);
    LastSqe().file_index = file_index;
  };
  open(1, 1);
  EXPECT_EQ(Result(), -ENXIO);
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  open(2, 3);
  EXPECT_EQ(Result(), 0);
  std::array<std::byte, 8> memory{};
  ASSERT_TRUE(queue().Read(File::Fixed(2), memory, 0, Id(3)));
  EXPECT_EQ(Result(), 4);
  open(4, IORING_FILE_INDEX_ALLOC);
  const int slot = Result();
  EXPECT_GE(slot, 0);
  EXPECT_NE(slot, 2);
  ASSERT_TRUE(queue().Read(File::Fixed(slot), memory, 0, Id(5)));
  EXPECT_EQ(Result(), 4);
  open(6, 3, O_RDWR | O_CREAT);  // Replaces what was there.
  EXPECT_EQ(Result(), 0);
  open(7, 5);
  EXPECT_EQ(Result(), -EINVAL);
  open(8, 1, O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Result(), -EINVAL);
  ASSERT_TRUE(queue().Close(File::Fixed(2), Id(9)));
  EXPECT_EQ(Result(), 0);
  ASSERT_TRUE(queue().Read(File::Fixed(2), memory, 0, Id(10)));
  EXPECT_EQ(Result(), -EBADF);
}

TEST_P(FileNames, Y13_RelativePathsBeginAtTheDirectoryOrAtTheWorkingOne) {
  ASSERT_EQ(MakeDirectory("directory"), 0);
  CreateWith("directory/file", "below");
  CreateWith("file", "above");
  const int directory = Open("directory", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(Contents(OpenAt(directory, "file", O_RDONLY)), "below");
  EXPECT_EQ(Contents(OpenAt(directory, "../file", O_RDONLY)), "above");
  EXPECT_EQ(Contents(OpenAt(AT_FDCWD, "directory/file", O_RDONLY)), "below");
  EXPECT_EQ(Contents(OpenAt(AT_FDCWD, "file", O_RDONLY)), "above");
  // An absolute one does not look at the directory.
  EXPECT_EQ(Contents(OpenAt(9999, Path("file"), O_RDONLY)), "above");
  EXPECT_EQ(OpenAt(9999, "file", O_RDONLY), -EBADF);
  EXPECT_EQ(OpenAt(Open("file", O_RDONLY), "file", O_RDONLY), -ENOTDIR);
}

TEST_P(FileNames, Y14_MakingADirectory) {
  EXPECT_EQ(MakeDirectory("directory"), 0);
  EXPECT_EQ(MakeDirectory("directory/below/"), 0);
  EXPECT_EQ(MakeDirectory("directory"), -EEXIST);
  EXPECT_EQ(MakeDirectory("none/below"), -ENOENT);
  Create("file");
  EXPECT_EQ(MakeDirectory("file"), -EEXIST);
  EXPECT_EQ(MakeDirectory("file/below"), -ENOTDIR);
}

TEST_P(FileNames, Y15_Removing) {
  Create("file");
  ASSERT_EQ(MakeDirectory("directory"), 0);
  ASSERT_EQ(MakeDirectory("directory/below"), 0);
  EXPECT_EQ(Unlink("directory"), -EISDIR);
  EXPECT_EQ(Unlink("file", AT_REMOVEDIR), -ENOTDIR);
  EXPECT_EQ(Unlink("file/"), -ENOTDIR);
  EXPECT_EQ(Unlink("directory", AT_REMOVEDIR), -ENOTEMPTY);
  EXPECT_EQ(Unlink("directory/.", AT_REMOVEDIR), -EINVAL);
  EXPECT_EQ(Unlink("directory/..", AT_REMOVEDIR), -ENOTEMPTY);
  EXPECT_EQ(Unlink("none"), -ENOENT);
  EXPECT_EQ(Unlink("file", AT_SYMLINK_NOFOLLOW), -EINVAL);
  EXPECT_EQ(Unlink("directory/below", AT_REMOVEDIR), 0);
  EXPECT_EQ(Unlink("directory", AT_REMOVEDIR), 0);
  EXPECT_EQ(Unlink("file"), 0);
  EXPECT_EQ(Open("file", O_RDONLY), -ENOENT);
  EXPECT_EQ(Open("directory", O_RDONLY), -ENOENT);
}

TEST_P(FileNames, Y15_AnOpenFileOutlivesItsName) {
  const int fd = CreateWith("file", "text");
  EXPECT_EQ(Unlink("file"), 0);
  EXPECT_EQ(Write(fd, "+more", 4), 5);
  EXPECT_EQ(Contents(fd), "text+more");
  // The name is free for another.
  EXPECT_EQ(Contents(Create("file")), "");
  struct statx stat;
  ASSERT_EQ(Stat(fd, "", AT_EMPTY_PATH, &stat), 0);
  EXPECT_EQ(stat.stx_nlink, 0U);
}

TEST_P(FileNames, Y16_RenamingReplacesAFile) {
  CreateWith("new", "new");
  const int old = CreateWith("old", "old");
  EXPECT_EQ(Rename("new", "old"), 0);
  EXPECT_EQ(Open("new", O_RDONLY), -ENOENT);
  EXPECT_EQ(Contents(Open("old", O_RDONLY)), "new");
  EXPECT_EQ(Contents(old), "old");  // Still open.
  EXPECT_EQ(Rename("old", "old"), 0);
  EXPECT_EQ(Rename("none", "other"), -ENOENT);
}

TEST_P(FileNames, Y16_RenamingWantsTheSameKind) {
  Create("file");
  ASSERT_EQ(MakeDirectory("directory"), 0);
  ASSERT_EQ(MakeDirectory("full"), 0);
  ASSERT_EQ(MakeDirectory("full/below"), 0);
  EXPECT_EQ(Rename("file", "directory"), -EISDIR);
  EXPECT_EQ(Rename("directory", "file"), -ENOTDIR);
  EXPECT_EQ(Rename("directory", "full"), -ENOTEMPTY);
  EXPECT_EQ(Rename("full", "full/below/self"), -EINVAL);
  EXPECT_EQ(Rename("full/below", "full"), -ENOTEMPTY);
  EXPECT_EQ(Rename("file/", "other"), -ENOTDIR);
  EXPECT_EQ(Rename("file", "other/"), -ENOTDIR);
  EXPECT_EQ(Rename("full/.", "other"), -EBUSY);
  EXPECT_EQ(Rename("full", "directory"), 0);
  EXPECT_GE(Open("directory/below", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(Rename("directory/below", "moved"), 0);
  EXPECT_GE(Open("moved/../file", O_RDONLY), 0);
}

TEST_P(FileNames, Y16_RenamingWithFlags) {
  CreateWith("one", "1");
  CreateWith("two", "2");
  EXPECT_EQ(Rename("one", "two", RENAME_NOREPLACE), -EEXIST);
  EXPECT_EQ(Rename("one", "none", RENAME_EXCHANGE), -ENOENT);
  EXPECT_EQ(Rename("one", "two", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
  EXPECT_EQ(Rename("one", "two", 1U << 20), -EINVAL);
  EXPECT_EQ(Rename("one", "two", RENAME_EXCHANGE), 0);
  EXPECT_EQ(Contents(Open("one", O_RDONLY)), "2");
  EXPECT_EQ(Contents(Open("two", O_RDONLY)), "1");
  EXPECT_EQ(Rename("one", "three", RENAME_NOREPLACE), 0);
}

TEST_P(FileNames, Y17_LookingAtAFile) {
  const int fd = CreateWith("file", "text");
  struct statx stat;
  ASSERT_EQ(Stat(AT_FDCWD, Path("file"), 0, &stat), 0);
  EXPECT_EQ(stat.stx_size, 4U);
  EXPECT_EQ(stat.stx_mode & S_IFMT, S_IFREG);
  EXPECT_EQ(stat.stx_nlink, 1U);
  const uint64_t number = stat.stx_ino;
  ASSERT_EQ(Stat(fd, "", AT_EMPTY_PATH, &stat), 0);
  EXPECT_EQ(stat.stx_ino, number);
  ASSERT_EQ(MakeDirectory("directory"), 0);
  ASSERT_EQ(Stat(AT_FDCWD, Path("directory"), 0, &stat), 0);
  EXPECT_EQ(stat.stx_mode & S_IFMT, S_IFDIR);
  EXPECT_NE(stat.stx_ino, number);
}

TEST_P(FileNames, Y17_LookingAtWhatIsNotThere) {
  const int fd = Create("file");
  struct statx stat;
  EXPECT_EQ(Stat(AT_FDCWD, Path("none"), 0, &stat), -ENOENT);
  EXPECT_EQ(Stat(fd, "", 0, &stat), -ENOENT);
  EXPECT_EQ(Stat(9999, "", AT_EMPTY_PATH, &stat), -EBADF);
  EXPECT_EQ(Stat(AT_FDCWD, Path("file/below"), 0, &stat), -ENOTDIR);
  EXPECT_EQ(Stat(AT_FDCWD, Path("file"), 1, &stat), -EINVAL);
  EXPECT_EQ(Stat(AT_FDCWD, Path("file"), 0, nullptr), -EFAULT);
}

TEST_P(FileNames, Y18_NamesTakeNoFixedDirectory) {
  Add(
      1, [](io_uring_sqe* sqe) { io_uring_prep_openat(sqe, 0, "file", O_RDONLY, 0); },
      IOSQE_FIXED_FILE);
  Add(2, [](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, 0, "file", 0); }, IOSQE_FIXED_FILE);
  Add(3, [](io_uring_sqe* sqe) { io_uring_prep_mkdirat(sqe, 0, "file", 0); }, IOSQE_FIXED_FILE);
  EXPECT_THAT(Await(3), UnorderedElementsAre(Final(1, -EBADF), Final(2, -EBADF), Final(3, -EBADF)));
}

TEST_P(FileNames, U8_PathsAreReadAtSubmission) {
  std::string path = Path("first");
  AddOpen(1, AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC);
  Submit();
  std::vector<Seen> seen = Visible();
  path.replace(path.size() - 5, 5, "other");
  if (seen.empty()) seen = Await(1);
  ASSERT_EQ(seen.size(), 1U);
  ASSERT_GE(seen[0].result, 0);
  kernel().Close(seen[0].result);
  EXPECT_EQ(Open("other", O_RDONLY), -ENOENT);
  EXPECT_GE(Open("first", O_RDONLY), 0);
}

}  // namespace
}  // namespace orrery::conformance

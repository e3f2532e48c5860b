// The example on this machine's kernel: that what a device sums up is what is in the file.
#include "examples/device_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "runtime/ring/linux_kernel.h"

namespace orrery::examples::device_reader {
namespace {

class DeviceReaderTest : public testing::Test {
 protected:
  void WriteFile(size_t bytes) {
    std::string content(bytes, '\0');
    for (size_t at = 0; at < bytes; ++at) content[at] = static_cast<char>(at * 31 + at / 4096);
    std::ofstream(options_.file, std::ios::binary) << content;
  }
  void TearDown() override { ::unlink(options_.file.c_str()); }

  LinuxKernel kernel_;
  Options options_{
      .file = testing::TempDir() + "/device_reader_test", .block_bytes = 4096, .depth = 8};
};

TEST_F(DeviceReaderTest, AWholeFileArrives) {
  for (const size_t bytes : {0U, 1U, 4095U, 4096U, 4097U, 300'000U}) {
    SCOPED_TRACE(bytes);
    WriteFile(bytes);
    const auto report = ReadFile(kernel_, options_);
    ASSERT_TRUE(report.has_value()) << report.error();
    EXPECT_EQ(report->bytes, bytes);
    EXPECT_EQ(report->blocks, (bytes + 4095) / 4096);
    EXPECT_EQ(report->checksum, ChecksumOf(options_));
  }
}

TEST_F(DeviceReaderTest, AnotherFileHasAnotherChecksum) {
  WriteFile(100'000);
  const auto report = ReadFile(kernel_, options_);
  ASSERT_TRUE(report.has_value()) << report.error();
  std::fstream file(options_.file, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(50'000);
  file << "other";
  file.close();
  EXPECT_NE(report->checksum, ChecksumOf(options_));
}

TEST_F(DeviceReaderTest, WhatCannotBeReadHasAReason) {
  const auto missing = ReadFile(kernel_, {.file = "/no/such/file"});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error(), "/no/such/file: No such file or directory");
  const auto folder = ReadFile(kernel_, {.file = testing::TempDir()});
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error(), "a read: Is a directory");
}

}  // namespace
}  // namespace orrery::examples::device_reader

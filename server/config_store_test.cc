// What would break: CONFIG REWRITE leaves no configuration file, or half of one, or one that
// everybody can read.
#include "server/config_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace orrery::server {
namespace {

class ConfigStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "config_store_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = (folder_ / "orrery.conf").string();
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(ConfigStoreTest, RewritesTheFileInItsPlace) {
  std::ofstream(path_) << "# mine\nmaxclients 5\n";
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  ConfigStore store(path_);
  ServerConfig config;
  config.clients_max = 6;
  EXPECT_TRUE(store.Rewrite(config));
  EXPECT_EQ(ReadWholeFile(path_).value_or(""), "# mine\nmaxclients 6\n");
  struct stat status{};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_),
                          std::filesystem::directory_iterator()),
            1);
}

TEST_F(ConfigStoreTest, SaysWhyItCannot) {
  ConfigStore store(path_);
  const auto rewritten = store.Rewrite({});
  ASSERT_FALSE(rewritten);
  EXPECT_EQ(rewritten.error(), "cannot open " + path_ + ": ENOENT: No such file or directory");
  EXPECT_FALSE(ReadWholeFile(folder_.string()));
}

}  // namespace
}  // namespace orrery::server

// The inputs that fuzzers have found worth keeping, run in every build.
//
// What would break: what a fuzzer has found once could come back without one noticing it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace orrery::fuzz {
namespace {

// Relative to the root of the tree, where tests run. Returns how many inputs there were.
size_t RunAll(const std::string& name, void (*target)(std::span<const uint8_t>)) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus/" + name)) {
    files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    std::cerr << file << "\n";  // The last one, if it ends the process.
    std::ifstream stream(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    const std::vector<uint8_t> bytes(text.begin(), text.end());
    target(bytes);
  }
  return files.size();
}

TEST(Corpus, OfTheParserBreaksNothing) { EXPECT_GE(RunAll("resp_parser", FuzzRespParser), 10u); }

TEST(Corpus, OfTheServerBreaksNothing) { EXPECT_GE(RunAll("server", FuzzServer), 10u); }

TEST(Targets, TakeInputsOfAnyLength) {
  for (size_t size = 0; size < 64; ++size) {
    const std::vector<uint8_t> bytes(size, static_cast<uint8_t>(7 * size));
    FuzzRespParser(bytes);
    FuzzServer(bytes);
  }
}

}  // namespace
}  // namespace orrery::fuzz

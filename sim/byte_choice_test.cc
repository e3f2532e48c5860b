// What would break: a fuzzer could not reach some answers, or would change all of a run with one
// byte too many at its end.
#include "sim/byte_choice.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "kernel_model/choice.h"

namespace orrery::sim {
namespace {

using model::Site;

TEST(ByteChoice, IsBenignWhenItsBytesAreUsedUp) {
  const std::vector<uint8_t> bytes = {200, 129};
  ByteChoice choice(bytes);
  EXPECT_NE(choice.Choose(Site::kSendPartial, 1, 0, 5), 0u);
  EXPECT_NE(choice.Choose(Site::kSendPartial, 1, 1, 5), 0u);
  EXPECT_EQ(choice.left(), 0u);
  EXPECT_EQ(choice.Choose(Site::kSendPartial, 1, 2, 5), 0u);
  EXPECT_EQ(choice.Choose(Site::kSendPartial, 1, 3, 1'000'000), 0u);
}

TEST(ByteChoice, ReachesEveryAnswerOfAFewAndNoneBeyond) {
  for (uint64_t alternatives = 1; alternatives <= 129; ++alternatives) {
    std::set<uint64_t> answers;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::array<uint8_t, 1> bytes = {static_cast<uint8_t>(byte)};
      ByteChoice choice(bytes);
      answers.insert(choice.Choose(Site::kSchedule, 0, 0, alternatives));
    }
    EXPECT_EQ(answers.size(), alternatives);
    EXPECT_EQ(*answers.rbegin(), alternatives - 1);
  }
}

TEST(ByteChoice, ReachesBothEndsOfAQuantity) {
  std::set<uint64_t> answers;
  for (unsigned byte = 128; byte < 256; ++byte) {
    for (const uint8_t low : {0, 1, 255}) {
      const std::array<uint8_t, 3> bytes = {static_cast<uint8_t>(byte), 0, low};
      ByteChoice choice(bytes);
      answers.insert(choice.Choose(Site::kSendPartial, 0, 0, 100'000));
    }
  }
  EXPECT_TRUE(answers.contains(1));
  EXPECT_TRUE(answers.contains(2));
  EXPECT_TRUE(answers.contains(99'999));
  EXPECT_TRUE(answers.contains(99'998));
  EXPECT_LT(*answers.rbegin(), 100'000u);
  EXPECT_GT(*answers.begin(), 0u);
}

}  // namespace
}  // namespace orrery::sim

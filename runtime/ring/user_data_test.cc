// User data that does not come back as it went out hands a completion to the wrong owner.
#include "runtime/ring/user_data.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery {
namespace {

TEST(UserData, Layout) {
  const UserData data{.operation = Operation::kReceive,
                      .slot = {.index = 0xabcdef, .generation = 0x12345678}};
  const uint64_t operation = static_cast<uint8_t>(Operation::kReceive);
  EXPECT_EQ(data.Pack(), operation << 56 | 0x00abcdef'12345678U);
}

TEST(UserData, NeverTheReservedValue) {
  for (int operation = 0; operation <= static_cast<int>(Operation::kTest); ++operation) {
    const UserData data{.operation = static_cast<Operation>(operation),
                        .slot = {.index = UserData::kIndexMax, .generation = ~uint32_t{0}}};
    EXPECT_NE(data.Pack(), ~uint64_t{0});
  }
}

TEST(UserDataDeathTest, IndexHasALimit) {
  const UserData data{.operation = Operation::kTest,
                      .slot = {.index = UserData::kIndexMax + 1, .generation = 0}};
  EXPECT_DEATH((void)data.Pack(), "kIndexMax");
}

RC_GTEST_PROP(UserData, UnpackUndoesPack, (uint32_t index, uint32_t generation)) {
  const auto operation =
      static_cast<Operation>(*rc::gen::inRange<int>(0, static_cast<int>(Operation::kTest) + 1));
  const UserData data{.operation = operation,
                      .slot = {.index = index & UserData::kIndexMax, .generation = generation}};
  RC_ASSERT(UserData::Unpack(data.Pack()) == data);
}

}  // namespace
}  // namespace orrery

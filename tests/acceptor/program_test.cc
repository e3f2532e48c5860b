// A program is a function of its seed, its text says all of it, and the generator reaches every
// kind of step.
#include "tests/acceptor/program.h"

#include <set>

#include "gtest/gtest.h"
#include "tests/acceptor/generator.h"

namespace orrery::acceptor {
namespace {

constexpr uint64_t kSeeds = 300;

TEST(Program, IsAFunctionOfItsSeed) {
  EXPECT_EQ(Generate(7), Generate(7));
  EXPECT_NE(Generate(7), Generate(8));
}

TEST(Program, ComesBackFromItsText) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Program program = Generate(seed, kEveryFamily);
    const auto parsed = Parse(ToText(program));
    ASSERT_TRUE(parsed) << parsed.error();
    ASSERT_EQ(*parsed, program) << "seed " << seed;
  }
}

TEST(Program, TextThatIsNoneIsRefused) {
  EXPECT_FALSE(Parse(""));
  EXPECT_FALSE(Parse("connections 1 buffers 99 incremental 0\n"));
  EXPECT_FALSE(
      Parse("connections 1 buffers 1 incremental 0\nfly id 1 object 0 amount 0 flags 0\n"));
  EXPECT_FALSE(Parse("connections 1 buffers 1 incremental 0\nnop id one\n"));
}

TEST(Program, EveryKindOfStepOccurs) {
  std::set<StepKind> seen;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (const Step& step : Generate(seed, kEveryFamily).steps) seen.insert(step.kind);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(StepKind::kCount));
}

TEST(Program, IdsOfOperationsAreUnique) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::set<uint32_t> ids;
    for (const Step& step : Generate(seed).steps) {
      if (IsOperation(step.kind)) {
        ASSERT_TRUE(ids.insert(step.id).second) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace orrery::acceptor

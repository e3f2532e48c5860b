// The model explains what Linux did, in full; and a model with a rule broken is refused, so that
// the first means something.
#include "tests/acceptor/acceptor.h"

#include "gtest/gtest.h"
#include "tests/acceptor/executor.h"
#include "tests/acceptor/generator.h"

namespace orrery::acceptor {
namespace {

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kPrograms = 400;
// Those whose programs have been explained in full, tens of thousands of them.
constexpr uint32_t kFamilies = kZeroCopy | kSlots | kBundles | kIncremental;
// How soon a broken model must be found out.
constexpr uint64_t kRefusedWithin = 1000;

std::string Report(uint64_t seed, const Trace& trace, const Verdict& verdict) {
  std::string text = "To repeat: bazel run //tools:accept -- --programs=1 --families=";
  text += std::to_string(kFamilies) + " --seed=" + std::to_string(seed) + "\n" + ToText(trace);
  text += "Linux:     " + verdict.observed;
  text += "\nthe model: " + verdict.modelled;
  if (!verdict.violation.empty()) text += "\nviolation: " + verdict.violation;
  return text;
}

TEST(Acceptor, ExplainsWhatLinuxDid) {
  size_t completions = 0;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kPrograms; ++seed) {
    const Program program = Generate(seed, kFamilies);
    const Trace trace = Record(program);
    const Verdict verdict = Explain(program, trace, {});
    ASSERT_EQ(verdict.kind, Verdict::Kind::kExplained) << Report(seed, trace, verdict);
    completions += trace.completions();
  }
  EXPECT_GT(completions, 10 * kPrograms);
}

TEST(Acceptor, ATraceThatNoKernelMadeIsRefused) {
  const Program program = Generate(kFirstSeed, kFamilies);
  Trace trace = Record(program);
  ASSERT_FALSE(trace.observations.empty());
  ++trace.observations.back().result;
  EXPECT_EQ(Explain(program, trace, {}).kind, Verdict::Kind::kUnexplained);
}

TEST(Acceptor, ASearchWithoutBudgetIsNoSuccess) {
  const Program program = Generate(kFirstSeed, kFamilies);
  const Trace trace = Record(program);
  EXPECT_EQ(Explain(program, trace, {.runs_max = 0}).kind, Verdict::Kind::kOutOfBudget);
}

class BrokenModel : public testing::TestWithParam<model::Defect> {};

TEST_P(BrokenModel, IsRefused) {
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kRefusedWithin; ++seed) {
    const Program program = Generate(seed, kFamilies);
    const Trace trace = Record(program);
    const Verdict broken = Explain(program, trace, {.defect = GetParam()});
    if (broken.kind != Verdict::Kind::kUnexplained) continue;
    // It is the defect that cannot be explained, not the trace.
    ASSERT_EQ(Explain(program, trace, {}).kind, Verdict::Kind::kExplained);
    RecordProperty("refused_after", static_cast<int>(seed - kFirstSeed + 1));
    return;
  }
  FAIL() << "not refused within " << kRefusedWithin << " programs";
}

INSTANTIATE_TEST_SUITE_P(Defects, BrokenModel,
                         testing::Values(model::Defect::kDropEnobufs,
                                         model::Defect::kCancelAlwaysWins,
                                         model::Defect::kCloseEndsReceive));

}  // namespace
}  // namespace orrery::acceptor

// What would break: a plan would not repeat its workload, a seed would mean another workload on
// another compiler, or the generator would stop producing the cases that find bugs.
#include "tests/scenarios/workload.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/event_log.h"
#include "sim/plan.h"

namespace orrery::scenarios {
namespace {

Workload Generate(uint64_t seed) {
  Prng prng(seed);
  const WorkloadOptions options = DrawWorkloadOptions(prng);
  return GenerateWorkload(prng, options);
}

std::vector<sim::Json> Items(const Workload& workload) {
  std::vector<sim::Json> items;
  WriteWorkload(workload, items);
  return items;
}

std::string ErrorOf(const std::string& line) {
  const auto workload = ReadWorkload({sim::Json::parse(line)});
  return workload ? "no error" : workload.error();
}

TEST(Workload, SurvivesAPlanAsText) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    sim::Plan plan;
    plan.scenario = "server";
    const Workload workload = Generate(seed);
    WriteWorkload(workload, plan.workload);
    const auto read = sim::ReadPlan(sim::WritePlan(plan));
    ASSERT_TRUE(read.has_value()) << read.error();
    const auto back = ReadWorkload(read->workload);
    ASSERT_TRUE(back.has_value()) << back.error();
    ASSERT_EQ(*back, workload) << seed;
  }
}

TEST(Workload, IsTheSameInEveryBuild) {
  uint64_t hash = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (const sim::Json& item : Items(Generate(seed))) {
      hash = Combine(hash, sim::HashBytes(item.dump()));
    }
  }
  EXPECT_EQ(hash, 9564301773585878066u);
}

TEST(Workload, ReachesEveryKindOfStepFormAndEdgeWithinTheDefaultSeeds) {
  std::map<ScriptStep::Kind, int> kinds;
  std::map<Form, int> forms;
  std::map<std::string, int> errors;
  std::map<uint64_t, int> sizes;
  int cut = 0;
  int portions = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    for (const Script& script : Generate(seed)) {
      for (const ScriptStep& step : script.steps) {
        ++kinds[step.kind];
        ++forms[step.form];
        if (!step.error.empty()) ++errors[step.error];
        if (step.cut_bytes > 0) ++cut;
        if (!step.portions.empty()) ++portions;
        for (const Command& command : step.commands) {
          ASSERT_FALSE(command.empty());
          for (const Bytes& argument : command) ++sizes[argument.fill_bytes];
        }
      }
    }
  }
  EXPECT_EQ(kinds.size(), 8u);
  EXPECT_EQ(forms.size(), 3u);
  EXPECT_GE(errors.size(), 8u) << "the kinds of protocol errors";
  EXPECT_GT(cut, 10);
  EXPECT_GT(portions, 100);
  for (const uint64_t size : {0u, 1u, 4095u, 4096u, 4097u, 16384u, 100'000u, 1u << 20}) {
    EXPECT_TRUE(sizes.contains(size)) << size;
  }
}

TEST(Workload, StaysSmallEnoughToRunManySeeds) {
  uint64_t commands = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) commands += CommandsIn(Generate(seed));
  EXPECT_GT(commands, 300u * 20);
  EXPECT_LT(commands, 300u * 500);
}

TEST(Bytes, FillsAreAPatternOfTheirSeed) {
  const Bytes letters{.text = "x", .fill_bytes = 20, .fill_seed = 4};
  const std::string bytes = letters.Materialize();
  EXPECT_EQ(bytes.size(), letters.size());
  EXPECT_EQ(bytes.find_first_not_of("abcdefghijklmnopqrstuvwxyz"), std::string::npos);
  EXPECT_EQ(bytes, letters.Materialize());
  const Bytes other{.text = "x", .fill_bytes = 20, .fill_seed = 6};
  EXPECT_NE(bytes, other.Materialize());
  const Bytes any{.text = "", .fill_bytes = 1000, .fill_seed = 5};
  EXPECT_NE(any.Materialize().find('\0'), std::string::npos);
}

TEST(Bytes, CanStandForManyArguments) {
  const Command command = {Bytes::Text("MGET"), Bytes::Repeated("k", 3)};
  EXPECT_EQ(Materialize(command), (std::vector<std::string>{"MGET", "k", "k", "k"}));
}

TEST(ReadWorkload, NamesTheItemAndTheReason) {
  EXPECT_EQ(ErrorOf(R"({"op":"send"})"), "item 1 of the workload: \"client\" is missing");
  EXPECT_EQ(ErrorOf(R"({"op":"fly","client":0})"),
            "item 1 of the workload: no step has the name \"fly\"");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[["GET"],[]]})"),
            "item 1 of the workload: each of \"commands\" must be an array that is not empty");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[[1]]})"),
            "item 1 of the workload: bytes must be a string of code points below 256, or "
            "{\"fill\":size,\"seed\":pattern}");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[["GET"]],"portions":[0]})"),
            "item 1 of the workload: \"portions\" must be an array of positive numbers");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[["GET"]],"form":"morse"})"),
            "item 1 of the workload: \"form\" must be array, inline or inline-single");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[["*1"]],"form":"inline"})"),
            "item 1 of the workload: an inline command must begin with a plain word");
  EXPECT_EQ(ErrorOf(R"({"op":"client","client":0,"read_bytes":0})"),
            "item 1 of the workload: \"read_bytes\" must be 1 to 1048576");
  EXPECT_EQ(ErrorOf(R"({"op":"send","client":0,"commands":[["MGET",{"text":"k","times":0}]]})"),
            "item 1 of the workload: \"times\" must be 1 to 1000000");
  EXPECT_EQ(ErrorOf(R"({"op":"wait","client":0,"ns":-1})"),
            "item 1 of the workload: \"ns\" must be a whole number, not negative");
  EXPECT_EQ(ErrorOf(R"({"op":"raw","client":0})"), "item 1 of the workload: \"bytes\" is missing");
}

}  // namespace
}  // namespace orrery::scenarios

// What would break: a plan that is not what was written (a failing run that cannot be repeated), or
// a mistake in an edited plan that is not answered with its line and its reason.
#include "sim/plan.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/prng.h"
#include "kernel_model/choice.h"

namespace orrery::sim {
namespace {

constexpr char kHeader[] = R"({"schema":"orrery-plan/1","scenario":"server","seed":"0x2a"})"
                           "\n";

std::string ErrorOf(const std::string& text) {
  const auto plan = ReadPlan(text);
  return plan ? "no error" : plan.error();
}

Plan RandomPlan(uint64_t seed) {
  Prng prng(seed);
  Plan plan;
  plan.scenario = "toy";
  plan.seed = prng.Next();
  plan.configuration["sq_entries"] = static_cast<int64_t>(prng.Below(8));
  plan.configuration["rate.send.partial"] = -static_cast<int64_t>(prng.Below(8));
  if (prng.Chance(1, 2)) plan.expected_hash = prng.Next();
  if (prng.Chance(1, 2)) plan.expected_invariant = "stream \"differs\"";
  for (uint64_t mark = prng.Below(3); mark-- > 0;) {
    plan.expected_marks.push_back("mark." + std::to_string(mark));
  }
  for (uint64_t item = prng.Below(20); item-- > 0;) {
    std::string bytes;
    for (uint64_t size = prng.Below(40); size-- > 0;) bytes += static_cast<char>(prng.Below(256));
    Json json;
    json["op"] = "send";
    json["bytes"] = BytesToJson(bytes);
    json["client"] = prng.Next();
    plan.workload.push_back(json);
  }
  for (uint64_t choice = prng.Below(20); choice-- > 0;) {
    PlannedChoice planned;
    planned.site = model::Sites()[prng.Below(model::Sites().size())].site;
    planned.entity = prng.Next();
    planned.ordinal = prng.Next();
    planned.value = 1 + prng.Below(1000);
    plan.choices.push_back(planned);
  }
  return plan;
}

TEST(Plan, ReadingGivesWhatWasWritten) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Plan plan = RandomPlan(seed);
    const std::string text = WritePlan(plan);
    const auto read = ReadPlan(text);
    ASSERT_TRUE(read.has_value()) << read.error() << "\n" << text;
    EXPECT_EQ(*read, plan) << text;
    EXPECT_EQ(WritePlan(*read), text);
  }
}

TEST(Plan, IsOneLineForTheHeaderEachItemAndEachChoice) {
  Plan plan;
  plan.scenario = "server";
  plan.seed = 42;
  plan.configuration["sq_entries"] = 2;
  plan.workload.push_back({{"op", "send"}, {"client", 0}});
  plan.choices.push_back(
      {.site = model::Site::kSendPartial, .entity = 3, .ordinal = 7, .value = 1});
  EXPECT_EQ(
      WritePlan(plan),
      R"({"schema":"orrery-plan/1","scenario":"server","seed":"0x2a","configuration":{"sq_entries":2}})"
      "\n"
      R"({"op":"send","client":0})"
      "\n"
      R"({"choice":"send.partial","entity":3,"ordinal":7,"value":1})"
      "\n");
}

TEST(Plan, SkipsEmptyLinesAndComments) {
  const auto plan =
      ReadPlan("# found by hand\n\n" + std::string(kHeader) + "\r\n# and\n" + R"({"op":"wait"})");
  ASSERT_TRUE(plan.has_value()) << plan.error();
  EXPECT_EQ(plan->seed, 42u);
  EXPECT_EQ(plan->workload.size(), 1u);
}

TEST(Plan, ErrorsNameTheLineAndTheReason) {
  const std::string header = kHeader;
  EXPECT_EQ(ErrorOf(""), "line 1: the plan is empty");
  EXPECT_EQ(ErrorOf("[]"), "line 1: not a JSON object");
  EXPECT_EQ(ErrorOf("{"), "line 1: not valid JSON");
  EXPECT_EQ(ErrorOf(R"({"op":"wait"})"),
            "line 1: the first line must be a plan's header: \"schema\" is missing");
  EXPECT_EQ(ErrorOf(R"({"schema":"orrery-plan/9"})"),
            "line 1: the schema is \"orrery-plan/9\", this program reads \"orrery-plan/1\"");
  EXPECT_EQ(ErrorOf(R"({"schema":"orrery-plan/1","scenario":"s","seed":"0xg"})"),
            "line 1: \"seed\" must be a number such as 42 or \"0x2a\"");
  EXPECT_EQ(ErrorOf(header + "\n{\"op\":1}"),
            "line 3: neither a choice nor an item of the workload: \"op\" must be a string");
  EXPECT_EQ(ErrorOf(header + R"({"choice":"send.partail","entity":1,"ordinal":1,"value":1})"),
            "line 2: no choice has the name \"send.partail\"");
  EXPECT_EQ(ErrorOf(header + R"({"choice":"send.partial","entity":-1,"ordinal":1,"value":1})"),
            "line 2: \"entity\" must be a whole number, not negative");
  EXPECT_EQ(ErrorOf(header + R"({"choice":"send.partial","entity":1,"value":1})"),
            "line 2: \"ordinal\" is missing");
  EXPECT_EQ(ErrorOf(header + R"({"choice":"send.partial","entity":1,"ordinal":1,"value":0})"),
            "line 2: \"value\" 0 is the benign choice, which a plan does not name");
  EXPECT_EQ(
      ErrorOf(R"({"schema":"orrery-plan/1","scenario":"s","seed":1,"configuration":{"a":1.5}})"),
      "line 1: \"a\" must be a whole number");
  EXPECT_EQ(ErrorOf(R"({"schema":"orrery-plan/1","scenario":"s","seed":1,"expect":{"marks":[1]}})"),
            "line 1: \"marks\" must be an array of names");
}

TEST(Plan, FilesRoundTripAndErrorsNameThem) {
  const std::string path = testing::TempDir() + "/plan_test.jsonl";
  const Plan plan = RandomPlan(1);
  ASSERT_TRUE(WritePlanFile(path, plan).has_value());
  const auto read = ReadPlanFile(path);
  ASSERT_TRUE(read.has_value()) << read.error();
  EXPECT_EQ(*read, plan);

  const auto missing = ReadPlanFile(path + ".missing");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error(), path + ".missing: cannot be opened");
  const auto unwritable = WritePlanFile("/nowhere/plan.jsonl", plan);
  ASSERT_FALSE(unwritable.has_value());
  EXPECT_EQ(unwritable.error(), "/nowhere/plan.jsonl: cannot be created");
}

TEST(Bytes, EveryByteSurvivesJson) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string text = BytesToJson(all).dump();
  const auto back = BytesFromJson(Json::parse(text));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, all);
  EXPECT_FALSE(BytesFromJson(Json::parse(R"("\u0100")")).has_value());
  EXPECT_FALSE(BytesFromJson(Json(7)).has_value());
}

TEST(Numbers, AreReadInBothNotationsOnly) {
  EXPECT_EQ(ParseNumber("42"), 42u);
  EXPECT_EQ(ParseNumber("0x2A"), 42u);
  EXPECT_EQ(ParseNumber("0xffffffffffffffff"), UINT64_MAX);
  for (const char* text : {"", "0x", "-1", "4 2", "1e3", "18446744073709551616", "0x-1"}) {
    EXPECT_FALSE(ParseNumber(text).has_value()) << text;
  }
  EXPECT_EQ(HexOf(42), "0x2a");
}

}  // namespace
}  // namespace orrery::sim

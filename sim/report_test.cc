// What would break: a failure that does not say what was violated, when, on which connection, and
// how to run it again; or a failed check that leaves no trace of its seed.
#include "sim/report.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/check.h"
#include "kernel_model/observer.h"
#include "sim/event_log.h"

namespace orrery::sim {
namespace {

TEST(ReplayCommand, NamesThePlanElseTheSeed) {
  EXPECT_EQ(ReplayCommand({.scenario = "server", .seed = 42, .plan_path = ""}),
            "bazel run //tools:replay -- --scenario=server --seed=0x2a");
  EXPECT_EQ(ReplayCommand({.scenario = "server", .seed = 42, .plan_path = "/tmp/a.jsonl"}),
            "bazel run //tools:replay -- --plan=/tmp/a.jsonl");
  EXPECT_EQ(ReplayCommand({.scenario = "server", .seed = 42, .plan_path = "/tmp/a b"}),
            "bazel run //tools:replay -- --plan='/tmp/a b'");
}

TEST(RenderFailure, SaysWhatWhenWhereAndHowToRepeatIt) {
  EventLog log;
  log.set_now(12'000'345);
  log.OnEvent({.kind = model::EventKind::kAccepted, .entity = 3, .a = 9});
  log.OnEvent({.kind = model::EventKind::kSent, .entity = 4, .a = 11});
  log.ReportViolation("reply-mismatch", "expected +OK", 3);
  log.OnEvent({.kind = model::EventKind::kClosed, .entity = 3});
  const std::string text =
      RenderFailure({.scenario = "server", .seed = 255, .plan_path = ""}, log, {});
  for (const char* part :
       {"violated: reply-mismatch", "expected +OK", "12.000345 ms of virtual time, after event 2",
        "--scenario=server --seed=0xff", "last events of connection 3", "descriptor 9",
        "last events:", "11 bytes"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(ScopedCheckReportDeathTest, AFailedCheckPrintsTheCommand) {
  EXPECT_DEATH(
      {
        EventLog log;
        log.OnEvent({.kind = model::EventKind::kAccepted, .entity = 3, .a = 9});
        const ScopedCheckReport report(
            {.scenario = "server", .seed = 16, .plan_path = "", .strategy = "pct-2"}, log);
        ORRERY_CHECK_MSG(log.count() == 7, "on purpose");
      },
      "check failed(.|\n)*on purpose(.|\n)*by: +pct-2\n(.|\n)*--scenario=server "
      "--seed=0x10(.|\n)*descriptor 9");
}

TEST(ScopedCheckReportDeathTest, WhatElseIsToBeDoneIsDone) {
  EXPECT_DEATH(
      {
        EventLog log;
        const ScopedCheckReport report(
            {.scenario = "server", .seed = 16, .plan_path = ""}, log, [](const EventLog& failed) {
              std::fprintf(stderr, "then %d\n", static_cast<int>(failed.count()));
            });
        log.Note("reply", 3, 1, 11);
        ORRERY_CHECK_MSG(log.count() == 7, "on purpose");
      },
      "on purpose(.|\n)*then 1\n");
}

TEST(ScopedCheckReportDeathTest, TheHookIsGoneAfterIt) {
  EXPECT_DEATH(
      {
        EventLog log;
        {
          const ScopedCheckReport report({.scenario = "gone", .seed = 1, .plan_path = ""}, log);
        }
        CheckFailed("f", 1, "c", "the last line");
      },
      "the last line\\)\n$");
}

}  // namespace
}  // namespace orrery::sim

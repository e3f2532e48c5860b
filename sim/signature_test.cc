// What would break: two failures of one bug would be counted as two, or two bugs as one.
#include "sim/signature.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "base/check.h"
#include "base/units.h"

namespace orrery::sim {
namespace {

TEST(Signature, OfAViolationIsItsRuleAndItsCause) {
  Violation violation;
  violation.invariant = "liveness";
  violation.detail = "client 3: GET k was sent completely and never executed";
  EXPECT_EQ(SignatureOf(violation), "liveness");
  violation.cause = "never-executed";
  EXPECT_EQ(SignatureOf(violation), "liveness/never-executed");
}

TEST(Signature, OfACheckIsItsFileAndItsCondition) {
  EXPECT_EQ(
      SignatureIn("a line\nruntime/reactor.cc:153: check failed: a_ == b_ (5 against 4)\nmore"),
      "check runtime/reactor.cc: a_ == b_");
  EXPECT_EQ(SignatureIn("base/slab.h:7: check failed: slot (gone)"), "check base/slab.h: slot");
  EXPECT_EQ(SignatureIn("base/slab.h:7: check failed: f(x)"), "check base/slab.h: f(x)");
}

TEST(Signature, OfASanitizersReportIsItsKind) {
  EXPECT_EQ(
      SignatureIn("==1==ERROR: AddressSanitizer: use-after-poison on address 0x62\n"
                  "    #0 0x5 in F\n"
                  "SUMMARY: AddressSanitizer: use-after-poison server/resp_parser.cc:90 in F\n"),
      "asan use-after-poison");
  EXPECT_EQ(SignatureIn("a.cc:3:7: runtime error: shift exponent 64 is too large\n"),
            "ubsan shift exponent ");
}

TEST(Signature, OfAnythingElseIsEmpty) {
  EXPECT_EQ(SignatureIn(""), "");
  EXPECT_EQ(SignatureIn("the server is ready\n"), "");
}

std::string SignatureOfChild(const Child::Body& body) {
  const auto child = Child::Start(body, {.processor_time_max = 50 * kMillisecond});
  child->PumpToTheEnd();
  return SignatureOfEnd(*child);
}

TEST(Signature, OfAChildIsWhatEndedIt) {
  EXPECT_EQ(SignatureOfChild([](const ChildSide&) {
              const int one = 1;
              ORRERY_CHECK_OP(one, ==, 2);
            }),
            "check sim/signature_test.cc: one == 2");
  EXPECT_EQ(SignatureOfChild([](const ChildSide&) { raise(SIGKILL); }), "signal 9");
  EXPECT_EQ(SignatureOfChild([](const ChildSide&) { _exit(3); }), "exit 3");
  EXPECT_EQ(SignatureOfChild([](const ChildSide&) {
              for (volatile bool forever = true; forever;) {
              }
            }),
            "hang");
}

}  // namespace
}  // namespace orrery::sim

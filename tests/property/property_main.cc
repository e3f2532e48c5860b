// main() of the property tests: one seed for everybody, so that two runs are the same run.
//
// RapidCheck takes its parameters from RC_PARAMS. Where the caller sets none, this does; where a
// property fails, this prints the command that repeats it.
#include <cstdio>
#include <cstdlib>

#include "gtest/gtest.h"

namespace {

// Other seeds: bazel test --test_env=RC_PARAMS='seed=7 max_success=10000' //tests/property/...
constexpr const char* kDefaultParameters = "seed=20240229 max_success=2000";

class CommandPrinter final : public testing::EmptyTestEventListener {
 public:
  explicit CommandPrinter(const char* parameters) : parameters_(parameters) {}

 private:
  void OnTestEnd(const testing::TestInfo& test) override {
    if (test.result()->Passed()) return;
    const char* target = std::getenv("TEST_TARGET");
    std::printf(
        "To repeat: bazel test --test_env=RC_PARAMS='%s' --test_filter=%s.%s %s\n"
        "or, for the smallest case alone, with reproduce=... from above in RC_PARAMS.\n",
        parameters_, test.test_suite_name(), test.name(),
        target == nullptr ? "//tests/property/..." : target);
  }

  const char* parameters_;
};

}  // namespace

int main(int argc, char** argv) {
  constexpr int kKeepTheCallers = 0;
  ::setenv("RC_PARAMS", kDefaultParameters, kKeepTheCallers);
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(
      new CommandPrinter(std::getenv("RC_PARAMS")));  // GoogleTest owns its listeners.
  return RUN_ALL_TESTS();
}

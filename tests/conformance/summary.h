// Counts the facts while their tests run, and prints them by family: how many facts, passed on the
// model, passed on the kernel, skipped. One thread; lives as long as the tests run.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace orrery::conformance {

class Summary final : public testing::EmptyTestEventListener {
 public:
  enum class Outcome : uint8_t { kPassed, kSkipped, kFailed };

  // `suite` and `test` as GoogleTest names them: "Kernels/Sending", "T1_TakesWhatFits/RealPlain".
  void Add(std::string_view suite, std::string_view test, Outcome outcome, std::string_view reason);
  void OnTestEnd(const testing::TestInfo& test) override;

  // Facts with a test, each once.
  size_t facts() const;
  // The table, the totals, and what was skipped, by name and with the reason.
  std::string Table() const;

 private:
  // What the runs of one kind of kernel came to.
  struct Tally {
    size_t passed = 0;
    size_t skipped = 0;
    size_t failed = 0;
    // A fact holds when something ran, and nothing failed.
    bool holds() const { return passed > 0 && failed == 0; }
    bool unknown() const { return passed == 0 && failed == 0; }
    void Add(Outcome outcome);
    void Add(const Tally& other);
  };
  struct Kernels {
    Tally model;
    Tally real;
  };
  struct Family {
    std::set<std::string> bodies;
    std::map<std::string, Kernels> facts;
    Kernels runs;
  };
  struct Line;
  static Line LineOf(const std::map<std::string, Kernels>& facts, size_t bodies,
                     const Kernels& runs);

  std::map<std::string, Family> families_;
  std::vector<std::pair<std::string, std::string>> skipped_;
};

}  // namespace orrery::conformance

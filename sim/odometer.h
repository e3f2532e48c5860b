// Enumerates every run of a small scope: a Choice that counts through the answers to the questions
// which a run really asks, depth first, like the digits of an odometer.
//
//     Odometer odometer(scope, runs_max);
//     while (odometer.NextRun()) RunOnce(odometer);
//     odometer.ToString();  // "1024 runs: all of them, at most 12 questions in a run"
//
// A run must be a function of its answers: where the first answers are the same, the next question
// is the same (checked). What follows a changed answer may differ. The first run is benign. One
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernel_model/choice.h"
#include "sim/choices.h"

namespace orrery::sim {

// Which answers are tried. Sites that nobody opened are benign, and do not count as asked.
class OdometerScope {
 public:
  // The last alternative, however many there are.
  static constexpr uint64_t kLast = UINT64_MAX;

  // Every answer of `site`.
  OdometerScope& Open(model::Site site);
  // These answers beside 0, in this order, where they are among the alternatives.
  OdometerScope& Open(model::Site site, std::initializer_list<uint64_t> answers);
  // Only the first `count` questions of `site` for an entity; the others are benign.
  OdometerScope& FirstOnly(model::Site site, uint64_t count);
  // Runs with at most `count` answers that are not benign, instead of any number.
  OdometerScope& DeparturesAtMost(size_t count);

 private:
  friend class Odometer;
  struct Answers {
    bool open = false;
    bool all = false;
    std::vector<uint64_t> some;
    uint64_t ordinals = UINT64_MAX;
  };
  std::array<Answers, static_cast<size_t>(model::Site::kCount)> sites_;
  size_t departures_max_ = SIZE_MAX;
};

class Odometer final : public model::Choice {
 public:
  // A run that asks more never ends, or its scope is not small.
  static constexpr size_t kQuestionsMax = 4096;

  // `runs_max`: how many runs may be started.
  Odometer(const OdometerScope& scope, uint64_t runs_max) : scope_(scope), runs_max_(runs_max) {}

  // Makes ready for the next run. False: there is none, or the bound is reached; complete() says
  // which.
  bool NextRun();

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  // For the rest of this run everything is benign and nothing is asked: for its end, at which
  // everything has to come to rest.
  void TurnFaultsOff() { faults_ = false; }

  // Runs so far, the present one included.
  uint64_t runs() const { return runs_; }
  // NextRun() has answered that there is no other run.
  bool complete() const { return complete_; }
  // The most questions that a run has asked.
  size_t questions_max() const { return questions_max_; }
  // What makes the present run, up to now: a plan can carry it.
  std::vector<PlannedChoice> departures() const;
  // One line: how many runs there were, and whether these were all.
  std::string ToString() const;

 private:
  struct Question {
    model::Site site{};
    uint64_t entity = 0;
    uint64_t ordinal = 0;
    uint64_t alternatives = 0;
    friend bool operator==(const Question&, const Question&) = default;
  };
  struct Digit {
    Question question;
    std::vector<uint64_t> answers;  // Those to try; the first is 0.
    size_t at = 0;
  };

  std::vector<uint64_t> AnswersTo(const Question& question) const;

  OdometerScope scope_;
  uint64_t runs_max_;
  std::vector<Digit> digits_;
  size_t asked_ = 0;       // Of the present run: digits_[asked_ - 1] was asked last.
  size_t departures_ = 0;  // Among those.
  bool faults_ = true;
  bool complete_ = false;
  uint64_t runs_ = 0;
  size_t questions_max_ = 0;
};

}  // namespace orrery::sim

#include "sim/odometer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace orrery::sim {

OdometerScope& OdometerScope::Open(model::Site site) {
  Answers& answers = sites_[static_cast<size_t>(site)];
  answers.open = true;
  answers.all = true;
  return *this;
}

OdometerScope& OdometerScope::Open(model::Site site, std::initializer_list<uint64_t> answers) {
  Answers& known = sites_[static_cast<size_t>(site)];
  known.open = true;
  known.some.assign(answers);
  return *this;
}

OdometerScope& OdometerScope::FirstOnly(model::Site site, uint64_t count) {
  sites_[static_cast<size_t>(site)].ordinals = count;
  return *this;
}

OdometerScope& OdometerScope::DeparturesAtMost(size_t count) {
  departures_max_ = count;
  return *this;
}

bool Odometer::NextRun() {
  if (complete_) return false;
  // What the last run did not ask any more is not part of it.
  ORRERY_CHECK_OP(asked_, ==, digits_.size());
  if (runs_ > 0) {
    while (!digits_.empty() && digits_.back().at + 1 == digits_.back().answers.size()) {
      digits_.pop_back();
    }
    if (digits_.empty()) {
      complete_ = true;
      return false;
    }
  }
  if (runs_ == runs_max_) return false;
  if (runs_ > 0) ++digits_.back().at;
  ++runs_;
  asked_ = 0;
  departures_ = 0;
  faults_ = true;
  return true;
}

uint64_t Odometer::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                          uint64_t alternatives) {
  ORRERY_CHECK_MSG(runs_ > 0, "ask NextRun() first");
  const Question question{
      .site = site, .entity = entity, .ordinal = ordinal, .alternatives = alternatives};
  if (!faults_) return 0;
  if (asked_ == digits_.size()) {
    std::vector<uint64_t> answers = AnswersTo(question);
    if (answers.size() == 1) return 0;
    ORRERY_CHECK_MSG(digits_.size() < kQuestionsMax, "this scope is not small");
    digits_.push_back({.question = question, .answers = std::move(answers)});
  } else if (digits_[asked_].question != question) {
    // It is the one to come, or one that is not counted.
    ORRERY_CHECK_MSG(AnswersTo(question).size() == 1,
                     "a run is not a function of its answers: another question was asked");
    return 0;
  }
  const Digit& digit = digits_[asked_++];
  questions_max_ = std::max(questions_max_, asked_);
  const uint64_t answer = digit.answers[digit.at];
  if (answer != 0) ++departures_;
  return answer;
}

std::vector<uint64_t> Odometer::AnswersTo(const Question& question) const {
  const OdometerScope::Answers& tried = scope_.sites_[static_cast<size_t>(question.site)];
  std::vector<uint64_t> answers{0};
  const bool benign_only =
      !tried.open || question.ordinal >= tried.ordinals || departures_ == scope_.departures_max_;
  if (benign_only) return answers;
  if (tried.all) {
    for (uint64_t answer = 1; answer < question.alternatives; ++answer) answers.push_back(answer);
    return answers;
  }
  for (const uint64_t some : tried.some) {
    const uint64_t answer = some == OdometerScope::kLast ? question.alternatives - 1 : some;
    const bool known = std::find(answers.begin(), answers.end(), answer) != answers.end();
    if (answer < question.alternatives && !known) answers.push_back(answer);
  }
  return answers;
}

std::vector<PlannedChoice> Odometer::departures() const {
  std::vector<PlannedChoice> departures;
  for (size_t index = 0; index < asked_; ++index) {
    const Digit& digit = digits_[index];
    const uint64_t answer = digit.answers[digit.at];
    if (answer == 0) continue;
    departures.push_back({.site = digit.question.site,
                          .entity = digit.question.entity,
                          .ordinal = digit.question.ordinal,
                          .value = answer});
  }
  return departures;
}

std::string Odometer::ToString() const {
  return std::to_string(runs_) +
         " runs: " + (complete_ ? "all of them" : "NOT all of them, the bound was reached") +
         ", at most " + std::to_string(questions_max_) + " questions in a run";
}

}  // namespace orrery::sim

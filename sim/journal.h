// The decisions of a run in memory that survives the run's process: for plans of runs that crash or
// hang in a child (sim/child.h).
//
// Made by the parent, written by the child, read by the parent when the child has ended. Invariant:
// an entry is complete before it is counted, so a crash between two decisions loses neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernel_model/choice.h"
#include "sim/choices.h"

namespace orrery::sim {

class SharedJournal {
 public:
  // More decisions that are not benign than any run of ours takes; pages that nobody writes to
  // take no memory.
  static constexpr size_t kChoicesMax = 4'000'000;

  SharedJournal();
  ~SharedJournal();
  SharedJournal(const SharedJournal&) = delete;
  SharedJournal& operator=(const SharedJournal&) = delete;

  // Before a run; gives the memory back.
  void Clear();
  // Beyond kChoicesMax nothing is kept.
  void Append(const PlannedChoice& choice);
  std::vector<PlannedChoice> Read() const;

 private:
  struct Shared;
  Shared* shared_;
};

// Passes on another's answers and writes those that are not benign into a journal.
class JournalChoice final : public model::Choice {
 public:
  // Both must outlive this.
  JournalChoice(model::Choice& inner, SharedJournal& journal) : inner_(inner), journal_(journal) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override;

 private:
  uint64_t Keep(const PlannedChoice& choice);

  model::Choice& inner_;
  SharedJournal& journal_;
};

}  // namespace orrery::sim

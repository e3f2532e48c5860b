#include "sim/journal.h"

#include <sys/mman.h>

#include <atomic>
#include <span>

#include "base/check.h"

namespace orrery::sim {

struct SharedJournal::Shared {
  std::atomic<uint64_t> count;
  PlannedChoice choices[kChoicesMax];
};

SharedJournal::SharedJournal() {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ORRERY_CHECK_MSG(memory != MAP_FAILED, "no memory for a journal");
  shared_ = static_cast<Shared*>(memory);  // Zeros are an empty journal.
}

SharedJournal::~SharedJournal() { munmap(shared_, sizeof(Shared)); }

void SharedJournal::Clear() {
  // Also from the shared memory's own file, so that what is read again is zeros.
  ORRERY_CHECK(madvise(shared_, sizeof(Shared), MADV_REMOVE) == 0);
}

void SharedJournal::Append(const PlannedChoice& choice) {
  const uint64_t count = shared_->count.load(std::memory_order_relaxed);
  if (count == kChoicesMax) return;
  shared_->choices[count] = choice;
  shared_->count.store(count + 1, std::memory_order_release);
}

std::vector<PlannedChoice> SharedJournal::Read() const {
  const uint64_t count = shared_->count.load(std::memory_order_acquire);
  const std::span<const PlannedChoice> kept(shared_->choices, count);
  return {kept.begin(), kept.end()};
}

uint64_t JournalChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                               uint64_t alternatives) {
  const uint64_t value = inner_.Choose(site, entity, ordinal, alternatives);
  return Keep({.site = site, .entity = entity, .ordinal = ordinal, .value = value});
}

uint64_t JournalChoice::ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                                    std::span<const uint64_t> names) {
  const uint64_t value = inner_.ChooseAmong(site, entity, ordinal, names);
  return Keep({.site = site, .entity = entity, .ordinal = ordinal, .value = value});
}

uint64_t JournalChoice::Keep(const PlannedChoice& choice) {
  if (choice.value != 0) journal_.Append(choice);
  return choice.value;
}

}  // namespace orrery::sim

#include "kernel_model/model_ring.h"

#include <algorithm>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

ModelRing::ModelRing(Machine& machine, unsigned sq_entries, unsigned cq_entries)
    : machine_(machine) {
  // A ring has a descriptor, too, so that numbers come out as on a real machine.
  file_ = &machine_.NewFile(FileKind::kRing);
  memory_.ring_fd = memory_.enter_ring_fd = machine_.InsertDescriptor(*file_);
  ++machine_.ring_descriptors;
  core_ =
      std::make_unique<RingCore>(machine_, memory_, machine_.rings.size(), sq_entries, cq_entries);
  machine_.rings.push_back(this);
}

ModelRing::~ModelRing() {
  machine_.rings[core_->number] = nullptr;
  core_.reset();
  --machine_.ring_descriptors;
  ORRERY_CHECK_MSG(machine_.descriptors.Find(memory_.ring_fd) == file_,
                   "somebody closed a ring's descriptor behind its back");
  machine_.CloseDescriptor(memory_.ring_fd);
}

EnterResult ModelRing::Enter(const EnterRequest& request) {
  if (std::optional<EnterResult> result = Begin(request)) return *result;
  const auto others = std::count_if(machine_.rings.begin(), machine_.rings.end(),
                                    [](const ModelRing* ring) { return ring != nullptr; });
  ORRERY_CHECK_MSG(others == 1, "a whole Enter() that sleeps steps the world: only with one ring");
  while (!CanFinish()) {
    const Nanoseconds next = std::min(machine_.timers.next_due(), deadline());
    ORRERY_CHECK_MSG(next != kNever, "Enter() would sleep for ever: nothing is due");
    machine_.AdvanceTo(next);
  }
  return Finish();
}

std::expected<unsigned, Errno> ModelRing::Register(unsigned opcode, const void* argument,
                                                   unsigned count) {
  return core_->Register(opcode, argument, count);
}

std::optional<EnterResult> ModelRing::Begin(const EnterRequest& request) {
  return core_->Begin(request);
}

bool ModelRing::sleeping() const { return core_->sleeping(); }

bool ModelRing::CanFinish() { return core_->CanFinish(); }

Nanoseconds ModelRing::deadline() const {
  ORRERY_CHECK(sleeping());
  return core_->wake_at();
}

EnterResult ModelRing::Finish() { return core_->Finish(); }

void ModelRing::Interrupt() { core_->Interrupt(); }

bool ModelRing::RunWorker(uint64_t user_data) { return core_->RunWorker(user_data); }

uint64_t ModelRing::number() const { return core_->number; }

size_t ModelRing::requests_in_flight() const { return core_->requests_in_flight(); }

std::optional<size_t> ModelRing::provided_buffers(uint16_t group) const {
  const BufferGroup* const found = core_->FindGroup(group);
  if (found == nullptr) return std::nullopt;
  return found->owned();
}

}  // namespace orrery::model

#include "kernel_model/model_ring.h"

#include <algorithm>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

ModelRing::ModelRing(Machine& machine, const RingSetUp& set_up) : machine_(machine) {
  // A ring has a descriptor, too, so that numbers come out as on a real machine.
  file_ = &machine_.NewFile(FileKind::kRing);
  memory_.ring_fd = memory_.enter_ring_fd = machine_.InsertDescriptor(*file_);
  ++machine_.ring_descriptors;
  core_ = std::make_unique<RingCore>(machine_, memory_, *file_, machine_.rings.size(), set_up);
  file_->ring = core_.get();
  machine_.rings.push_back(this);
}

ModelRing::~ModelRing() {
  machine_.rings[core_->number] = nullptr;
  file_->ring = nullptr;
  core_.reset();
  --machine_.ring_descriptors;
  ORRERY_CHECK_MSG(machine_.descriptors.Find(memory_.ring_fd) == file_,
                   "somebody closed a ring's descriptor behind its back");
  machine_.CloseDescriptor(memory_.ring_fd);
}

EnterResult ModelRing::Enter(const EnterRequest& request) {
  if (std::optional<EnterResult> result = Begin(request)) return *result;
  return Sleep();
}

EnterResult ModelRing::EnterAs(const EnterCall& call) {
  if (std::optional<EnterResult> result = core_->Begin(call)) return *result;
  return Sleep();
}

EnterResult ModelRing::Sleep() {
  for (const ModelRing* ring : machine_.rings) {
    const bool other = ring != nullptr && ring != this && ring->sleeping();
    ORRERY_CHECK_MSG(!other, "a whole Enter() steps the world: not while another ring sleeps");
  }
  while (!CanFinish()) {
    const Nanoseconds next = std::min(machine_.timers.next_due(), deadline());
    ORRERY_CHECK_MSG(next != kNever, "Enter() would sleep for ever: nothing is due");
    machine_.AdvanceTo(next);
    for (ModelRing* ring : machine_.rings) {
      if (ring != nullptr && ring != this)
        ring->Interrupt();  // The thread has work of theirs, too.
    }
  }
  return Finish();
}

void ModelRing::Describe(io_uring_params& parameters) const {
  const auto* const start = static_cast<const std::byte*>(memory_.sq.ring_ptr);
  const auto offset = [start](const void* word) -> uint32_t {
    if (word == nullptr) return 0;
    return static_cast<uint32_t>(static_cast<const std::byte*>(word) - start);
  };
  parameters.features = memory_.features;
  parameters.sq_off = {.head = offset(memory_.sq.khead),
                       .tail = offset(memory_.sq.ktail),
                       .ring_mask = offset(memory_.sq.kring_mask),
                       .ring_entries = offset(memory_.sq.kring_entries),
                       .flags = offset(memory_.sq.kflags),
                       .dropped = offset(memory_.sq.kdropped),
                       .array = offset(memory_.sq.array),
                       .resv1 = 0,
                       .resv2 = 0};
  parameters.cq_off = {.head = offset(memory_.cq.khead),
                       .tail = offset(memory_.cq.ktail),
                       .ring_mask = offset(memory_.cq.kring_mask),
                       .ring_entries = offset(memory_.cq.kring_entries),
                       .overflow = offset(memory_.cq.koverflow),
                       .cqes = offset(memory_.cq.cqes),
                       .flags = offset(memory_.cq.kflags),
                       .resv1 = 0,
                       .resv2 = 0};
}

std::expected<unsigned, Errno> ModelRing::Register(unsigned opcode, const void* argument,
                                                   unsigned count) {
  return core_->Register(opcode, argument, count);
}

std::optional<EnterResult> ModelRing::Begin(const EnterRequest& request) {
  return core_->Begin(request);
}

std::optional<EnterResult> ModelRing::BeginAs(const EnterCall& call) { return core_->Begin(call); }

void ModelRing::Signal() { core_->Signal(); }

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

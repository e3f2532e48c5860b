// That device_queue.h is C: a program in C publishes a request.
#include "runtime/device/device_queue.h"

void PublishInC(struct orrery_device_slot* slot);
void PublishInC(struct orrery_device_slot* slot) {
  slot->operation = ORRERY_DEVICE_WRITE;
  slot->source = 7;
  slot->destination = 9;
  slot->offset_low = 0x90abcdef;
  slot->offset_high = 0x12345678;
  slot->bytes = 4096;
  slot->tag = 77;
  __atomic_store_n(&slot->status, ORRERY_DEVICE_PUBLISHED, __ATOMIC_RELEASE);
}

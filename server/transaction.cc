#include "server/transaction.h"

#include "base/check.h"

namespace orrery::server {

KeyImage& TransactionPart::AddKey(std::string_view key, KeyNeed need) {
  if (key_count == keys.size()) keys.emplace_back();
  KeyImage& image = keys[key_count++];
  image.key = key;
  image.need = need;
  image.there = false;
  image.changed = false;
  return image;
}

void TransactionPart::ClearKeys() {
  key_count = 0;
  if (keys.size() > kKeysKept) keys = {};
}

TransactionPart& Transaction::AddPart(uint32_t shard) {
  if (part_count == parts.size()) parts.emplace_back(home, *this);
  TransactionPart& part = parts[part_count++];
  ORRERY_CHECK(part_count == 1 || parts[part_count - 2].shard < shard);
  if (part_count > 1) parts[part_count - 2].next = &part;
  part.shard = shard;
  part.step = TransactionPart::Step::kLock;
  part.returning = false;
  part.next = nullptr;
  part.whole = false;
  part.watches.clear();
  part.changed = false;
  return part;
}

TransactionPart* Transaction::PartOf(uint32_t shard) {
  for (size_t index = 0; index < part_count; ++index) {
    if (parts[index].shard == shard) return &parts[index];
  }
  return nullptr;
}

}  // namespace orrery::server

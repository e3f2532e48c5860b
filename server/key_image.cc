#include "server/key_image.h"

namespace orrery::server {

void KeyImage::Take(Keyspace& from, int64_t now_ms) {
  large = {};
  small.clear();
  const Keyspace::Place place = from.Peek(from.WithHash(key), now_ms);
  there = static_cast<bool>(place);
  if (!there) return;
  encoding = place->encoding();
  accessed = place->accessed();
  expires_at_ms = place->expires_at_ms();
  if (need != KeyNeed::kValue) return;
  if (place->is_shared()) {
    large = SharedBytes::Copy(place->value());
  } else {
    small = place->value();
  }
}

void KeyImage::Put(Keyspace& to, int64_t now_ms) {
  const HashedKey hashed = to.WithHash(key);
  const Keyspace::Place place = to.Peek(hashed, now_ms);
  if (!there) {
    if (place) to.Erase(place);
    return;
  }
  if (large.size() > 0) {
    to.Assign(place, hashed, NewValue(large.view(), &large), expires_at_ms, encoding);
  } else {
    to.Assign(place, hashed, small, expires_at_ms, encoding);
  }
  large = {};
  PutAccessed(to, now_ms);
}

void KeyImage::PutAccessed(Keyspace& to, int64_t now_ms) const {
  if (const Keyspace::Place place = to.Peek(to.WithHash(key), now_ms)) {
    to.SetAccessed(place, accessed);
  }
}

}  // namespace orrery::server

// What a key holds, on its way from one shard to another and back.
//
// A shard takes the image of a key of its own; a transaction's home puts it into its own keyspace
// for as long as its commands run, and takes it again; the shard puts back what has changed.
// Invariant: an image shares no memory with a keyspace, so it may be handed to another thread.
// Small values are copied into memory that the image keeps.
#pragma once

#include <cstdint>
#include <string>

#include "base/shared_bytes.h"
#include "server/entry.h"
#include "server/key_need.h"
#include "server/keyspace.h"

namespace orrery::server {

struct KeyImage {
  // Looks at the key, and does not use it. With less than kValue, the value stays empty.
  void Take(Keyspace& from, int64_t now_ms);
  // Makes the key in `to` what the image says; the image gives its value away.
  void Put(Keyspace& to, int64_t now_ms);
  // Says when the key was used last, where it is there.
  void PutAccessed(Keyspace& to, int64_t now_ms) const;

  std::string key;
  KeyNeed need = KeyNeed::kNothing;
  bool there = false;
  // The home has changed it.
  bool changed = false;
  Encoding encoding = Encoding::kNatural;
  uint32_t accessed = 0;
  int64_t expires_at_ms = kNoExpiry;
  // One of them: of kSharedValueMin bytes or more, or less.
  SharedBytes large;
  std::string small;
};

}  // namespace orrery::server

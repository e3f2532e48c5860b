#include "server/key_hash.h"

namespace orrery::server {

KeyHash::KeyHash(SipHashKey key) : long_key_(key) {
  for (size_t i = 0; i < secret_.size(); ++i) {
    const char number = static_cast<char>(i);
    secret_[i] = SipHash24(key, {&number, 1});
  }
}

}  // namespace orrery::server

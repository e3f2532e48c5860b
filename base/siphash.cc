#include "base/siphash.h"

namespace orrery {

uint64_t SipHash13(SipHashKey key, std::string_view bytes) { return SipHash<1, 3>(key, bytes); }
uint64_t SipHash24(SipHashKey key, std::string_view bytes) { return SipHash<2, 4>(key, bytes); }

}  // namespace orrery

// From a link back to the element that it is embedded in, for containers whose links live in their
// elements.
#pragma once

namespace orrery {

// REQUIRES: `link` is the member kLink of a T.
template <auto kLink, typename T, typename Link>
T* ElementOf(Link* link) {
  // It is at the same offset in every T.
  alignas(T) static constexpr unsigned char kProbe[sizeof(T)] = {};
  const T* probe = reinterpret_cast<const T*>(kProbe);
  const auto offset = reinterpret_cast<const unsigned char*>(&(probe->*kLink)) - kProbe;
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(link) - offset);
}

}  // namespace orrery

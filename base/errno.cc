#include "base/errno.h"

#include <cstring>

namespace orrery {

std::string Errno::ToString() const {
  const char* name = ::strerrorname_np(value_);
  const char* text = ::strerrordesc_np(value_);
  if (name == nullptr || text == nullptr) return "errno " + std::to_string(value_);
  return std::string(name) + ": " + text;
}

}  // namespace orrery

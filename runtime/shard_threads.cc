#include "runtime/shard_threads.h"

#include <sched.h>

#include <cerrno>

#include "base/errno.h"

namespace orrery {

std::vector<unsigned> UsableCores() {
  cpu_set_t set;
  std::vector<unsigned> cores;
  // On a machine with more cores than the set has room for, it fails.
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  if (cores.empty()) cores.push_back(0);
  return cores;
}

std::expected<void, std::string> PinToCore(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return {};
  return std::unexpected("cannot pin a thread to core " + std::to_string(core) + ": " +
                         Errno(errno).ToString());
}

}  // namespace orrery

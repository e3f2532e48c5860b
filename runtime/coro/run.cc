#include "runtime/coro/run.h"

#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::coro {

int RunMain(std::string_view program, const std::function<Task<int>(IoContext&)>& main) {
  LinuxKernel kernel;
  const std::expected<std::unique_ptr<Ring>, std::string> ring = kernel.MakeRing({});
  if (!ring) {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(program.size()), program.data(),
                 ring.error().c_str());
    return 1;
  }
  IoContext io(**ring, kernel);
  return io.Run(main(io));
}

}  // namespace orrery::coro

#include "runtime/coro/run.h"

#include <cstdio>
#include <expected>
#include <memory>
#include <string>

#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::coro {

int RunMain(std::string_view program, const std::function<Task<int>(IoContext&)>& main) {
  const auto say = [program](std::string_view line) {
    std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(program.size()), program.data(),
                 static_cast<int>(line.size()), line.data());
  };
  LinuxKernel kernel;
  const std::expected<std::unique_ptr<Ring>, std::string> ring = kernel.MakeRing({});
  if (!ring) {
    say(ring.error());
    return 1;
  }
  IoContext io(**ring, kernel, {.operations = {}, .log = say});
  return io.Run(main(io));
}

}  // namespace orrery::coro

// libFuzzer's entry for the target server: see targets.h, and README.md for how it is run.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  orrery::fuzz::FuzzServer({bytes, size});
  return 0;
}

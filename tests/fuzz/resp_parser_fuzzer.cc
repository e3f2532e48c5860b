// libFuzzer's entry for the target resp_parser: see targets.h, and README.md for how it is run.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  orrery::fuzz::FuzzRespParser({bytes, size});
  return 0;
}

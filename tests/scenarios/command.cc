#include "tests/scenarios/command.h"

#include <algorithm>

#include "base/prng.h"

namespace orrery::scenarios {

std::string Bytes::Materialize() const {
  std::string bytes = text;
  bytes.reserve(size());
  const bool letters = fill_seed % 2 == 0;
  for (uint64_t index = 0; index < fill_bytes; index += 8) {
    uint64_t word = Combine(fill_seed, index);
    const uint64_t count = std::min<uint64_t>(8, fill_bytes - index);
    for (uint64_t byte = 0; byte < count; ++byte, word >>= 8) {
      const auto raw = static_cast<unsigned char>(word);
      bytes += static_cast<char>(letters ? 'a' + raw % 26 : raw);
    }
  }
  return bytes;
}

std::vector<std::string> Materialize(const Command& command) {
  std::vector<std::string> arguments;
  arguments.reserve(command.size());
  for (const Bytes& bytes : command)
    arguments.insert(arguments.end(), bytes.times, bytes.Materialize());
  return arguments;
}

}  // namespace orrery::scenarios

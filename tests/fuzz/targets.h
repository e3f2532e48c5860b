// What fuzzers feed: each takes any bytes, and ends the process when something is broken.
//
// libFuzzer calls them (*_fuzzer.cc, --config=fuzz), and corpus_test.cc runs the inputs that are
// kept in corpus/ in every build.
#pragma once

#include <cstdint>
#include <span>

namespace orrery::fuzz {

// A stream of a client: however it is cut, the same commands and the same error come out of it. The
// first byte says how it is cut, the others are the stream.
void FuzzRespParser(std::span<const uint8_t> bytes);

// The reactor and the server on the fake kernel: the first bytes are the configuration and the
// clients (see server_target.cc), each one after them is a choice. Writes the plan of a run that
// breaks a rule to fuzz-failure.jsonl in the current folder.
void FuzzServer(std::span<const uint8_t> bytes);

}  // namespace orrery::fuzz

#!/usr/bin/env bash
# tools/lint finds one planted breach of each kind, and only those.
set -euo pipefail

lint="$PWD/tools/lint"
root="$TEST_TMPDIR/tree"
mkdir -p "$root/runtime" "$root/server" "$root/tools"
failures=0

# expect PATH WANTED <<<TEXT: the rules that the file breaks are exactly WANTED.
expect() {
  local path="$1" wanted="$2" got
  cat >"$root/$path"
  got="$("$lint" --root="$root" "$path" | cut -d' ' -f2 | tr -d ':' | paste -sd' ' -)" || true
  if [[ "$got" != "$wanted" ]]; then
    echo "$path: wanted '$wanted', got '$got', for:"
    sed 's/^/    /' "$root/$path"
    failures=$((failures + 1))
  fi
}

expect runtime/a.cc "" <<<$'// Opens.\nint F() { return 0; }'
expect runtime/a.cc "opening" <<<$'int F() { return 0; }'
expect runtime/a.h "pragma-once" <<<$'// Opens.\nint F();'
expect runtime/a.cc "" <<<$'#include "runtime/a.h"\nint F() { return 0; }'
rm "$root/runtime/a.h"
expect runtime/a.cc "clock" <<<$'// Opens.\nauto t = std::chrono::steady_clock::now();'
expect runtime/a.cc "random" <<<$'// Opens.\nint r = rand();'
expect runtime/a.cc "random" <<<$'// Opens.\nstd::uniform_int_distribution<int> d;'
expect runtime/a.cc "environment" <<<$'// Opens.\nconst char* h = getenv("HOME");'
expect runtime/a.cc "hash" <<<$'// Opens.\nstd::unordered_map<int, int> m;'
expect runtime/a.cc "thread-local" <<<$'// Opens.\nthread_local int t;'
expect runtime/a.cc "exceptions" <<<$'// Opens.\nvoid F() { throw 1; }'
expect runtime/a_test.cc "" <<<$'// Opens.\nvoid F() { throw 1; }'
expect runtime/a.cc "rtti" <<<$'// Opens.\nauto* b = dynamic_cast<B*>(a);'
expect runtime/a.cc "shared-ptr" <<<$'// Opens.\nstd::shared_ptr<int> p;'
expect server/a.cc "" <<<$'// Opens.\nstd::shared_ptr<int> p;'
expect server/a.cc "simulated" <<<$'// Opens.\nif (IsSimulated()) return;'
expect server/a.cc "ring-waist" <<<$'// Opens.\nio_uring_submit(&ring);'
expect server/a.cc "" <<<$'// Opens.\nio_uring_prep_nop(sqe);\nio_uring_cq_advance(&ring, 1);'
expect server/a.cc "format" <<<$'// Opens.\n#include <format>'
expect server/a.cc "fixme" <<<$'// Opens.\n// FIX''ME: later'
# Outside the simulated folders the clock is free.
expect tools/a.cc "" <<<$'// Opens.\nauto t = std::chrono::steady_clock::now();'
# Comments and literals are text.
expect runtime/a.cc "" <<<$'// Opens: rand() and throw.\nconst char* s = "throw rand()"; char c = \'"\';\n/* getenv() */ int n = 1\'000;'
expect runtime/a.cc "random" <<<$'// Opens.\nint n = 1\'000; int r = rand(); char c = \'x\';'
expect runtime/a.cc "hash" <<<$'// Opens.\nauto s = R"(")"; std::hash<int> h; auto t = "";'
# Allowed with a reason, for that rule only.
expect runtime/a.cc "" <<<$'// Opens.\nthread_local int t;  // lint: allow(thread-local): the current shard'
expect runtime/a.cc "thread-local" <<<$'// Opens.\nthread_local int t;  // lint: allow(thread-local):'
expect runtime/a.cc "thread-local" <<<$'// Opens.\nthread_local int t;  // lint: allow(random): other'

if ((failures > 0)); then exit 1; fi

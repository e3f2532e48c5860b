#!/usr/bin/env bash
# Hands over to memory.py with the server that Bazel built; `bazel run //bench:memory -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/memory.py" ] || root="$0.runfiles/orrery"
export ORRERY_SERVER="$root/server/server"
exec python3 "$root/bench/memory.py" "$@"

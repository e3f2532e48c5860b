#!/usr/bin/env bash
# Hands over to large_values.py with the server that Bazel built; `bazel run //bench:large_values -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/large_values.py" ] || root="$0.runfiles/orrery"
export ORRERY_SERVER="$root/server/server"
exec python3 "$root/bench/large_values.py" "$@"

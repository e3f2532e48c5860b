#!/usr/bin/env bash
# Hands over to instructions.py with what Bazel built; `bazel run //bench:instructions -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/instructions.py" ] || root="$0.runfiles/orrery"
export ORRERY_INSTRUCTIONS_TARGET="$root/bench/instructions_target"
export ORRERY_SERVER="$root/server/server"
export ORRERY_GENERATOR="$root/bench/load/generator"
exec python3 "$root/bench/instructions.py" "$@"

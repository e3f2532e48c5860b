#!/usr/bin/env bash
# Hands over to simulation.py with the programs that Bazel built; `bazel run //bench:simulation -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/simulation.py" ] || root="$0.runfiles/orrery"
export ORRERY_SIMULATION="$root/bench/simulation_bench"
export ORRERY_SERVER="$root/server/server"
export ORRERY_GENERATOR="$root/bench/load/generator"
exec python3 "$root/bench/simulation.py" "$@"

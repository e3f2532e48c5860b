#!/usr/bin/env bash
# Hands over to compare.py or curves.py, as it is called, with the programs that Bazel built; `bazel run //bench:compare
# -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/load/compare.py" ] || root="$0.runfiles/orrery"
export ORRERY_SERVER="$root/server/server"
export ORRERY_FLOOR="$root/bench/load/floor"
export ORRERY_GENERATOR="$root/bench/load/generator"
export PYTHONPATH="$root/bench"
exec python3 "$root/bench/load/$(basename "$0").py" "$@"

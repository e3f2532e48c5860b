#!/usr/bin/env bash
# Hands over to device.py with the program that Bazel built; `bazel run //bench:device -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/device.py" ] || root="$0.runfiles/orrery"
export ORRERY_DEVICE_BENCH="$root/bench/device_bench"
exec python3 "$root/bench/device.py" "$@"

#!/usr/bin/env bash
# Hands over to echo.py with the servers that Bazel built; `bazel run //bench:echo -- --help` explains.
root="$PWD" # bazel run starts it among its data
[ -f "$root/bench/echo.py" ] || root="$0.runfiles/orrery"
export ORRERY_EXAMPLES="$root/examples"
exec python3 "$root/bench/echo.py" "$@"

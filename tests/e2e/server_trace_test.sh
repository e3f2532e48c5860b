#!/usr/bin/env bash
# What would break: the model cannot explain what Linux does for the server under real clients, or a recorded server does
# not serve.

server_program=tools/record
. "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/library.sh"
readonly accept="$TEST_SRCDIR/$TEST_WORKSPACE/tools/accept_trace"
readonly trace="$TEST_TMPDIR/server.trace"

command -v redis-benchmark >/dev/null || fail "redis-benchmark is not installed (Debian package redis-tools)"

# explain NAME OPTION...: redis-benchmark with these options against a recorded server, and the trace accepted in full.
explain() {
  local name="$1"
  shift
  start_server --trace "$trace"
  timeout 120 redis-benchmark -h 127.0.0.1 -p "$port" --csv -t set,get -c 50 "$@" >"$TEST_TMPDIR/benchmark" 2>&1 ||
    fail "$name: exit status $?: $(cat "$TEST_TMPDIR/benchmark")"
  expect "$name: tests that ran" 2 "$(grep -c '^"[SG]ET"' "$TEST_TMPDIR/benchmark")"
  stop_server
  "$accept" --trace="$trace" >"$TEST_TMPDIR/verdict" || fail "$name: $(cat "$TEST_TMPDIR/verdict")"
  echo "$name: $(stat -c %s "$trace") bytes of trace"
  sed 's/^/  /' "$TEST_TMPDIR/verdict"
  # Not an empty trace: sixteen requests come in one receive at best, and leave in one send.
  local completions
  completions=$(sed -n 's/^completions explained //p' "$TEST_TMPDIR/verdict")
  [ "$completions" -gt 10000 ] || fail "$name: only $completions completions"
  expect "$name: connections" 101 "$(sed -n 's/^connections *//p' "$TEST_TMPDIR/verdict")"
}

explain "50 connections, 100 000 requests" -n 50000
explain "50 connections, 200 000 requests, pipelines of 16" -n 100000 -P 16

# What is not whole is not accepted.
truncate -s -1 "$trace"
"$accept" --trace="$trace" 2>"$TEST_TMPDIR/verdict"
expect "exit status for a trace that was cut off" 2 "$?"
expect "a trace that was cut off" 1 "$(grep -c 'broken end\|cut off' "$TEST_TMPDIR/verdict")"
echo "traces: all as it should be"

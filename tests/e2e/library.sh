# Shared by the tests of this folder: starts the server on a free port and stops it by its pid.
# $server_program, if it is set before, is started instead of //server; it takes the same options.
# Source it; then `start_server [OPTION ...]` sets $pid and $port, and leaves what the server prints in $log.

set -u
readonly server="$TEST_SRCDIR/$TEST_WORKSPACE/${server_program:-server/server}"
readonly log="$TEST_TMPDIR/server.log"
pid=""

fail() {
  echo "FAILED: $*"
  [ -s "$log" ] && sed 's/^/  server: /' "$log"
  exit 1
}

# expect NAME EXPECTED ACTUAL
expect() {
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

start_server() {
  : >"$log"  # Not the port of the one before.
  "$server" --port 0 "$@" >"$log" 2>&1 &
  pid=$!
  for _ in $(seq 200); do
    port=$(sed -n 's/.*listening on .*:\([0-9]*\),.*/\1/p' "$log")
    [ -n "$port" ] && return
    kill -0 "$pid" 2>/dev/null || fail "the server did not start"
    sleep 0.02
  done
  fail "the server did not say where it listens within 4 s"
}

# Stops the server as a person does, and checks that it ends well.
stop_server() {
  kill -TERM "$pid"
  wait "$pid"
  local status=$?
  pid=""
  expect "exit status after SIGTERM" 0 "$status"
}

cli() { timeout 20 redis-cli -h 127.0.0.1 -p "$port" "$@"; }

# benchmark NAME OPTION...: runs redis-benchmark; no error, and a line for each test.
benchmark() {
  local name="$1"
  shift
  timeout 120 redis-benchmark -h 127.0.0.1 -p "$port" --csv "$@" >"$TEST_TMPDIR/benchmark" 2>&1 ||
    fail "$name: exit status $?: $(cat "$TEST_TMPDIR/benchmark")"
  grep -qi "error" "$TEST_TMPDIR/benchmark" && fail "$name: $(cat "$TEST_TMPDIR/benchmark")"
  echo "$name: $(grep -c '^"[A-Z]' "$TEST_TMPDIR/benchmark") tests ran"
}

cleanup() {
  [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
}
trap cleanup EXIT

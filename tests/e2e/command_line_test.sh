#!/usr/bin/env bash
# What would break: a person who starts the server wrongly gets something else than one clear line and exit code 1.

. "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/library.sh"

# refused NAME PATTERN OPTION...: the server must refuse, in one line that matches.
refused() {
  local name="$1" pattern="$2"
  shift 2
  timeout 10 "$server" "$@" >"$log" 2>&1
  expect "$name: exit status" 1 $?
  expect "$name: lines" 1 "$(wc -l <"$log")"
  grep -qE -- "$pattern" "$log" || fail "$name: no line matches '$pattern'"
}

"$server" --help >"$log" || fail "--help"
grep -q -- "--port" "$log" || fail "--help does not name --port"
grep -q "memory only" "$log" || fail "--help does not say that data lives in memory only"

refused "unknown option" "--no-such-option" --no-such-option
refused "unreadable number" "port" --port many
refused "port out of range" "port" --port 70000
refused "not an address" "not-an-address" --port 0 --bind not-an-address
refused "not a power of two" "power of two" --port 0 --buffers 3
refused "queues the wrong way round" "cq-entries" --port 0 --sq-entries 64 --cq-entries 32

refused "more memory than there can be" "buffer-bytes" --port 0 --buffers 32768 --buffer-bytes 16777216

start_server
first_port="$port"
cp "$log" "$TEST_TMPDIR/first.log"
refused "port in use" "in use.*:$first_port" --port "$first_port"
cp "$TEST_TMPDIR/first.log" "$log"
grep -q "io_uring, Linux" "$log" || fail "the start-up line does not name the ring"
stop_server

start_server
kill -INT "$pid"
wait "$pid"
status=$?
pid=""
expect "exit status after SIGINT" 0 "$status"

# Who started it reads one line and leaves; and several signals are one wish.
: >"$log"
"$server" --port 0 > >(head -n 1 >"$log") &
pid=$!
for _ in $(seq 200); do
  grep -q "listening on" "$log" && break
  sleep 0.02
done
kill -TERM "$pid"
kill -TERM "$pid" 2>/dev/null
kill -INT "$pid" 2>/dev/null
wait "$pid"
status=$?
pid=""
expect "exit status when nobody reads what is printed" 0 "$status"
echo "command line: all as it should be"

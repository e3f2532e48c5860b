#!/usr/bin/env bash
# What would break: redis-cli and redis-benchmark, as their users know them, do not work against the server.

. "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/library.sh"

for tool in redis-cli redis-benchmark; do
  command -v "$tool" >/dev/null || fail "$tool is not installed (Debian package redis-tools; ./bazelw installs it)"
done


start_server
expect "PING" "PONG" "$(cli PING)"
expect "SET" "OK" "$(cli SET greeting hello)"
expect "GET" "hello" "$(cli GET greeting)"
expect "INFO's process_id" "$pid" "$(cli INFO server | tr -d '\r' | sed -n 's/^process_id://p')"
expect "GET of nothing" "" "$(cli GET nothing)"
expect "INCR" "2" "$(cli INCR counter >/dev/null; cli INCR counter)"
expect "unknown command" "ERR unknown command 'NOSUCH', with args beginning with: 'x' " "$(cli NOSUCH x 2>&1)"
expect "RESP3" "hello" "$(cli -3 GET greeting)"
expect "MGET" '1) "hello" 2) (nil)' "$(cli --no-raw MGET greeting nothing | paste -sd' ')"

# A value with every byte in it, and one that goes out by reference.
printf '%b' "$(printf '\\x%02x' $(seq 0 255))" >"$TEST_TMPDIR/bytes"
cli -x SET bytes <"$TEST_TMPDIR/bytes" >/dev/null
cli --raw GET bytes | head -c 256 | cmp - "$TEST_TMPDIR/bytes" || fail "binary value"
head -c 3000000 /dev/urandom >"$TEST_TMPDIR/large"
cli -x SET large <"$TEST_TMPDIR/large" >/dev/null
cli --raw GET large | head -c 3000000 | cmp - "$TEST_TMPDIR/large" || fail "large value"

# The protocol error reaches a client whose input nobody has read: reply first, then the end of the stream.
exec 3<>"/dev/tcp/127.0.0.1/$port"
{ printf '*1\r\n$x\r\n'; head -c 300000 /dev/zero; } >&3
reply=$(timeout 10 cat <&3 | tr -d '\r')
exec 3>&-
expect "protocol error" "-ERR Protocol error: invalid bulk length" "$reply"

benchmark "pipeline 16" -t set,get -c 50 -P 16 -n 200000 -r 10000
benchmark "pipeline 1" -t ping,set,get,incr,mset -c 50 -n 20000 -r 1000
benchmark "large values" -t set,get -c 20 -n 2000 -d 100000
benchmark "many clients" -t get -c 500 -n 20000

# Clients that are connected when the server stops still get what they asked for.
expect "after the load" "PONG" "$(cli PING)"
stop_server

# Many more than are allowed, all at once: each is told so.
start_server --maxclients 10 --shards 1  # The first ten are let in.
clients=()
for _ in $(seq 200); do
  exec {client}<>"/dev/tcp/127.0.0.1/$port"
  clients+=("$client")
done
refused=0
for client in "${clients[@]:10}"; do
  read -r -t 10 reply <&"$client"
  [ "$reply" = $'-ERR max number of clients reached\r' ] && refused=$((refused + 1))
done
expect "refused with an error" 190 "$refused"
for client in "${clients[@]}"; do exec {client}>&-; done
expect "when they have left" "PONG" "$(cli PING)"
stop_server
echo "clients: all as it should be"

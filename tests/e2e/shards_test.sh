#!/usr/bin/env bash
# What would break: with several shards on real threads a client loses a command, meets an error, or the server does not
# stop; the UNIX socket is not served.

. "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/library.sh"

for tool in redis-cli redis-benchmark; do
  command -v "$tool" >/dev/null || fail "$tool is not installed (Debian package redis-tools; ./bazelw installs it)"
done


# As short as it can be: the path of a UNIX socket has 107 bytes at most.
socket=$(mktemp -u /tmp/orreryXXXXXX)
start_server --shards=2 --pin --unixsocket="$socket"
grep -q "2 shards pinned" "$log" || fail "it does not say how many shards it has"

# Keys of both shards, from clients of both: the kernel deals connections out.
for i in $(seq 20); do
  expect "SET" "OK" "$(cli SET "key:$i" "value $i")"
done
for i in $(seq 20); do
  expect "GET" "value $i" "$(cli GET "key:$i")"
done
expect "DBSIZE" "20" "$(cli DBSIZE)"
expect "KEYS" "20" "$(cli KEYS 'key:*' | wc -l)"
expect "SCAN" "20" "$(cli --scan --pattern 'key:*' | sort -u | wc -l)"
expect "INFO" "db0:keys=20,expires=0,avg_ttl=0" "$(cli INFO keyspace | tr -d '\r' | grep db0)"
expect "CONFIG SET" "OK" "$(cli CONFIG SET maxclients 1234)"
for _ in $(seq 4); do
  expect "CONFIG GET" "1234" "$(cli CONFIG GET maxclients | tail -1)"
done
expect "FLUSHALL" "OK" "$(cli FLUSHALL)"
expect "DBSIZE of nothing" "0" "$(cli DBSIZE)"

# A value that crosses by reference, both ways.
head -c 3000000 /dev/urandom >"$TEST_TMPDIR/large"
for key in a b c d; do
  cli -x SET "$key" <"$TEST_TMPDIR/large" >/dev/null
  cli --raw GET "$key" | head -c 3000000 | cmp - "$TEST_TMPDIR/large" || fail "large value under $key"
done

# A pipeline of one client, in order.
for i in $(seq 3000); do echo "INCR counter:$((i % 7))"; done | cli >"$TEST_TMPDIR/replies"
for i in $(seq 3000); do echo "$(((i - 1) / 7 + 1))"; done >"$TEST_TMPDIR/expected"
sort -n "$TEST_TMPDIR/expected" | cmp - <(sort -n "$TEST_TMPDIR/replies") || fail "increments are lost or done twice"

benchmark "pipeline 16" --threads 2 -t set,get -c 50 -P 16 -n 100000 -r 10000
benchmark "pipeline 1" --threads 2 -t ping,set,get,incr -c 50 -n 10000 -r 1000
benchmark "large values" --threads 2 -t set,get -c 20 -n 1000 -d 100000 -r 100
benchmark "many clients" --threads 2 -t get -c 300 -n 10000 -r 1000

for _ in 1 2 3; do
  expect "the UNIX socket" "PONG" "$(timeout 20 redis-cli -s "$socket" PING)"
done
stop_server
[ -e "$socket" ] && fail "the socket's file is still there"

# Who comes by the UNIX socket is not from another machine.
start_server --shards=1 --bind 0.0.0.0 --unixsocket="$socket"
expect "the UNIX socket in protected mode" "PONG" "$(timeout 20 redis-cli -s "$socket" PING)"
stop_server

# Stopped in the middle of a load, it ends as well.
start_server --shards=3
timeout 60 redis-benchmark -h 127.0.0.1 -p "$port" -t set -c 50 -P 32 -n 100000000 -r 100000 -q >/dev/null 2>&1 &
load=$!
sleep 0.5
stop_server
wait "$load"

# One shard accepts for all: each serves half of the clients, and looks before it sleeps.
start_server --shards=2 --one-acceptor --spin=20
for i in $(seq 10); do
  expect "SET" "OK" "$(cli SET "key:$i" "value $i")"
done
expect "DBSIZE" "10" "$(cli DBSIZE)"
expect "CONFIG SET" "OK" "$(cli CONFIG SET tcp-keepalive 60)"
benchmark "one acceptor" --threads 2 -t set,get -c 50 -P 16 -n 20000 -r 10000
stop_server
echo "shards: all as it should be"

#!/usr/bin/env bash
# What would break: a soak would not end when it is told to, would not say what it has done, or a wrong use would pass
# for a soak without failures.
set -euo pipefail
. "$TEST_SRCDIR/$TEST_WORKSPACE/tools/test_library.sh"

soak="$1"

expect_code 0 "$soak" --help
grep -q -- '--minutes' "$directory/out" || fail "--help says too little"

expect_code 0 "$soak" --scenario=server --first-seed=0 --seeds=20 --jobs=2 --failures="$directory/failures"
grep -q ': 20 seeds, .* 0 failures of 0 kinds' "$directory/out" || fail "no last line: $(cat "$directory/out")"
[[ ! -e "$directory/failures" ]] || fail "a folder of failures without any"

expect_code 0 "$soak" --scenario=server --first-seed=0x10 --seeds=3 --json
grep -q '"seeds":3,' "$directory/out" || fail "no JSON: $(cat "$directory/out")"
grep -q '"first_seed":"0x10"' "$directory/out" || fail "no first seed: $(cat "$directory/out")"

# Ctrl-C.
"$soak" --first-seed=0 --jobs=1 >"$directory/out" 2>"$directory/stopped" &
process=$!
until grep -qs 'Ctrl-C stops' "$directory/stopped"; do
  kill -0 "$process" || fail "it has ended by itself: $(cat "$directory/stopped")"
  sleep 0.05
done
kill -TERM "$process"
code=0
wait "$process" || code=$?
[[ "$code" == 0 ]] || fail "exit code $code after Ctrl-C"
grep -q 'seeds, .* 0 failures' "$directory/out" || fail "no last line after Ctrl-C"

expect_code 2 "$soak" --scenario=nosuch
expect_code 2 "$soak" --first-seed=x
expect_code 2 "$soak" --nosuch
echo PASS

#!/usr/bin/env bash
# What would break: --step would not find the failure, would tell another event on the way back than on the way forth, or
# would hang or die where a pipe drives it.
set -euo pipefail
. "$TEST_SRCDIR/$TEST_WORKSPACE/tools/test_library.sh"

replay="$1"
plan="$2"

# step COMMANDS: one a line, on a pipe; what is said goes to out.
step() {
  printf '%s' "$1" >"$directory/commands"
  expect_code 0 "$replay" --plan="$plan" --step <"$directory/commands"
}
expect() { grep -q -- "$1" "$directory/out" || fail "no line has '$1': $(cat "$directory/out")"; }
# The events that were shown, by their numbers.
shown() { grep -o '^#[0-9]*' "$directory/out" | tr '\n' ' '; }

step ''
expect 'violated: reply-mismatch'
expect '<- violated: reply-mismatch'
expect 'conn 6'
expect 'client     has sent'
expect 'in flight  receive'
expect 'ring 0     .* requests in flight, .* buffers with the kernel'
failing="$(shown)"

# Forwards and backwards: the same events, told in the same words.
step $'g 100\nn\np\np 2\nn 2\nq\nn\n'
[[ "$(shown)" == "$failing#100 #101 #100 #98 #100 " ]] || fail "walked along $(shown)"
step $'g 100\n'
sed -n '/^#100 /,$p' "$directory/out" >"$directory/once"
step $'g 102\np 2\n'
sed -n '/^#100 /,$p' "$directory/out" | diff "$directory/once" - || fail "event 100 is told differently on the way back"

# To a fault and to an SQE and its CQE.
step $'g start\nx\n'
expect 'fault '
expect 'fault: .*(k = '
step $'g start\n/ receive 0.0 recv\nj\nj\n'
expect 'SQE: opcode recv;'
expect 'of the SQE #'
[[ "$(shown | awk '{print $3 == $5}')" == 1 ]] || fail "j and j is not where it began: $(shown)"

# One connection, its bytes, and lines before.
step $'c 4\ng start\n/ peer-send\nb\nl 3\n'
expect ' bytes: .\*3\\r\\n'
[[ "$(shown | wc -w)" == 7 ]] || fail "l 3 did not print three lines: $(shown)"

# What cannot be done is said, and is no end.
step $'g 999999\nc 999\nz\nn x\nh\n'
expect 'events go from 1 to '
expect 'there is no such connection'
expect 'there is no command z'
expect 'a count of events'
expect 'jump from a CQE'

expect_code 2 "$replay" --plan="$plan" --step --json </dev/null
echo PASS

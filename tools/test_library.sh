# shellcheck shell=bash
# For tests of the tools, sourced by them: how a program ends, and what it said.

set -euo pipefail

# What the last command printed is in $directory/out and $directory/err.
# shellcheck disable=SC2034  # Used by those who source this.
directory="$TEST_TMPDIR"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect_code CODE COMMAND...
expect_code() {
  local want="$1" code=0
  shift
  "$@" >"$directory/out" 2>"$directory/err" || code=$?
  [[ "$code" == "$want" ]] || fail "exit code $code instead of $want: $* ($(cat "$directory/err"))"
}

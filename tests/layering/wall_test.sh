#!/usr/bin/env bash
# Breaks when a target depends, at any distance, on a folder that the design forbids it.
# wall_test.sh DEPS_FILE TARGET 'MAY_REACH...' 'MUST_REACH...': see walls.bzl.
set -euo pipefail

deps="$1"
target="$2"
read -ra may_reach <<<"$3"
read -ra must_reach <<<"$4"

allowed() {
  local package="$1" pattern
  for pattern in "${may_reach[@]}"; do
    case "$pattern" in
      */...) if [[ "$package/" == "${pattern%...}"* ]]; then return 0; fi ;;
      *) if [[ "$package" == "$pattern" ]]; then return 0; fi ;;
    esac
  done
  return 1
}

status=0
while IFS= read -r label; do
  # Labels that start with @ are of the system's libraries.
  if [[ "$label" == //* ]] && ! allowed "${label%%:*}"; then
    echo "$target must not depend on $label. The way there:"
    echo "  bazel query 'somepath($target, $label)'"
    status=1
  fi
done <"$deps"
for label in "${must_reach[@]}"; do
  if ! grep -qxF "$label" "$deps"; then
    echo "$target was expected to depend on $label; is the wall's question out of date?"
    status=1
  fi
done
exit "$status"

#!/usr/bin/env bash
# What would break: a patch that does not apply any more measures nothing.
set -u
root="$TEST_SRCDIR/$TEST_WORKSPACE"
copy="$TEST_TMPDIR/tree"
failed=0
count=0
folder="${1:-tests/mutants}"
for patch in "$root/$folder"/*.patch; do
  count=$((count + 1))
  rm -rf "$copy" && mkdir -p "$copy"
  grep -q '^# [A-Z][0-9]*: ' "$patch" || { echo "$(basename "$patch"): its first line does not name its mechanism"; failed=1; }
  for file in $(sed -n 's/^+++ b\///p' "$patch" | cut -f1); do
    mkdir -p "$copy/$(dirname "$file")"
    cp -L "$root/$file" "$copy/$file"
  done
  (cd "$copy" && patch -p1 --forward --fuzz=0 -s <"$patch") || { echo "$(basename "$patch") does not apply"; failed=1; }
done
[ "$count" -gt 0 ] || { echo "no patch found"; failed=1; }
[ "$failed" = 0 ] && echo "all $count patches apply"
exit "$failed"

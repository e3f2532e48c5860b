#!/usr/bin/env bash
# What would break: a wake-up could be lost although every interleaving that the tests run is right. spin(1) searches all
# states of waker.pml, and must find each mistake that is planted in it.
set -u
model="$TEST_SRCDIR/$TEST_WORKSPACE/tests/interleaving/waker.pml"
cd "$TEST_TMPDIR" || exit 1
if ! command -v spin >/dev/null; then
  echo "skipped: spin is not installed (tools/build/packages.txt)"
  exit 0
fi

# search BUG: prints spin's last words; status 0 when it found no error.
search() {
  rm -f pan pan.* ./*.trail
  spin -a -DBUG="$1" "$model" >spin.txt || { cat spin.txt; exit 1; }
  gcc -O2 -DSAFETY -o pan pan.c 2>gcc.txt || { cat gcc.txt; exit 1; }
  ./pan -m100000 >pan.txt || { cat pan.txt; exit 1; }
  if grep -q "max search depth too small" pan.txt; then cat pan.txt; exit 1; fi
  grep -q "errors: 0" pan.txt
}

if ! search 0; then cat pan.txt; echo "the waker loses a wake-up"; exit 1; fi
grep -E "errors:|states, stored|transitions" pan.txt
for bug in 1 2 3 4; do
  if search "$bug"; then echo "planted mistake $bug was not found"; exit 1; fi
  echo "planted mistake $bug: $(grep -m1 -E "^pan:" pan.txt)"
done

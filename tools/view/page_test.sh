#!/usr/bin/env bash
# What would break: the page of a failing run does not open in a browser, or does not lead to the failure; see page_test.py.
set -euo pipefail

replay="$1"
plan="$2"

for program in chromium chromedriver; do
  command -v "$program" >/dev/null && continue
  echo "SKIPPED: $program is not installed (tools/build/install_packages test)"
  exit 0
done
if ! /usr/bin/python3 -c "import selenium" 2>/dev/null; then
  echo "SKIPPED: python3-selenium is not installed (tools/build/install_packages test)"
  exit 0
fi

"$replay" --plan="$plan" --html="$TEST_TMPDIR/page.html" >"$TEST_TMPDIR/out" 2>&1 || {
  echo "FAILED: replay --html" && cat "$TEST_TMPDIR/out"
  exit 1
}
HOME="$TEST_TMPDIR" exec /usr/bin/python3 "$TEST_SRCDIR/$TEST_WORKSPACE/tools/view/page_test.py" "$TEST_TMPDIR/page.html"

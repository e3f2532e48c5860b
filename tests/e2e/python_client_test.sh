#!/usr/bin/env bash
# What would break: the distribution's Python client does not work against the server; see python_client_test.py.

. "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/library.sh"

/usr/bin/python3 -c "import redis" 2>/dev/null ||
  fail "the module redis is not installed (Debian package python3-redis; ./bazelw installs it)"
start_server
ORRERY_PORT="$port" /usr/bin/python3 "$TEST_SRCDIR/$TEST_WORKSPACE/tests/e2e/python_client_test.py" || fail "see above"
stop_server

#!/usr/bin/env python3
"""Measures large values: orrery-server in several configurations side by side with redis-server, in one run.

For GET and SET of each size: requests per second as redis-benchmark reports them, and server CPU microseconds per
request. All servers run at once and take turns, round by round; each ratio is the median of the ratios to redis-server
in the same round.

    bazel run --config=bench //bench:large_values
    bazel run --config=bench //bench:large_values -- --rounds=5 --sizes=65536

Everything runs on 127.0.0.1, on ports that the system picks, for a bounded number of requests.
"""

import argparse
import os
import statistics
import sys

from servers import Server, load

CONFIGURATIONS = {
    "copying": ["--zero-copy-from", "0", "--in-place-from", "0"],
    "in place": ["--zero-copy-from", "0"],
    "and zero copy": ["--zero-copy-from", "4096"],
    "fixed files": ["--zero-copy-from", "0", "--fixed-files", "1000"],
}
REQUESTS_MIN = 60
# What redis-benchmark says of few requests on a quiet machine may be "inf".
RATE_MAX = 100_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("ORRERY_SERVER"), metavar="PATH",
                        help="orrery-server's binary (bazel run sets it)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every cell (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="aim for this long a run (%(default)s)")
    parser.add_argument("--sizes", default="4096,65536,1048576,8388608", help="bytes a value (%(default)s)")
    parser.add_argument("--clients", type=int, default=10, help="connections (%(default)s)")
    parser.add_argument("--keys", type=int, default=16, help="different keys (%(default)s)")
    options = parser.parse_args()
    if not options.server:
        parser.error("say --server=PATH, or start it by `bazel run //bench:large_values`")

    cores = sorted(os.sched_getaffinity(0))
    pin = len(cores) >= 2
    if pin:
        os.sched_setaffinity(0, set(cores[1:]))
    binary = os.path.abspath(options.server)
    commands = {"redis": ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]}
    commands |= {name: [binary, "--port", "{port}", "--shards", "1", *arguments] for name, arguments in CONFIGURATIONS.items()}
    servers = []
    print(f"{options.clients} connections, {options.keys} keys, {options.rounds} rounds, medians; "
          f"servers on {'a core of their own' if pin else 'any core'}")
    print(f"{'':14}{'':12}" + "".join(f"{name:>18}" for name in commands)
          + "".join(f"{name + ' / redis':>23}" for name in CONFIGURATIONS))
    try:
        for name, command in commands.items():
            servers.append(Server(name, command, cores[0] if pin else None))
        for size in (int(part) for part in options.sizes.split(",")):
            for test in ("set", "get"):
                measure(servers, test, size, options)
    finally:
        for server in servers:
            server.stop()


def measure(servers, test, size, options):
    def run(server, requests):
        return load(server, test, 1, requests, options.clients, options.keys, size)

    # A short run finds how many requests fill the wanted time; it warms up as well.
    rate, _ = run(servers[0], REQUESTS_MIN)
    requests = max(REQUESTS_MIN, int(min(RATE_MAX, rate) * options.seconds))
    rounds = [[run(server, requests) for server in servers] for _ in range(options.rounds)]
    for figure, unit in enumerate(("req/s", "CPU us/req")):
        values = [[result[figure] for result in results] for results in rounds]
        line = f"{test.upper()} {size:<10}{unit:>12}"
        line += "".join(f"{statistics.median(column):18.1f}" for column in zip(*values))
        ratios = ([ours / row[0] if row[0] > 0 else float("nan") for ours in row[1:]] for row in values)
        line += "".join(f"{statistics.median(column):23.2f}" for column in zip(*ratios))
        print(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures examples/echo (tasks) and examples/reactor_echo side by side with an echo server on Boost.Asio's epoll
reactor, in one run.

For each number of connections: requests per second as redis-benchmark reports them (an echoed PING is a reply to it), and
server CPU microseconds per request. The servers take turns, round by round; medians over the rounds, with min and max;
the ratio is the median of the ratios of each round.

    bazel run --config=bench //bench:echo
    bazel run --config=bench //bench:echo -- --rounds=5 --seconds=2

The Asio server is compiled here, by g++ -O3 (Debian: libboost-dev). Everything runs on 127.0.0.1.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile

from servers import Server

FIRST_REQUESTS = 5000  # Of the run that tells how many make a run of the length asked for.


def cpu_seconds(server):
    # In nanoseconds where utime and stime count hundredths of seconds; of the one thread that these servers have.
    with open(f"/proc/{server.process.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def load(server, connections, requests):
    """One run of redis-benchmark: (requests per second, CPU microseconds per request)."""
    before = cpu_seconds(server)
    result = subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", "ping_mbulk", "-c",
                             str(connections), "-n", str(requests), "--csv"],
                            capture_output=True, text=True, timeout=300, check=False)
    cpu = cpu_seconds(server) - before
    if result.returncode != 0:
        raise SystemExit(f"echo: redis-benchmark failed against {server.name}:\n{result.stdout}{result.stderr}")
    row = result.stdout.strip().splitlines()[-1].split(",")
    return float(row[1].strip('"')), cpu / requests * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", default=os.environ.get("ORRERY_EXAMPLES"), metavar="FOLDER",
                        help="where echo and reactor_echo are (bazel run sets it)")
    parser.add_argument("--asio-source", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "asio_echo.cc"))
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every cell (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="aim for this long a run (%(default)s)")
    parser.add_argument("--connections", default="1,50,1000", help="numbers of connections (%(default)s)")
    options = parser.parse_args()
    if not options.examples:
        parser.error("say --examples=FOLDER, or start it by `bazel run //bench:echo`")
    if shutil.which("redis-benchmark") is None:
        parser.error("redis-benchmark is not installed (Debian: redis-tools)")

    cores = sorted(os.sched_getaffinity(0))
    server_cpu = cores[0] if len(cores) >= 2 else None
    with tempfile.TemporaryDirectory(prefix="orrery-bench-") as folder:
        asio = os.path.join(folder, "asio_echo")
        built = subprocess.run(["g++", "-std=c++17", "-O3", "-DNDEBUG", options.asio_source, "-o", asio, "-pthread"], check=False)
        if built.returncode != 0:
            raise SystemExit("echo: the Asio server does not compile (Debian: libboost-dev)")
        if server_cpu is not None:
            os.sched_setaffinity(0, set(cores[1:]))
        commands = {
            "asio": [asio, "{port}"],
            "tasks": [os.path.join(options.examples, "echo"), "{port}"],
            "reactor": [os.path.join(options.examples, "reactor_echo"), "{port}"],
        }
        servers = {name: Server(name, command, server_cpu, question=b"PING\r\n", answer=b"PING\r\n") for name, command in commands.items()}
        try:
            print(f"{options.rounds} rounds, medians [min, max]; server on a core of its own")
            print(f"{'':26}" + "".join(f"{name:>28}" for name in servers) + f"{'tasks / asio':>14}{'reactor / asio':>16}")
            for connections in (int(text) for text in options.connections.split(",")):
                measure(servers, connections, options)
        finally:
            for server in servers.values():
                server.stop()


def measure(servers, connections, options):
    rate = min(load(server, connections, FIRST_REQUESTS)[0] for server in servers.values())
    requests = max(FIRST_REQUESTS, int(rate * options.seconds))
    cells = {name: ([], []) for name in servers}
    for _ in range(options.rounds):
        for name, server in servers.items():
            for values, value in zip(cells[name], load(server, connections, requests)):
                values.append(value)
    for index, (unit, scale) in enumerate((("k req/s", 1000), ("CPU us/req", 1))):
        line = f"{connections:5} connections {unit:>10}"
        for name in servers:
            values = [value / scale for value in cells[name][index]]
            line += f"{statistics.median(values):10.3f} [{min(values):7.3f},{max(values):7.3f}]"
        for name, width in (("tasks", 14), ("reactor", 16)):
            ratios = [ours / theirs for ours, theirs in zip(cells[name][index], cells["asio"][index])]
            line += f"{statistics.median(ratios):{width}.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()

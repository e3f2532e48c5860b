#!/usr/bin/env python3
"""Measures orrery-server side by side with redis-server, in one run.

For SET and GET at each pipeline depth: requests per second as redis-benchmark reports them, and server CPU
microseconds per request (user plus system time of the server's process over the requests served). The servers take
turns, round by round, so that a slow minute of the machine hits both. Medians over the rounds, with min and max; the
ratio is the median of the ratios of each round.

    bazel run -c opt --config=bench //bench:compare
    bazel run -c opt --config=bench //bench:compare -- --rounds=5 --json=/tmp/compare.json

Everything runs on 127.0.0.1, on ports that the system picks, for a bounded number of requests.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 10.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server; `command` is a list with {port} where its port goes, `answer` what it says to PING."""

    def __init__(self, name, command, cpu, answer=b"+PONG\r\n"):
        self.name = name
        self.answer = answer
        self.port = free_port()
        self.scratch = tempfile.TemporaryDirectory(prefix="orrery-bench-")
        self.process = subprocess.Popen(
            [part.format(port=self.port) for part in command],
            cwd=self.scratch.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})
        self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                message = self.process.stderr.read().decode(errors="replace").strip()
                raise SystemExit(f"compare: {self.name} did not start: {message}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(len(self.answer)) == self.answer:
                        return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise SystemExit(f"compare: {self.name} did not answer within {START_SECONDS_MAX:.0f} s")

    def cpu_seconds(self):
        # The fields after the command's closing parenthesis; utime and stime are the 14th and 15th of all.
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stderr.close()
        self.scratch.cleanup()


def load(server, test, pipeline, requests, clients, keys, value_bytes):
    """One run of redis-benchmark: (requests per second, CPU microseconds per request)."""
    before = server.cpu_seconds()
    result = subprocess.run(
        [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", test, "-P", str(pipeline),
            "-n", str(requests), "-c", str(clients), "-r", str(keys), "-d", str(value_bytes), "--csv",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    cpu = server.cpu_seconds() - before
    if result.returncode != 0 or "rror" in result.stdout + result.stderr:
        raise SystemExit(f"compare: redis-benchmark failed against {server.name}:\n{result.stdout}{result.stderr}")
    # "SET","123456.78",...
    row = result.stdout.strip().splitlines()[-1].split(",")
    return float(row[1].strip('"')), cpu / requests * 1e6


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("ORRERY_SERVER"), metavar="PATH",
                        help="orrery-server's binary (bazel run sets it)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every cell (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="aim for this long a run (%(default)s)")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths (%(default)s)")
    parser.add_argument("--clients", type=int, default=50, help="connections (%(default)s)")
    parser.add_argument("--keys", type=int, default=100000, help="different keys (%(default)s)")
    parser.add_argument("--value-bytes", type=int, default=3, help="bytes a value (%(default)s)")
    parser.add_argument("--no-pin", action="store_true", help="do not give servers and generator a core each")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()

    if not options.server:
        parser.error("say --server=PATH, or start it by `bazel run //bench:compare`")
    for tool in ("redis-server", "redis-benchmark"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is not installed (Debian: redis-server, redis-tools)")

    cores = sorted(os.sched_getaffinity(0))
    pin = not options.no_pin and len(cores) >= 2
    server_cpu = cores[0] if pin else None
    if pin:
        os.sched_setaffinity(0, set(cores[1:]))
    commands = {
        "orrery": [os.path.abspath(options.server), "--port", "{port}"],
        "redis": ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    }
    servers = []
    figures = {}
    try:
        for name, command in commands.items():
            servers.append(Server(name, command, server_cpu))
        pipelines = [int(part) for part in options.pipelines.split(",")]
        cells = [(test, pipeline) for pipeline in pipelines for test in ("set", "get")]
        for cell in cells:
            test, pipeline = cell
            # A short run finds how many requests fill the wanted time; it warms up as well.
            rate, _ = load(servers[0], test, pipeline, 50000, options.clients, options.keys, options.value_bytes)
            requests = max(50000, min(20_000_000, int(rate * options.seconds)))
            figures[cell] = {server.name: {"rps": [], "cpu_us": []} for server in servers}
            for round_number in range(options.rounds):
                if sys.stderr.isatty():
                    print(f"\r{test} pipeline {pipeline}: round {round_number + 1} of {options.rounds}   ",
                          end="", file=sys.stderr, flush=True)
                for server in servers:
                    rps, cpu_us = load(server, test, pipeline, requests, options.clients, options.keys,
                                       options.value_bytes)
                    figures[cell][server.name]["rps"].append(rps)
                    figures[cell][server.name]["cpu_us"].append(cpu_us)
        if sys.stderr.isatty():
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    finally:
        for server in servers:
            server.stop()

    print(f"{options.clients} connections, {options.keys} keys, {options.value_bytes}-byte values, "
          f"{options.rounds} rounds, medians [min, max]; server on {'a core of its own' if pin else 'any core'}")
    print(f"{'':16}{'orrery':>38}{'redis':>38}{'orrery / redis':>18}")
    report = []
    for (test, pipeline), by_server in figures.items():
        for figure, unit, scale in (("rps", "k req/s", 1e-3), ("cpu_us", "CPU us/req", 1.0)):
            ratios = [ours / theirs for ours, theirs in zip(by_server["orrery"][figure], by_server["redis"][figure])
                      if theirs > 0]
            cells_text = ""
            row = {"test": test, "pipeline": pipeline, "figure": figure}
            for name in ("orrery", "redis"):
                stats = spread([value * scale for value in by_server[name][figure]])
                cells_text += f"{stats['median']:12.3f} [{stats['min']:9.3f}, {stats['max']:9.3f}]".rjust(38)
                row[name] = stats
            row["ratio"] = spread(ratios) if ratios else None
            ratio_text = f"{row['ratio']['median']:.2f}" if ratios else "-"
            print(f"{test.upper() + ' P' + str(pipeline):8}{unit:>10}{cells_text[2:]}{ratio_text:>18}")
            report.append(row)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"options": vars(options), "figures": report}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()

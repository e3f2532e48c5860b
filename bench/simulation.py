#!/usr/bin/env python3
"""How fast the simulation is: the server on the fake kernel beside the same server on Linux, on one core.

GETs of 3-byte values, 50 connections, one request at a time on each, one shard. On Linux the generator (bench/load)
shares the core with the server; in the simulation server, kernel and clients are one thread. They take turns, round by
round; medians and [min, max].

    bazel run --config=bench //bench:simulation
    bazel run --config=bench //bench:simulation -- --rounds=10 --json=FILE
"""

import argparse
import json
import os
import shlex
import subprocess

from servers import Server, spread

CONNECTIONS = 50
KEYS = 100_000


def on_core(core, command):
    result = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"simulation: {shlex.join(command)} failed:\n{result.stderr.strip()}")
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (("simulation", "simulation_bench"), ("server", "orrery-server"), ("generator", "the load generator")):
        parser.add_argument(f"--{name}", default=os.environ.get(f"ORRERY_{name.upper()}"), metavar="PATH",
                            help=f"binary of {text} (bazel run sets it)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round on Linux (%(default)s)")
    parser.add_argument("--requests", type=int, default=200_000, help="of each round in the simulation (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if not (options.simulation and options.server and options.generator):
        parser.error("start it by `bazel run --config=bench //bench:simulation`, or say where the three binaries are")
    core = min(os.sched_getaffinity(0))
    simulated, real = [], []
    server = Server("orrery", [os.path.abspath(options.server), "--port", "{port}", "--shards", "1"], core)
    try:
        common = [options.generator, "--port", str(server.port), "--keys", str(KEYS), "--server", str(server.process.pid)]
        on_core(core, [*common, "--fill", "--pipeline", "32", "--connections", "4"])
        for _ in range(options.rounds):
            real.append(on_core(core, [*common, "--workload", "get", "--connections", str(CONNECTIONS), "--seconds",
                                       str(options.seconds)])["requests_a_second"])
            simulated.append(on_core(core, [options.simulation, f"--requests={options.requests}",
                                            f"--connections={CONNECTIONS}", f"--keys={KEYS}"])["requests_a_second"])
    finally:
        server.stop()
    figures = {"simulated": spread(simulated), "Linux": spread(real),
               "ratio": spread([one / other for one, other in zip(simulated, real)])}
    print(f"{options.rounds} rounds; GET, pipeline 1, {CONNECTIONS} connections, one core; thousands of requests a second")
    for name in ("simulated", "Linux"):
        low, middle, high = (figures[name][part] / 1e3 for part in ("min", "median", "max"))
        print(f"{name:<12}{middle:>8.1f}  [{low:.1f}, {high:.1f}]")
    ratio = figures["ratio"]
    print(f"{'ratio':<12}{ratio['median']:>8.2f}  [{ratio['min']:.2f}, {ratio['max']:.2f}]")
    if options.json:
        path = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), options.json)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures servers side by side, in one run: CPU time of the server per request, requests per second, latency.

Beside orrery-server: the floor (the least that a RESP server on io_uring can do: bench/load/floor.cc), the floor with
a table where values are small, and redis-server and valkey-server where they are installed. Each runs with one thread.

    bazel run --config=bench //bench:compare
    bazel run --config=bench //bench:compare -- --workloads=get-p64,set-p64 --rounds=20 --json=FILE --svg=FILE
    bazel run --config=bench //bench:compare -- --two-cores --workloads=get-c1

All servers of a workload run, those that are not measured are stopped, and they take turns round by round, so that a
slow minute of the machine hits all. Server and generator share a core, unless --two-cores is said: then the rate and
the latency mean something; CPU time per request has the least noise on one core. A round in which other processes took
more than a tenth of the machine is run again, up to three times. Medians over the rounds, and [min, max]; each ratio
is the median of the ratios of each round. Goals are those of docs/performance.md.

Everything runs on 127.0.0.1, on ports that the system picks, for a bounded time.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

from picture import draw
from servers import Server, spread
from workloads import GROUPS, WORKLOADS

OTHERS_SHARE_MAX = 0.10
TRIES = 4
DESCRIPTORS = 65_536


def commands(options, workload):
    """By name, the command of each server that can do the workload; {port} stands for its port."""
    buffers = "--buffers 512 --buffer-bytes 65536" if workload.receives_large else ""
    floor = f"{options.floor} --port {{port}} --value-bytes {workload.value_bytes} {buffers}"
    if options.two_cores and options.spin_us:
        floor += f" --spin-us {options.spin_us}"
    found = {"floor": floor}
    if workload.has_small_values:
        bits = max(18, (2 * workload.keys - 1).bit_length())
        found["floor+table"] = f"{floor} --table --table-bits {bits}"
    found["orrery"] = f"{options.server} --port {{port}} --maxclients 20000 --shards {options.shards} {options.server_options}"
    for peer in ("redis-server", "valkey-server"):
        if shutil.which(peer) and not options.no_peers:
            found[peer.removesuffix("-server")] = (
                f"{peer} --port {{port}} --bind 127.0.0.1 --save '' --appendonly no --maxclients 20000"
            )
    for more in options.peer:
        name, _, command = more.partition("=")
        found[name] = command
    return found


class Measured:
    """A server of one workload, and its rounds."""

    def __init__(self, name, command, core):
        self.server = Server(name, shlex.split(command), core)
        self.rounds = []

    def pause(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.process.send_signal(signal.SIGCONT)


def generate(options, server, workload, arguments, core):
    command = [options.generator, "--port", str(server.port), "--value-bytes", str(workload.value_bytes),
               "--keys", str(workload.keys), "--server", str(server.process.pid)] + arguments
    result = subprocess.run(["taskset", "-c", str(core)] + command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"compare: {server.name}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def measure(options, workload, server, core):
    arguments = shlex.split(workload.arguments) + ["--seconds", str(options.seconds)]
    best = None
    for _ in range(1 if options.busy else TRIES):
        seen = generate(options, server, workload, arguments, core)
        time.sleep(0.2)  # The server sees the old connections end before new ones come.
        if best is None or seen["others_share"] < best["others_share"]:
            best = seen
        if best["others_share"] <= OTHERS_SHARE_MAX:
            break
    return best


def run(options, name, workload, server_core, generator_core):
    measured = {}
    try:
        for server_name, command in commands(options, workload).items():
            one = Measured(server_name, command, server_core)
            measured[server_name] = one
            if workload.fill and server_name != "floor":
                pipeline = "32" if workload.value_bytes < 10_000 else "2"
                generate(options, one.server, workload, ["--fill", "--pipeline", pipeline, "--connections", "4"],
                         generator_core)
            one.pause()
        for round_number in range(options.rounds):
            for one in measured.values():
                if sys.stderr.isatty():
                    text = f"{name}: round {round_number + 1} of {options.rounds}, {one.server.name}"
                    print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)
                one.go_on()
                one.rounds.append(measure(options, workload, one.server, generator_core))
                one.pause()
    finally:
        if sys.stderr.isatty():
            print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
        for one in measured.values():
            one.go_on()
            one.server.stop()
    return {server_name: one.rounds for server_name, one in measured.items()}


def ratios(rounds, name, base):
    if base not in rounds:
        return None
    pairs = [(one["server_us"], other["server_us"]) for one, other in zip(rounds[name], rounds[base])]
    return spread([one / other for one, other in pairs if other > 0] or [0])


def summarize(workload, rounds):
    servers = {}
    for name in rounds:
        figures = {figure: spread([seen[figure] for seen in rounds[name]]) for figure in rounds[name][0]}
        base = "floor+table" if workload.beside_table else "floor"
        servers[name] = {**figures, "to_floor": ratios(rounds, name, base), "to_redis": ratios(rounds, name, "redis")}
    return {"arguments": workload.arguments, "value_bytes": workload.value_bytes, "keys": workload.keys,
            "goal": workload.goal, "servers": servers}


def show(name, cell):
    goal = "" if cell["goal"] is None else f"; goal: {cell['goal']:.2f} of the floor"
    base = "table" if WORKLOADS[name].beside_table else "floor"
    print(f"\n{name}: {cell['arguments']}, {cell['value_bytes']}-byte values, {cell['keys']} keys{goal}")
    print(f"{'':14}{'k req/s':>9}{'p50 us':>9}{'p99 us':>9}{'CPU us/req':>12}{'/' + base:>8}{'':18}{'/redis':>8}")
    for server, figures in cell["servers"].items():
        cells = "".join(
            f"{ratio['median']:>8.2f} [{ratio['min']:>6.2f}, {ratio['max']:>6.2f}] " if ratio else f"{'-':>8}{'':18}"
            for ratio in (figures["to_floor"], figures["to_redis"])
        )
        # Only the first round finds a server that has not seen so many.
        idle = figures["idle_connection_bytes"]["max"]
        idle_text = f"  {idle:.0f} B an idle connection" if "--idle" in cell["arguments"] else ""
        print(f"{server:<14}{figures['requests_a_second']['median'] / 1e3:>9.1f}{figures['p50_us']['median']:>9.0f}"
              f"{figures['p99_us']['median']:>9.0f}{figures['server_us']['median']:>12.4f}{cells}{idle_text}",
              flush=True)


def show_brief(name, cell, heading):
    servers = cell["servers"]
    if heading:
        width = 12 * len(servers)
        print(f"\n{'':18}{'k req/s':^{width}}{'CPU us/req':^{width}}{'orrery / redis':^20}")
        print(f"{'':18}" + "".join(f"{server:>12}" for server in servers) * 2 + f"{'req/s':>10}{'CPU':>10}")
    rates = {server: figures["requests_a_second"]["median"] / 1e3 for server, figures in servers.items()}
    costs = {server: figures["server_us"]["median"] for server, figures in servers.items()}
    text = "".join(f"{rate:>12.1f}" for rate in rates.values()) + "".join(f"{cost:>12.3f}" for cost in costs.values())
    if "redis" in servers:
        text += f"{rates['orrery'] / rates['redis']:>10.2f}{servers['orrery']['to_redis']['median']:>10.2f}"
    print(f"{name:<18}{text}", flush=True)


def add_programs(parser):
    """The options that `bazel run` sets."""
    parser.add_argument("--server", default=os.environ.get("ORRERY_SERVER"), metavar="PATH",
                        help="orrery-server's binary (bazel run sets it and the next two)")
    parser.add_argument("--floor", default=os.environ.get("ORRERY_FLOOR"), metavar="PATH", help="the floor's binary")
    parser.add_argument("--generator", default=os.environ.get("ORRERY_GENERATOR"), metavar="PATH",
                        help="the load generator's binary")


def check_programs(parser, options):
    for needed in ("server", "floor", "generator"):
        if not getattr(options, needed):
            parser.error(f"say --{needed}=PATH, or start it by `bazel run` of it")
        setattr(options, needed, os.path.abspath(getattr(options, needed)))


def raise_limits():
    """So many descriptors as the servers and the generator need, who inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_programs(parser)
    parser.add_argument("--shards", type=int, default=1, help="threads of orrery-server (%(default)s)")
    parser.add_argument("--server-options", default="", metavar="TEXT", help="more options of orrery-server")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="another server; {port} in the command stands for its port; may be repeated")
    parser.add_argument("--no-peers", action="store_true", help="only the floor and orrery, and those of --peer")
    parser.add_argument("--workloads", default="usual",
                        help="of: " + ", ".join(WORKLOADS) + "; " + " and ".join(GROUPS) + " (%(default)s) stand for several")
    parser.add_argument("--brief", action="store_true", help="a line for each workload")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every server (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round (%(default)s)")
    parser.add_argument("--two-cores", action="store_true", help="a core each for server and generator")
    parser.add_argument("--spin-us", type=int, default=0, help="with --two-cores: the floor spins before it sleeps")
    parser.add_argument("--busy", action="store_true", help="take every round, whatever else the machine does")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--svg", metavar="FILE", help="draw the ratios to the floor there")
    options = parser.parse_args()

    check_programs(parser, options)
    names = [name for part in options.workloads.split(",") for name in GROUPS.get(part, [part])]
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"there is no workload {name}; there are {', '.join(WORKLOADS)}")
    where = os.environ.get("BUILD_WORKING_DIRECTORY", "")
    cores = sorted(os.sched_getaffinity(0))
    if options.two_cores and len(cores) < 2:
        parser.error("--two-cores needs two cores")
    raise_limits()

    generator_core = cores[1] if options.two_cores else cores[0]
    place = "a core each for server and generator" if options.two_cores else "server and generator on one core"
    print(f"{options.rounds} rounds of {options.seconds:g} s, {place}; medians, ratios with [min, max]")
    report = {}
    servers = None
    for name in names:
        rounds = run(options, name, WORKLOADS[name], cores[0], generator_core)
        report[name] = summarize(WORKLOADS[name], rounds)
        if options.brief:
            seen = report[name]["servers"].keys()
            show_brief(name, report[name], heading=seen != servers)
            servers = seen
        else:
            show(name, report[name])
    if options.json:
        with open(os.path.join(where, options.json), "w", encoding="utf-8") as file:
            json.dump({"rounds": options.rounds, "seconds": options.seconds, "two_cores": options.two_cores,
                       "workloads": report}, file, indent=1)
            file.write("\n")
    if options.svg:
        with open(os.path.join(where, options.svg), "w", encoding="utf-8") as file:
            file.write(draw(report, f"CPU time per request, in floors; {place}"))


if __name__ == "__main__":
    main()

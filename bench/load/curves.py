"""How the cost of a request grows: with connections, keys, value bytes, pipeline and shards; as a picture.

CPU time of the server a request, server and generator on one core, beside the floor and redis-server. Each point is a
comparison of its own, as //bench:compare makes it.

    bazel run --config=bench //bench:curves -- --svg=docs/images/curves.svg --json=curves.json
    bazel run --config=bench //bench:curves -- --axes=keys,shards --rounds=5
"""

import argparse
import dataclasses
import json
import os

from compare import add_programs, check_programs, raise_limits, run, summarize
from picture import draw_curves
from workloads import Workload

VALUES_BYTES = 64_000_000


@dataclasses.dataclass(frozen=True)
class Axis:
    """A picture of its own: what grows, and the workload at each point. `shards` too may grow."""

    title: str
    points: dict  # By the number on the axis: (workload, shards).


def _values(size):
    return Workload("--workload get", value_bytes=size, keys=max(64, min(100_000, VALUES_BYTES // size)))


AXES = {
    "connections": Axis("connections (GET, pipeline 1)", {
        count: (Workload(f"--workload get --connections {count}"), 1) for count in (1, 10, 100, 1000, 10_000)}),
    "keys": Axis("keys (GET, pipeline 16)", {
        count: (Workload("--workload get --pipeline 16", keys=count), 1)
        for count in (1000, 10_000, 100_000, 1_000_000, 10_000_000)}),
    "value": Axis("value bytes (GET, pipeline 1)", {
        size: (_values(size), 1) for size in (4, 64, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)}),
    "pipeline": Axis("pipeline (GET)", {
        depth: (Workload(f"--workload get --pipeline {depth}"), 1) for depth in (1, 2, 4, 8, 16, 32, 64)}),
    "shards": Axis("shards, all on one core (GET, pipeline 1)", {
        shards: (Workload("--workload get"), shards) for shards in (1, 2, 4, 8)}),
    "shards-p16": Axis("shards, all on one core (GET, pipeline 16)", {
        shards: (Workload("--workload get --pipeline 16"), shards) for shards in (1, 2, 4, 8)}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_programs(parser)
    parser.add_argument("--axes", default=",".join(AXES), help="of: " + ", ".join(AXES))
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every server at a point (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round (%(default)s)")
    parser.add_argument("--busy", action="store_true", help="take every round, whatever else the machine does")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--svg", metavar="FILE", help="draw them there")
    parser.set_defaults(two_cores=False, spin_us=0, peer=[], no_peers=False, server_options="")
    options = parser.parse_args()
    check_programs(parser, options)
    names = options.axes.split(",")
    for name in names:
        if name not in AXES:
            parser.error(f"there is no axis {name}; there are {', '.join(AXES)}")
    raise_limits()
    core = min(os.sched_getaffinity(0))
    curves = {}
    for name in names:
        axis = AXES[name]
        points = {}
        print(f"\n{axis.title}; CPU us of the server a request, medians of {options.rounds} rounds of {options.seconds:g} s")
        for x, (workload, shards) in axis.points.items():
            there = argparse.Namespace(**{**vars(options), "shards": shards})
            servers = summarize(workload, run(there, f"{name} {x}", workload, core, core))["servers"]
            points[x] = {server: figures["server_us"]["median"] for server, figures in servers.items()}
            print(f"{x:>10}" + "".join(f"{server:>14} {cost:>8.3f}" for server, cost in points[x].items()), flush=True)
        curves[name] = {"title": axis.title, "points": points}
    where = os.environ.get("BUILD_WORKING_DIRECTORY", "")
    if options.json:
        with open(os.path.join(where, options.json), "w", encoding="utf-8") as file:
            json.dump(curves, file, indent=1)
            file.write("\n")
    if options.svg:
        with open(os.path.join(where, options.svg), "w", encoding="utf-8") as file:
            file.write(draw_curves(curves, "CPU microseconds of the server a request"))


if __name__ == "__main__":
    main()

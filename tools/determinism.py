#!/usr/bin/env python3
"""Proves that a run is a function of its seed: the same events, whoever compiled it and wherever it runs.

Builds //tools:replay with gcc and clang, at -O0 and -O3, as the tests have it, and with the sanitizers; runs the seeds of
every scenario in each of them, with addresses that are random, with fixed ones, and with allocated memory filled; and
requires equal event hashes. Where a seed has two, both builds run it again, and the first event that differs is
printed as each of them saw it.

Exit code 0: every hash was equal. 1: one was not, a seed failed, or a program cannot be built or run. 2: wrong use.

    bazel run //tools:determinism                             # everything: half an hour of compiling the first time
    bazel run //tools:determinism -- --only=gcc --seeds=50    # builds whose name contains gcc
    bazel run //tools:determinism -- --replay=mine=PATH       # programs that are there already, instead of building
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import shlex
import sys
import time

from script import Commands, Problem, from_caller, positive

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPLAY = "//tools:replay"
# More than any run has.
EVENTS_MAX = 10_000_000
# How often two runs are compared event by event, when what makes them differ comes and goes.
COMPARISONS_MAX = 5

# At -O0 there is no _FORTIFY_SOURCE; at -O3 gcc 12 warns of what it has inlined itself.
BUILDS = {
    "gcc -O2": [],
    "gcc -O0": ["--copt=-O0", "--copt=-U_FORTIFY_SOURCE"],
    "gcc -O3": ["--copt=-O3", "--copt=-w"],
    "gcc sanitizers": ["--config=asan"],
    "clang -O0": ["--config=clang", "--copt=-O0", "--copt=-U_FORTIFY_SOURCE"],
    "clang -O3": ["--config=clang", "--copt=-O3"],
}
# Where a program runs: what stands before its command, and what is in its environment. glibc fills what malloc() and
# free() hand out with MALLOC_PERTURB_; the sanitizers have their own.
SURROUNDINGS = {
    "random addresses": ([], {}),
    "fixed addresses": (["setarch", platform.machine(), "--addr-no-randomize"], {}),
    "filled memory": ([], {"MALLOC_PERTURB_": "165", "ASAN_OPTIONS": "max_malloc_fill_size=1000000000"}),
}

Event = collections.namedtuple("Event", "number hash text")
# What a program says of its seeds: their hashes, how many events they had, and the report of the one that failed, if
# one did; it is the last.
Seeds = collections.namedtuple("Seeds", "hashes events report")


class Program:
    """One build in one of the surroundings."""

    def __init__(self, build, path, surroundings, commands):
        self.name = f"{build}, {surroundings}"
        self._commands = commands
        self._prefix, environment = SURROUNDINGS[surroundings]
        self._path = path
        self._environment = {**os.environ, **environment}

    def _run(self, *arguments):
        command = [*self._prefix, str(self._path), *arguments]
        result = self._commands.run(command, environment=self._environment)
        # 1: a run broke a rule, which is for the caller to judge.
        if result.returncode not in (0, 1) or not result.stdout:
            raise Problem(f"{self.name}: {shlex.join(command)} ended with {result.returncode}:\n"
                          f"{result.stderr[-4000:]}")
        return result

    def scenarios(self):
        return [line.split()[0] for line in self._run("--list").stdout.splitlines() if line.strip()]

    def seeds(self, scenario, first_seed, seeds):
        result = self._run(f"--scenario={scenario}", f"--seed={first_seed}", f"--runs={seeds}", "--json")
        runs = [json.loads(line) for line in result.stdout.splitlines()]
        return Seeds({int(run["seed"], 0): run["hash"] for run in runs}, sum(run["events"] for run in runs),
                     result.stderr if result.returncode == 1 else None)

    def events(self, scenario, seed):
        """Every event of a run, with the hash up to it."""
        result = self._run(f"--scenario={scenario}", f"--seed={seed}", f"--events={EVENTS_MAX}", "--hashes")
        lines = (re.match(r"(0x[0-9a-f]+) #(\d+) +(.*)", line) for line in result.stdout.splitlines())
        return [Event(int(line[2]), line[1], line[3]) for line in lines if line]


def first_difference(one, other):
    """The index of the first event that differs; None when there is none.

    The hash up to an event covers all before it, so halving finds the first: behind it all are different.
    """
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high) // 2
        if one[middle].hash == other[middle].hash:
            low = middle + 1
        else:
            high = middle
    return None if low == len(one) == len(other) else low


def describe_difference(one, one_events, other, other_events, index):
    """What a person reads: the last events that both have, and the first that differs, as each has it."""
    lines = [f"  event {index + 1} is the first that differs; before it, in both:"]
    lines += [f"    #{event.number} {event.text}" for event in one_events[max(0, index - 3):index]] or ["    nothing"]
    width = max(len(one.name), len(other.name))
    both = []
    for program, events in ((one, one_events), (other, other_events)):
        event = events[index] if index < len(events) else None
        both.append(event and event.text)
        shown = f"#{event.number} {event.text}  {event.hash}" if event else "the run has ended"
        lines.append(f"  {program.name:<{width}}  {shown}")
    if both[0] == both[1]:
        lines.append("  they read the same: what differs is a value of the event that is not printed")
    return "\n".join(lines)


def explain(one, other, scenario, seed):
    """Runs a seed that has two hashes again in both programs, and says where they part."""
    for _ in range(COMPARISONS_MAX):
        one_events, other_events = one.events(scenario, seed), other.events(scenario, seed)
        index = first_difference(one_events, other_events)
        if index is not None:
            return describe_difference(one, one_events, other, other_events, index)
    return f"  run again, {COMPARISONS_MAX} times, they were equal: what makes them differ comes and goes"


def build(name, flags, commands, options):
    """The path of replay, built so. Each build has its own outputs, so that a second time costs nothing."""
    suffix = re.sub(r"[^a-z0-9]+", "-", name.lower())
    links = options.root / ".cache" / "determinism" / suffix
    # Those of everybody's configurations are used as they are.
    own = [f"--platform_suffix=-{suffix}"] if len(flags) > 1 or any("copt" in flag for flag in flags) else []
    command = [*options.bazel, "build", *flags, *own, f"--jobs={options.jobs}", f"--symlink_prefix={links}/",
               "--curses=no", "--noshow_progress", REPLAY]
    built = commands.run(command, cwd=options.root)
    if built.returncode != 0:
        raise Problem(f"{name} does not build: {shlex.join(command)}\n{built.stderr[-4000:]}")
    return (links / "bin" / REPLAY.removeprefix("//").replace(":", "/")).resolve()


def builds_of(commands, options):
    """(name, path) of the programs to compare."""
    if options.replay:
        return options.replay
    programs = []
    for name, flags in BUILDS.items():
        if options.only in name:
            start = time.monotonic()
            programs.append((name, build(name, flags, commands, options)))
            print(f"{name}: built in {time.monotonic() - start:.0f} s", flush=True)
    return programs


def usable_surroundings(commands):
    """Names of the surroundings that this machine allows; says which it does not."""
    usable = []
    for name, (prefix, _) in SURROUNDINGS.items():
        try:
            works = commands.run([*prefix, "true"]).returncode == 0
        except OSError:
            works = False
        if works:
            usable.append(name)
        else:
            print(f"skipped: {name}: '{shlex.join(prefix)}' does not work here", flush=True)
    return usable


def compare_scenario(scenario, programs, pool, options):
    """Rows of results, one for each program; prints what differs from the first one."""
    reference = programs[0]
    futures = [pool.submit(program.seeds, scenario, options.first_seed, options.seeds) for program in programs]
    rows = []
    for program, future in zip(programs, futures):
        seeds, expected = future.result(), futures[0].result()
        differing = sorted(seed for seed in expected.hashes.keys() | seeds.hashes.keys()
                           if expected.hashes.get(seed) != seeds.hashes.get(seed))
        row = {"program": program.name, "scenario": scenario, "seeds": len(seeds.hashes), "events": seeds.events,
               "differing": differing, "failed": seeds.report}
        rows.append(row)
        print(f"{scenario}: {program.name}: {len(seeds.hashes)} seeds, {seeds.events} events"
              + (f"; {len(differing)} DIFFER from {reference.name}" if differing else ""), flush=True)
        if differing:
            row["difference"] = explain(reference, program, scenario, differing[0])
            print(f"  seed {differing[0]:#x} of {scenario}:\n{row['difference']}", flush=True)
        if seeds.report:
            print(f"  a seed failed; mend that first:\n{seeds.report}", flush=True)
    return rows


def named_program(text):
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=PATH")
    return name, from_caller(path)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="determinism", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="all", metavar="NAME", help="this scenario only")
    parser.add_argument("--first-seed", type=lambda text: int(text, 0), default=0, metavar="N",
                        help="where to begin (%(default)s)")
    parser.add_argument("--seeds", type=positive, default=200, metavar="N", help="of each scenario (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help=f"builds whose name contains it; {', '.join(BUILDS)}")
    parser.add_argument("--replay", action="append", type=named_program, metavar="NAME=PATH",
                        help="a program to run instead of building any; may be given several times")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), metavar="N",
                        help="compilers and runs at a time (%(default)s)")
    parser.add_argument("--json", type=from_caller, metavar="FILE", help="write all results there")
    parser.add_argument("--bazel", type=shlex.split, default=["bazel"], metavar="COMMAND",
                        help="with its start-up options, if any (bazel)")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the tree (this one)")
    options = parser.parse_args(arguments)
    if not options.replay and not any(options.only in name for name in BUILDS):
        parser.error(f"no build has '{options.only}' in its name; there are {', '.join(BUILDS)}")
    return options


def conclusion(rows, builds, surroundings):
    differing = sum(len(row["differing"]) for row in rows)
    failed = any(row["failed"] for row in rows)
    scenarios = {row["scenario"] for row in rows}
    return (f"{len(scenarios)} scenarios ({', '.join(sorted(scenarios))}) in {len(builds)} builds, each in "
            f"{len(surroundings)} surroundings: {sum(row['seeds'] for row in rows)} runs, "
            f"{sum(row['events'] for row in rows)} events; "
            + (f"{differing} hashes DIFFER" if differing else "all hashes of a seed are equal")
            + ("; a seed FAILED." if failed else "."))


def main(arguments):
    options = parse(arguments)
    commands = Commands()
    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    rows = []
    try:
        builds = builds_of(commands, options)
        surroundings = usable_surroundings(commands)
        programs = [Program(name, path, where, commands) for name, path in builds for where in surroundings]
        for scenario in programs[0].scenarios() if options.scenario == "all" else [options.scenario]:
            rows += compare_scenario(scenario, programs, pool, options)
    except Problem as problem:
        commands.stop()
        print(f"determinism: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        commands.stop()
        print("\ndeterminism: stopped", file=sys.stderr)
        return 130
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(conclusion(rows, builds, surroundings))
    return 1 if any(row["differing"] or row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

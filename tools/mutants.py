#!/usr/bin/env python3
"""Measures the simulation: plants each bug of tests/mutants/ and sees whether the exploration finds it.

Each patch is applied to a scratch copy of the tree (.cache/mutants), in which only what it touches is built again. Then
//tools:hunt looks for the first seed that fails, from several starting points far apart; the default seeds are one of
them. The plan of the first failure is shrunk. At the end there is a table: how many of the starting points led to a
failure, after how many seeds and seconds of a processor (medians; one that led to none counts as endless), which
scenario and strategy found it, what broke, and how many lines the plan had before and after shrinking.

A patch with a third line `# Tests: TARGETS` is for code that no scenario runs: those tests run instead of the hunt.

Exit code 0: every bug was found. 1: one was not, or a patch does not apply or build. 2: wrong use.

    bazel run //tools:mutants                               # all of them
    bazel run //tools:mutants -- --only=w2 --only=x         # those whose name contains w2 or x
    bazel run //tools:mutants -- --update=docs/testing.md   # their rows of the table between that file's marks
"""

import argparse
import collections
import concurrent.futures
import datetime
import fcntl
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import time

from script import Commands, Problem, from_caller, positive

ROOT = pathlib.Path(__file__).resolve().parent.parent
HUNT = "//tools:hunt"
# Starting points so far apart that nobody's seeds meet.
BASE_SEED_DISTANCE = 1 << 32
# Exit code of `bazel test` when all was built.
TESTS_FAILED = 3
UNPATCHED = "(unpatched)"
BEGIN, END = "<!-- mutants: begin -->", "<!-- mutants: end -->"


class Scratch:
    """A copy of the tree, in which patches come and go and little is built again."""

    def __init__(self, root, bazel, jobs, commands):
        self.root = root
        self.tree = root / ".cache" / "mutants" / "tree"
        self.programs = root / ".cache" / "mutants" / "programs"
        self.bazel = bazel
        self.jobs = jobs
        self.commands = commands
        self.unpatched = {}  # What the patch at hand has changed: the bytes before, by path; None: no file.
        self.programs.mkdir(parents=True, exist_ok=True)
        self.tree.mkdir(parents=True, exist_ok=True)

    def sync(self):
        """Makes it equal to the files that git knows or would add. An unchanged file is not touched."""
        listed = self.commands.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], self.root)
        if listed.returncode != 0:
            raise Problem(f"git cannot list the files of {self.root}:\n{listed.stderr}")
        wanted = {name for name in listed.stdout.split("\0") if name and (self.root / name).is_file()}
        for folder, folders, files in os.walk(self.tree):
            folders[:] = [name for name in folders if not name.startswith("bazel-")]
            for name in files:
                path = pathlib.Path(folder) / name
                if str(path.relative_to(self.tree)) not in wanted:
                    path.unlink()
        for name in wanted:
            source, copy = self.root / name, self.tree / name
            content = source.read_bytes()
            if not copy.is_file() or copy.read_bytes() != content:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
                copy.chmod(source.stat().st_mode)

    def apply(self, patch):
        paths = [self.tree / name for name in files_of(patch.read_text(encoding="utf-8"))]
        self.unpatched = {path: path.read_bytes() if path.is_file() else None for path in paths}
        # As tests/mutants/apply_test.sh does.
        with_patch = ["patch", "-p1", "--forward", "--fuzz=0", "--silent", "--no-backup-if-mismatch", f"--input={patch}"]
        applied = self.commands.run(with_patch, self.tree)
        if applied.returncode != 0:
            raise Problem("it does not apply; make it anew, as tests/mutants/README.md says:\n" + applied.stdout)

    def restore(self):
        """Takes the patch away again."""
        for path, content in self.unpatched.items():
            for reject in (".rej", ".orig"):
                path.with_name(path.name + reject).unlink(missing_ok=True)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
        self.unpatched = {}

    def build(self, name):
        """The hunting program as the scratch tree has it now."""
        built = self.commands.run([*self.bazel, "build", f"--jobs={self.jobs}", "--spawn_strategy=local", "--curses=no",
                                   "--noshow_progress", HUNT], self.tree)
        if built.returncode != 0:
            raise Problem("it does not build:\n" + built.stderr[-4000:])
        program = self.programs / name
        program.unlink(missing_ok=True)
        shutil.copy(self.tree / "bazel-bin" / HUNT.removeprefix("//").replace(":", "/"), program)
        return program

    def test(self, targets):
        """(target, what it said) of the first test that fails; None when none does."""
        tested = self.commands.run([*self.bazel, "test", f"--jobs={self.jobs}", "--curses=no", "--noshow_progress",
                                    "--keep_going", "--test_summary=short", "--test_output=errors",
                                    "--test_arg=--gtest_fail_fast", *targets], self.tree)
        if tested.returncode == 0:
            return None
        if tested.returncode != TESTS_FAILED:
            raise Problem("it does not build:\n" + tested.stderr[-4000:])
        return first_failure(tested.stdout + tested.stderr)

    def close(self):
        """Ends Bazel's server of the scratch tree, which nobody else needs."""
        subprocess.run([*self.bazel, "shutdown"], cwd=self.tree, check=False, capture_output=True)


def files_of(patch_text):
    return re.findall(r"^\+\+\+ b/(\S+)", patch_text, re.MULTILINE)


def describe(patch_text):
    """(entry, mechanism) of the patch's first line."""
    head = re.match(r"# ([A-Z]\d+): (.+)", patch_text)
    if head is None:
        raise Problem("its first line is not '# A1: what goes wrong'")
    return head.group(1), head.group(2).strip()


def tests_of(patch_text):
    """The tests that have to find it; none: the hunt has to."""
    line = re.search(r"^# Tests: (.+)$", patch_text, re.MULTILINE)
    return line.group(1).split() if line else []


def first_failure(output):
    """(target, test case) of the first that failed. Where the process ended in a test, it is the last that had begun."""
    target = re.search(r"^(//\S+) .*\b(?:FAILED|TIMEOUT)\b", output, re.MULTILINE)
    case = re.search(r"^\[  FAILED  \] ([^\s,]+)", output, re.MULTILINE)
    begun = re.findall(r"^\[ RUN      \] (\S+)", output, re.MULTILINE)
    return target.group(1) if target else "?", case.group(1) if case else begun[-1] if begun else "?"


def hunt(program, commands, arguments):
    """What //tools:hunt says, as it says it in JSON."""
    result = commands.run([str(program), "--json", *arguments], None)
    if result.returncode not in (0, 1):
        raise Problem(f"the hunt failed: {shlex.join(result.args)}\n{result.stdout}{result.stderr}")
    return json.loads(result.stdout)


def measure(program, commands, pool, options):
    """Futures of one hunt from each starting point."""
    budget = [f"--scenario={options.scenario}", f"--seeds={options.seeds}", f"--seconds={options.cpu_seconds}"]
    return [pool.submit(hunt, program, commands, [f"--first-seed={base * BASE_SEED_DISTANCE}", *budget])
            for base in range(options.base_seeds)]


def shrink(program, commands, kill, options):
    """The hunt of a known failure again, with its plan made small."""
    plan = program.with_suffix(".jsonl")
    return hunt(program, commands, [f"--scenario={kill['scenario']}", f"--first-seed={kill['seed']}", "--seeds=1",
                                    f"--shrink={plan}", f"--shrink-seconds={options.shrink_seconds}"])


def summarise(hunts):
    """What a row of the table says of the hunts from all starting points. A median of None: there is none."""
    kills = [one for one in hunts if one["signature"] is not None]

    def median(name):
        value = statistics.median_high(math.inf if one["signature"] is None else one[name] for one in hunts)
        return None if math.isinf(value) else value

    by = collections.Counter(f"{one['scenario']} {one['strategy']}" for one in kills)
    return {
        "hunts": len(hunts),
        "kills": len(kills),
        "seeds": median("seeds"),
        "cpu_seconds": median("cpu_seconds"),
        "by": dict(sorted(by.items(), key=lambda item: (-item[1], item[0]))),
        "signature": kills[0]["signature"] if kills else None,
        "lines": kills[0]["lines"] if kills else None,
    }


def summarise_tests(failure):
    """The same of tests that ran instead; `failure` as Scratch.test() has it."""
    target, case = failure or (None, None)
    return {"hunts": 1, "kills": 1 if failure else 0, "seeds": None, "cpu_seconds": None,
            "by": {target: 1} if target else {}, "signature": case, "lines": None, "shrunk_lines": None}


def cell(value):
    return "-" if value is None else str(value).replace("|", "\\|")


COLUMNS = ("patch", "mechanism", "found", "seeds", "CPU s", "by", "what broke", "lines of its plan", "shrunk to", "measured")


def line(row):
    """The table's line of a row."""
    by = ", ".join(name if count == 1 else f"{name} × {count}" for name, count in row["by"].items())
    cpu = None if row["cpu_seconds"] is None else f"{row['cpu_seconds']:.3f}"
    cells = [row["name"], row["mechanism"], f"{row['kills']} of {row['hunts']}", row["seeds"], cpu, by or None,
             row["signature"], row["lines"], row["shrunk_lines"], row["measured"]]
    return f"| {' | '.join(cell(one) for one in cells)} |"


def table(lines):
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*head, *lines]) + "\n"


def lines_of(document):
    """The lines of the table between the marks, by the name of the patch."""
    body = document.partition(BEGIN)[2].partition(END)[0]
    found = re.findall(r"^\| (\w+) \|.*\|$", body, re.MULTILINE)
    return {name: text for name, text in zip(found, re.findall(r"^\| \w+ \|.*\|$", body, re.MULTILINE))
            if name != COLUMNS[0]}


def conclusion(run):
    rows = run.rows
    found = [row for row in rows if row["kills"] > 0]
    text = f"{len(found)} of {len(rows)} found"
    in_the_median = [row["seeds"] for row in rows if row["seeds"] is not None]
    if in_the_median:
        slowest = max((row for row in rows if row["seeds"] is not None), key=lambda row: row["seeds"])
        text += (f"; the median bug after {statistics.median_high(in_the_median)} seeds, "
                 f"the slowest, {slowest['name']}, after {slowest['seeds']}")
    now_and_then = [row["name"] for row in found if row["seeds"] is None and not row["tests"]]
    if now_and_then:
        text += f"; found from fewer than half of the starting points: {', '.join(now_and_then)}"
    survivors = [row["name"] for row in rows if row["kills"] == 0]
    if survivors:
        text += f"; SURVIVED: {', '.join(survivors)}"
    if run.problems:
        text += f"; not measured: {', '.join(run.problems)}"
    return text + "."


def with_table(document, body):
    """The document with what is between the marks replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Problem(f"it has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{body}{END}{after}"


def joined(old, rows, names):
    """The lines of a table after a run: what was measured now, and of the rest what is still a patch."""
    lines = {name: text for name, text in old.items() if name in names}
    lines.update((row["name"], line(row)) for row in rows)
    return [lines[name] for name in sorted(lines)]


def report(row):
    if row["kills"] == 0:
        return f"SURVIVED {' '.join(row['tests']) or str(row['hunts']) + ' hunts'}"
    if row["tests"]:
        return f"found by {', '.join(row['by'])}: {row['signature']}"
    middle = "more than the budget" if row["seeds"] is None else f"{row['seeds']} seeds, {row['cpu_seconds']:.3f} s"
    return (f"found from {row['kills']} of {row['hunts']}, median {middle}; {row['signature']}; "
            f"{row['lines']} lines shrunk to {cell(row['shrunk_lines'])} in {row['shrink_seconds']:.1f} s")


class Run:
    """One run of the tool: patches are built one by one while those before them are hunted."""

    def __init__(self, options):
        self.options = options
        self.commands = Commands()
        self.scratch = Scratch(options.root, options.bazel, options.jobs, self.commands)
        self.pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
        self.pending = []  # (row, program, futures of its hunts)
        self.rows = []
        self.problems = []

    def all(self, patches):
        self.scratch.sync()
        if not self.options.only:
            self.build(UNPATCHED, None)
            self.take_in(wait=True)
        for patch in patches:
            tests = tests_of(patch.read_text(encoding="utf-8"))
            self.build(patch.stem, patch, tests)
            self.take_in(wait=False)
        self.take_in(wait=True)

    def build(self, name, patch, tests=()):
        start = time.monotonic()
        row = {"name": name, "tests": tests, "measured": datetime.date.today().isoformat()}
        try:
            if patch is not None:
                row["entry"], row["mechanism"] = describe(patch.read_text(encoding="utf-8"))
                self.scratch.apply(patch)
            if tests:
                row.update(summarise_tests(self.scratch.test(tests)))
            else:
                program = self.scratch.build(name)
        except Problem as problem:
            self.problems.append(name)
            print(f"{name}: {problem}", file=sys.stderr, flush=True)
            return
        finally:
            self.scratch.restore()
        row["build_seconds"] = round(time.monotonic() - start, 1)
        if tests:
            self.add(row)
            return
        print(f"{name}: built in {row['build_seconds']} s", flush=True)
        self.pending.append((row, program, measure(program, self.commands, self.pool, self.options)))

    def take_in(self, wait):
        while self.pending and (wait or all(future.done() for future in self.pending[0][2])):
            row, program, futures = self.pending.pop(0)
            self.finish(row, program, [future.result() for future in futures])
            program.unlink()

    def finish(self, row, program, hunts):
        row.update(summarise(hunts), shrunk_lines=None, shrink_seconds=0, details=hunts)
        kill = next((one for one in hunts if one["signature"] is not None), None)
        if row["name"] == UNPATCHED:
            if kill is not None:
                raise Problem(f"seed {kill['seed']:#x} of {kill['scenario']} fails without any patch: mend that first\n"
                              f"{kill['signature']}\n{kill['report']}")
            print(f"{UNPATCHED}: no seed fails", flush=True)
            return
        if kill is not None:
            small = shrink(program, self.commands, kill, self.options)
            row.update({name: small[name] for name in ("shrunk_lines", "shrink_seconds", "shrink_runs", "shrink_end")})
            if self.options.verbose:
                print(kill["report"])
        self.add(row)

    def add(self, row):
        self.rows.append(row)
        print(f"{row['name']}: {report(row)}", flush=True)

    def stop(self):
        self.commands.stop()
        self.pool.shutdown(wait=True, cancel_futures=True)


def write_results(run, options, stopped):
    if options.json:
        options.json.write_text(json.dumps(run.rows, indent=2) + "\n", encoding="utf-8")
    if options.update and not stopped:
        document = options.update.read_text(encoding="utf-8")
        names = {patch.stem for patch in patches_of(options.root)}
        lines = joined(lines_of(document), run.rows, names)
        only = "".join(f" --only={one}" for one in options.only)
        command = f"bazel run //tools:mutants -- --seeds={options.seeds} --base-seeds={options.base_seeds}{only}"
        body = f"The last run, `{command}`: {conclusion(run)}\n\n{table(lines)}"
        options.update.write_text(with_table(document, body), encoding="utf-8")


def patches_of(root):
    return sorted((root / "tests" / "mutants").rglob("*.patch"), key=lambda patch: patch.stem)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="only patches whose name contains it (again: or this); the tree without a patch is then not "
                        "looked at")
    parser.add_argument("--scenario", default="all", metavar="NAME", help="hunt in this scenario only")
    parser.add_argument("--seeds", type=positive, default=1600, metavar="N",
                        help="seeds from each starting point (%(default)s)")
    parser.add_argument("--cpu-seconds", type=positive, default=120, metavar="N",
                        help="seconds of a processor from each starting point (%(default)s)")
    parser.add_argument("--base-seeds", type=positive, default=5, metavar="N", help="starting points (%(default)s)")
    parser.add_argument("--shrink-seconds", type=positive, default=120, metavar="N",
                        help="how long to shrink one plan (%(default)s)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), metavar="N",
                        help="compilers and hunts at a time (%(default)s)")
    parser.add_argument("--json", type=from_caller, metavar="FILE", help="write all results there")
    parser.add_argument("--update", type=from_caller, metavar="FILE", help=f"write the rows into the table between {BEGIN} and {END}; those of patches that were not measured stay")
    parser.add_argument("--verbose", action="store_true", help="print the report of each first failure")
    parser.add_argument("--bazel", type=shlex.split, default=["bazel"], metavar="COMMAND",
                        help="with its start-up options, if any (bazel)")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the tree (this one)")
    options = parser.parse_args(arguments)
    patches = [patch for patch in patches_of(options.root)
               if not options.only or any(text in patch.name for text in options.only)]
    if not patches:
        parser.error(f"no patch in tests/mutants has {' or '.join(map(repr, options.only))} in its name")
    return options, patches


def main(arguments):
    options, patches = parse(arguments)
    run = Run(options)
    with open(run.scratch.programs.parent / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("mutants: another one runs in this tree: wait for its end", file=sys.stderr)
            return 2
        stopped = False
        try:
            run.all(patches)
        except KeyboardInterrupt:
            run.stop()
            stopped = True
            print(f"\nmutants: stopped; {len(run.rows)} of {len(patches)} patches were measured", file=sys.stderr)
        except Problem as problem:
            run.stop()
            print(f"mutants: {problem}", file=sys.stderr)
            return 1
        finally:
            run.scratch.close()
    write_results(run, options, stopped)
    print(f"\n{table(line(row) for row in run.rows)}\n{conclusion(run)}")
    if stopped:
        return 130
    return 0 if not run.problems and all(row["kills"] for row in run.rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

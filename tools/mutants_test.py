#!/usr/bin/env python3
"""What would break: a bug that no seed finds would pass for one that is found, a median would hide those from which
nothing was found, a patch would stay in the scratch tree for the next one, or Ctrl-C would leave processes behind.

Bazel and the hunting program are replaced by small scripts; the patches change the script that takes the latter's place.
"""

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))
import mutants  # noqa: E402

# "Builds" the hunting program: copies it. `shutdown` does nothing.
BAZEL = """#!/bin/sh
if [ "$1" = test ]; then
  for target in "$@"; do :; done
  grep -q '^FAILING = \[\]' tools/hunt && exit 0
  printf '[ RUN      ] Tasks.End\n[  FAILED  ] Tasks.End (3 ms)\n%s    FAILED in 0.1s\n' "$target"
  exit 3
fi
[ "$1" = build ] || exit 0
grep -q 'does not compile' tools/hunt && { echo 'error: it does not compile' >&2; exit 1; }
mkdir -p bazel-bin/tools && cp tools/hunt bazel-bin/tools/hunt
"""

# Fails at the seeds that a patch names.
HUNT = """#!/usr/bin/env python3
import json, pathlib, sys, time
FAILING = []
given = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if "=" in argument)
first, seeds = int(given["first-seed"]), int(given["seeds"])
if FAILING == "never ends":
    time.sleep(600)
found = next((seed for seed in range(first, first + seeds) if seed in FAILING), None)
result = {"seeds": seeds, "cpu_seconds": seeds / 100, "out_of_time": False, "signature": None}
if found is not None:
    count = found - first + 1
    result.update(scenario="server", seed=found, strategy="uniform", seeds=count, cpu_seconds=count / 100,
                  signature="liveness", report="violated: liveness", lines=80)
if "shrink" in given:
    pathlib.Path(given["shrink"]).write_text("{}")
    result.update(shrunk_lines=2, shrink_runs=9, shrink_seconds=0.5, shrink_end="nothing more can go")
print(json.dumps(result))
sys.exit(0 if found is None else 1)
"""


def patch(entry, failing):
    """A patch that makes the hunt fail at these seeds."""
    return (f"# {entry}: it breaks\n# Caught by: liveness\n--- a/tools/hunt\n+++ b/tools/hunt\n@@ -3,3 +3,3 @@\n"
            " import json, pathlib, sys, time\n-FAILING = []\n"
            f"+FAILING = {failing}\n"
            ' given = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if "=" in argument)\n')


def a_hunt(seeds, signature="liveness", strategy="uniform", cpu=1.0):
    return {"seeds": seeds, "cpu_seconds": cpu, "signature": signature, "scenario": "server", "strategy": strategy,
            "lines": 10}


class Summary(unittest.TestCase):
    def test_the_median_is_over_all_starting_points(self):
        row = mutants.summarise([a_hunt(7), a_hunt(1, strategy="pct-1"), a_hunt(40)])
        self.assertEqual((row["kills"], row["seeds"]), (3, 7))
        self.assertEqual(row["by"], {"server uniform": 2, "server pct-1": 1})

    def test_where_nothing_was_found_counts_as_endless(self):
        nothing = a_hunt(1600, signature=None)
        row = mutants.summarise([a_hunt(1), nothing, nothing])
        self.assertEqual((row["kills"], row["hunts"], row["seeds"], row["cpu_seconds"]), (1, 3, None, None))
        self.assertEqual(mutants.summarise([a_hunt(1), a_hunt(2), nothing])["seeds"], 2)

    def test_a_survivor_has_no_signature(self):
        row = mutants.summarise([a_hunt(1600, signature=None)])
        self.assertEqual((row["kills"], row["signature"], row["lines"], row["by"]), (0, None, None, {}))

    def test_describe(self):
        self.assertEqual(mutants.describe("# A1: it is lost\n# Caught by: x\n--- a/b\n"), ("A1", "it is lost"))
        with self.assertRaises(mutants.Problem):
            mutants.describe("--- a/b\n")

    def test_files_of(self):
        self.assertEqual(mutants.files_of("--- a/x/y.cc\n+++ b/x/y.cc\n@@\n+++ b\n--- a/z\n+++ b/z\t2026\n"),
                         ["x/y.cc", "z"])

    def test_only_what_is_between_the_marks_is_replaced(self):
        document = f"before\n{mutants.BEGIN}\nold\n{mutants.END}\nafter\n"
        self.assertEqual(mutants.with_table(document, "new\n"), f"before\n{mutants.BEGIN}\nnew\n{mutants.END}\nafter\n")
        with self.assertRaises(mutants.Problem):
            mutants.with_table(f"{mutants.END}\n{mutants.BEGIN}\n", "new\n")


class Tool(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        (self.root / "tools").mkdir()
        (self.root / "tests" / "mutants").mkdir(parents=True)
        self.write("fake_bazel", BAZEL, executable=True)
        self.write("tools/hunt", HUNT, executable=True)
        self.write("document.md", f"text\n{mutants.BEGIN}\n{mutants.END}\n")
        self.write(".gitignore", "/.cache/\n")
        subprocess.run(["git", "init", "--quiet", self.root], check=True)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text, executable=False):
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if executable else 0o644)

    def command(self, *arguments):
        return [sys.executable, TOOLS / "mutants.py", f"--root={self.root}", f"--bazel={self.root}/fake_bazel",
                "--jobs=2", *arguments]

    def run_tool(self, *arguments):
        return subprocess.run(self.command(*arguments), text=True, capture_output=True, check=False)

    def test_a_bug_that_is_found_has_a_row(self):
        far = mutants.BASE_SEED_DISTANCE
        self.write("tests/mutants/a1_lost.patch", patch("A1", [12, far + 2, 2 * far + 4]))
        result = self.run_tool("--base-seeds=3", f"--json={self.root}/rows.json", f"--update={self.root}/document.md")
        self.assertEqual(result.returncode, 0, result.stderr)
        today = datetime.date.today().isoformat()
        row = f"| a1_lost | it breaks | 3 of 3 | 5 | 0.050 | server uniform × 3 | liveness | 80 | 2 | {today} |"
        self.assertIn(row, result.stdout)
        self.assertIn("1 of 1 found; the median bug after 5 seeds", result.stdout)
        self.assertIn(row, (self.root / "document.md").read_text(encoding="utf-8"))
        rows = json.loads((self.root / "rows.json").read_text(encoding="utf-8"))
        self.assertEqual([detail["seeds"] for detail in rows[0]["details"]], [13, 3, 5])

    def test_rows_that_were_not_measured_stay_while_their_patch_does(self):
        for name, entry in (("a1_lost", "A1"), ("b1_twice", "B1"), ("c1_late", "C1")):
            self.write(f"tests/mutants/{name}.patch", patch(entry, [0]))
        old = [f"| {name} | it breaks | old | |" for name in ("a1_lost", "b0_gone", "b1_twice")]
        self.write("document.md", f"text\n{mutants.BEGIN}\n{mutants.table(old)}{mutants.END}\n")
        self.assertEqual(self.run_tool("--only=b1", "--only=c1", f"--update={self.root}/document.md").returncode, 0)
        lines = mutants.lines_of((self.root / "document.md").read_text(encoding="utf-8"))
        self.assertEqual(list(lines), ["a1_lost", "b1_twice", "c1_late"])
        self.assertEqual([" old " in text for text in lines.values()], [True, False, False])

    def test_a_survivor_is_told_and_no_patch_stays(self):
        self.write("tests/mutants/a1_lost.patch", patch("A1", [0]))
        self.write("tests/mutants/b1_twice.patch", patch("B1", []))
        result = self.run_tool("--base-seeds=1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("| a1_lost | it breaks | 1 of 1 | 1 |", result.stdout)
        self.assertIn("| b1_twice | it breaks | 0 of 1 | - | - | - | - | - | - |", result.stdout)
        self.assertIn("1 of 2 found", result.stdout)
        self.assertIn("SURVIVED: b1_twice", result.stdout)

    def test_a_patch_may_name_tests_instead_of_the_hunt(self):
        (self.root / "tests" / "mutants" / "tasks").mkdir()
        for name, failing in (("b5_found", [7]), ("b6_missed", "[]  # Nothing.")):
            text = patch("B5", failing).replace("# Caught by: liveness", "# Caught by: it\n# Tests: //x:y_test")
            self.write(f"tests/mutants/tasks/{name}.patch", text)
        result = self.run_tool("--base-seeds=1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("b5_found: found by //x:y_test: Tasks.End\n", result.stdout)
        self.assertIn("| b5_found | it breaks | 1 of 1 | - | - | //x:y_test | Tasks.End | - | - |", result.stdout)
        self.assertIn("b6_missed: SURVIVED //x:y_test\n", result.stdout)
        self.assertIn("1 of 2 found; SURVIVED: b6_missed.", result.stdout)

    def test_where_a_test_ends_the_process_the_last_begun_has_failed(self):
        output = "[ RUN      ] A.One\n[       OK ] A.One\n[ RUN      ] A.Two\n//a:b   TIMEOUT in 60s\n"
        self.assertEqual(mutants.first_failure(output), ("//a:b", "A.Two"))

    def test_patches_that_cannot_be_measured_do_not_pass(self):
        self.write("tests/mutants/a1_old.patch", patch("A1", [0]).replace("-FAILING = []", "-FAILING = ()"))
        self.write("tests/mutants/b1_wrong.patch", patch("B1", "'does not compile'"))
        self.write("tests/mutants/c1_good.patch", patch("C1", [0]))
        result = self.run_tool("--base-seeds=1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("a1_old: it does not apply; make it anew", result.stderr)
        self.assertIn("b1_wrong: it does not build:\nerror: it does not compile", result.stderr)
        self.assertIn("1 of 1 found", result.stdout)
        self.assertIn("; not measured: a1_old, b1_wrong.", result.stdout)

    def test_a_tree_that_fails_by_itself_measures_nothing(self):
        self.write("tools/hunt", HUNT.replace("FAILING = []", "FAILING = [3]"), executable=True)
        self.write("tests/mutants/a1_lost.patch", patch("A1", [0]))
        result = self.run_tool()
        self.assertEqual(result.returncode, 1)
        self.assertIn("seed 0x3 of server fails without any patch: mend that first\nliveness\n", result.stderr)

    def test_wrong_uses(self):
        self.write("tests/mutants/a1_lost.patch", patch("A1", [0]))
        self.assertEqual(self.run_tool("--only=nothing").returncode, 2)
        self.assertEqual(self.run_tool("--seeds=0").returncode, 2)

    def test_control_c_leaves_nothing_running(self):
        self.write("tests/mutants/a1_endless.patch", patch("A1", "'never ends'"))
        with subprocess.Popen(self.command("--only=a1"), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              start_new_session=True, preexec_fn=self.heed_interrupts) as process:
            self.assertIn("built in", process.stdout.readline())
            while not self.hunts_of(process.pid):
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130)
            self.assertIn("stopped; 0 of 1", errors)
            self.assertIn("0 of 0 found", output)
            self.assertEqual(self.hunts_of(process.pid), [])

    @staticmethod
    def heed_interrupts():
        """Who runs this test in the background may have turned them off."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    @staticmethod
    def hunts_of(session):
        """Processes of that session which run a hunt."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.getsid(int(entry)) == session:
                    command = pathlib.Path("/proc", entry, "cmdline").read_text(encoding="utf-8", errors="replace")
                    if "--first-seed" in command:
                        found.append(entry)
            except OSError:
                continue
        return found


if __name__ == "__main__":
    unittest.main()

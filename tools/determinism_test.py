#!/usr/bin/env python3
"""What would break: builds that run a seed differently would pass for equal, or the event where they part would be
looked for where it is not.

The programs are small scripts that print runs as replay does. A difference is planted in some of them.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))
import determinism  # noqa: E402

# Ten events a run. Seed 3 goes another way where PLANTED says so.
REPLAY = """#!/usr/bin/env python3
import json, os, sys, zlib
PLANTED = None
FAILING = None
if "--list" in sys.argv:
    sys.exit(print("server  a test"))
given = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if "=" in argument)
as_json = "--json" in sys.argv
first = int(given["seed"])
code = 0
for seed in range(first, first + int(given.get("runs", 1))):
    rolling, lines = 0, []
    for number in range(1, 11):
        text = f"{seed}.000000 ms  conn 1  sent {number * 100} bytes"
        hidden = ""
        if seed == 3 and number == 6:
            if PLANTED == "here" or PLANTED == "memory" and "MALLOC_PERTURB_" in os.environ:
                text = text.replace("600", "599")
            if PLANTED == "hidden" or PLANTED == "only with --json" and as_json:
                hidden = "another value"
            if PLANTED == "shorter":
                break
        rolling = zlib.crc32((text + hidden).encode(), rolling)
        lines.append(f"{rolling:#x} #{number:<8} {text}")
    if as_json:
        print(json.dumps({"seed": hex(seed), "hash": hex(rolling), "events": len(lines)}))
    else:
        print("\\n".join(lines))
        print("scenario      server")
    if FAILING == seed:
        print("violated: liveness", file=sys.stderr)
        sys.exit(1)
"""

# "Builds" by copying what would come of it.
BAZEL = """#!/bin/sh
for argument in "$@"; do
  case "$argument" in --symlink_prefix=*) links="${argument#*=}" ;; esac
done
echo "$@" >>commands
mkdir -p "${links}bin/tools" && cp replay "${links}bin/tools/replay"
"""


class FirstDifference(unittest.TestCase):
    @staticmethod
    def run_of(hashes):
        return [determinism.Event(number, value, "") for number, value in enumerate(hashes, 1)]

    def test_it_is_found_wherever_it_is(self):
        for count in range(9):
            same = self.run_of(range(count))
            self.assertIsNone(determinism.first_difference(same, same))
            for index in range(count):
                # Behind the first one, all hashes differ.
                other = self.run_of([*range(index), *range(100 + index, 100 + count)])
                self.assertEqual(determinism.first_difference(same, other), index)
                self.assertEqual(determinism.first_difference(other, same), index)

    def test_a_run_that_ends_sooner_differs_where_it_ends(self):
        self.assertEqual(determinism.first_difference(self.run_of(range(5)), self.run_of(range(3))), 3)
        self.assertEqual(determinism.first_difference([], self.run_of(range(3))), 0)


class Tool(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def program(self, name, planted=None, failing=None):
        text = REPLAY.replace("PLANTED = None", f"PLANTED = {planted!r}")
        return self.script(name, text.replace("FAILING = None", f"FAILING = {failing!r}"))

    def script(self, name, text):
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, TOOLS / "determinism.py", "--jobs=2", *arguments], text=True,
                              capture_output=True, check=False)

    def compare(self, one, other, *arguments):
        return self.run_tool(f"--replay=one={one}", f"--replay=other={other}", "--seeds=5", *arguments)

    def test_equal_programs(self):
        result = self.compare(self.program("one"), self.program("other"))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("in 2 builds", result.stdout)
        self.assertIn("all hashes of a seed are equal", result.stdout)

    def test_the_first_event_that_differs_is_printed_as_both_have_it(self):
        result = self.compare(self.program("one"), self.program("other", "here"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("other, random addresses: 5 seeds, 50 events; 1 DIFFER from one, random addresses", result.stdout)
        self.assertIn("seed 0x3 of server:\n  event 6 is the first that differs", result.stdout)
        self.assertIn("    #5 3.000000 ms  conn 1  sent 500 bytes\n  one, ", result.stdout)
        self.assertRegex(result.stdout, r"one, random addresses +#6 3\.000000 ms  conn 1  sent 600 bytes")
        self.assertRegex(result.stdout, r"other, random addresses +#6 3\.000000 ms  conn 1  sent 599 bytes")

    def test_a_difference_that_is_not_printed_is_one(self):
        result = self.compare(self.program("one"), self.program("other", "hidden"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("event 6 is the first that differs", result.stdout)
        self.assertIn("they read the same", result.stdout)

    def test_a_run_that_ends_sooner(self):
        result = self.compare(self.program("one"), self.program("other", "shorter"))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"other, random addresses +the run has ended")

    def test_one_program_that_depends_on_its_surroundings(self):
        program = self.program("one", "memory")
        result = self.run_tool(f"--replay=one={program}", "--seeds=5")
        self.assertEqual(result.returncode, 1)
        self.assertIn("one, filled memory: 5 seeds, 50 events; 1 DIFFER", result.stdout)
        self.assertNotIn("one, fixed addresses: 5 seeds, 50 events; 1 DIFFER", result.stdout)
        # Nothing is wrong with the other seeds.
        self.assertEqual(self.run_tool(f"--replay=one={program}", "--seeds=5", "--first-seed=4").returncode, 0)

    def test_what_is_gone_when_it_is_looked_for_is_a_difference(self):
        result = self.compare(self.program("one"), self.program("other", "only with --json"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("comes and goes", result.stdout)

    def test_a_seed_that_fails_proves_nothing(self):
        result = self.compare(self.program("one", failing=2), self.program("other", failing=2))
        self.assertEqual(result.returncode, 1)
        self.assertIn("a seed failed; mend that first:\nviolated: liveness", result.stdout)
        self.assertIn("a seed FAILED", result.stdout)

    def test_a_program_that_cannot_be_run(self):
        result = self.compare(self.program("one"), self.script("other", "#!/bin/sh\necho broken >&2\nexit 3\n"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("ended with 3:\nbroken", result.stderr)

    def test_wrong_uses(self):
        self.assertEqual(self.run_tool("--only=msvc").returncode, 2)
        self.assertEqual(self.run_tool("--replay=nameless").returncode, 2)

    def test_each_build_is_made_and_compared(self):
        bazel = self.script("bazel", BAZEL)
        self.program("replay")
        result = self.run_tool(f"--root={self.root}", f"--bazel={bazel}", "--seeds=2")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"in {len(determinism.BUILDS)} builds", result.stdout)
        commands = (self.root / "commands").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(set(commands)), len(determinism.BUILDS))
        for wanted in ("--copt=-O0", "--copt=-O3", "--config=clang --copt=-O0", "--config=clang --copt=-O3",
                       "--config=asan"):
            self.assertTrue(any(f"build {wanted} " in command for command in commands), wanted)
        # Another configuration has other outputs.
        suffixes = [word for command in commands for word in command.split() if word.startswith("--platform_suffix")]
        self.assertEqual(len(set(suffixes)), len(suffixes))


if __name__ == "__main__":
    unittest.main()

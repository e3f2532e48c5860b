#!/usr/bin/env python3
"""Counts instructions of a command in user space: CommandProcessor::Process() and all that it calls, from the bytes
of a pipeline to those of its replies. Neither the reactor nor the kernel is in it.

    bazel run --config=bench //bench:instructions
    bazel run --config=bench --config=v3 //bench:instructions -- --pipelines=64 --json=FILE

By callgrind, which counts the same at each run: what so many rounds take more than few, divided by the commands.
Needs the package valgrind.
"""

import argparse
import json
import os
import re
import shutil
import subprocess

FEW = 100
MANY = 1100


def count(target, command, pipeline, rounds):
    result = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*CommandProcessor::Process*",
         target, command, str(pipeline), str(rounds)], capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or collected is None:
        raise SystemExit(f"instructions: callgrind failed:\n{result.stderr.strip()}")
    return int(collected.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=os.environ.get("ORRERY_INSTRUCTIONS_TARGET"), metavar="PATH",
                        help="what is counted (bazel run sets it)")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if not options.target:
        parser.error("say --target=PATH, or start it by `bazel run //bench:instructions`")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (Debian: valgrind)")
    figures = {}
    for pipeline in (int(part) for part in options.pipelines.split(",")):
        for command in ("get", "set"):
            more = count(options.target, command, pipeline, MANY) - count(options.target, command, pipeline, FEW)
            instructions = more / ((MANY - FEW) * pipeline)
            figures[f"{command} {pipeline}"] = instructions
            print(f"{command.upper()}, pipeline {pipeline}: {instructions:.1f} instructions a command", flush=True)
    if options.json:
        path = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), options.json)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()

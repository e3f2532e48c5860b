#!/usr/bin/env python3
"""Measures the device loop beside fio's io_uring engine, at the same depth and block size, in one run.

For random reads of 4 KiB and 64 KiB and sequential reads of 1 MiB, of a file in the page cache and then past it
(O_DIRECT): requests per second, and CPU microseconds per request. The device is played on the loop's thread, and its work is
counted as the loop's. The three take turns, round by round: the loop with its memory registered ("fixed"), without
("plain"), and fio, which registers its buffers and its file; medians over the rounds, with min and max; ratios are medians
of the ratios of each round.

Then the device is a thread of its own: how long requests waited for their claim, and from there to their answer.

    bazel run --config=bench //bench:device
    bazel run --config=bench //bench:device -- --rounds=5 --seconds=2

Needs fio (tools/build/packages.txt, group check), and 256 MiB in the folder of --folder.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile

MIB = 1 << 20
WORKS = [("random 4 KiB", 4096, True, 32), ("random 64 KiB", 65536, True, 32), ("sequential 1 MiB", MIB, False, 8)]


def loop(options, path, work, direct, plain=False, thread=False):
    """One run of the device loop: what it prints."""
    _, block, random, depth = work
    command = [options.device_bench, f"--file={path}", f"--block={block}", f"--depth={depth}", f"--seconds={options.seconds}"]
    command += ["--random"] * random + ["--direct"] * direct + ["--plain"] * plain + ["--thread"] * thread
    if options.cores:
        command += [f"--loop-cpu={options.cores[0]}", f"--device-cpu={options.cores[1]}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def fio(options, path, work, direct):
    """The same of fio: it leaves what is in the page cache there, and registers its buffers and its file."""
    _, block, random, depth = work
    command = ["fio", "--name=device", f"--filename={path}", "--readonly", "--ioengine=io_uring", f"--bs={block}",
               f"--rw={'randread' if random else 'read'}", f"--iodepth={depth}", f"--runtime={options.seconds}",
               "--time_based", "--invalidate=0", "--fixedbufs=1", "--registerfiles=1", f"--direct={int(direct)}",
               "--output-format=json"]
    if options.cores:
        command = ["taskset", "-c", str(options.cores[0]), *command]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    job = json.loads(result.stdout[result.stdout.index("{"):])["jobs"][0]
    read = job["read"]
    cpu_us = (job["usr_cpu"] + job["sys_cpu"]) / 100 * read["runtime"] * 1000
    return {"requests_per_s": read["iops"], "cpu_us_per_request": cpu_us / read["total_ios"]}


def warm(path):
    """Into the page cache, as far as it is not there."""
    with open(path, "rb") as file:
        while file.read(MIB):
            pass


def title(work, direct):
    return f"{work[0]}, depth {work[3]}, {'direct' if direct else 'cached'}"


def measure(options, path, work, direct):
    rounds = [{"fixed": loop(options, path, work, direct),
               "plain": loop(options, path, work, direct, plain=True),
               "fio": fio(options, path, work, direct)} for _ in range(options.rounds)]
    for name, unit, scale in (("requests_per_s", "k req/s", 1000), ("cpu_us_per_request", "CPU us/req", 1)):
        line = f"{title(work, direct):38} {unit:>10}"
        for subject in ("fixed", "plain", "fio"):
            values = [one[subject][name] / scale for one in rounds]
            line += f"{statistics.median(values):9.3f} [{min(values):8.3f},{max(values):8.3f}]"
        for left, right in (("fixed", "fio"), ("plain", "fio"), ("fixed", "plain")):
            line += f"{statistics.median(one[left][name] / one[right][name] for one in rounds):14.2f}"
        print(line, flush=True)


def waits(options, path, work, direct):
    runs = [loop(options, path, work, direct, thread=True) for _ in range(options.rounds)]
    line = f"{title(work, direct):38}"
    for name in ("claim_p50_us", "claim_p99_us", "complete_p50_us", "complete_p99_us"):
        line += f"{statistics.median(one[name] for one in runs):18.1f}"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device-bench", default=os.environ.get("ORRERY_DEVICE_BENCH"), metavar="PROGRAM",
                        help="what device_bench.cc is compiled to (bazel run sets it)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every cell (%(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a run (%(default)s)")
    parser.add_argument("--folder", default=None, help="where the file is made (the system's folder for such)")
    options = parser.parse_args()
    if not options.device_bench:
        parser.error("say --device-bench=PROGRAM, or start it by `bazel run //bench:device`")
    if shutil.which("fio") is None:
        parser.error("fio is not installed (tools/build/install_packages check)")
    cores = sorted(os.sched_getaffinity(0))
    options.cores = cores[:2] if len(cores) >= 2 else None

    with tempfile.NamedTemporaryFile(prefix="orrery-bench-", dir=options.folder) as file:
        for _ in range(256):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
        print(f"{options.rounds} rounds of {options.seconds} s, medians [min, max]")
        print(f"{'':49}" + "".join(f"{name:>29}" for name in ("fixed", "plain", "fio"))
              + "".join(f"{name:>14}" for name in ("fixed / fio", "plain / fio", "fixed / plain")))
        cells = [(work, direct) for direct in (False, True) for work in WORKS]
        for work, direct in cells:
            warm(file.name)
            measure(options, file.name, work, direct)
        print(f"\n{'fixed, the device on a thread; us':38}"
              + "".join(f"{name:>18}" for name in ("claimed, p50", "p99", "answered, p50", "p99")))
        for work, direct in cells:
            warm(file.name)
            waits(options, file.name, work, direct)


if __name__ == "__main__":
    main()

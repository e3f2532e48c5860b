#!/usr/bin/env python3
"""Measures memory per key, side by side with redis-server, in one run.

Each server is filled with the same keys: a million of 16 bytes with values of 8 bytes. Memory is what the kernel says
that the process holds (VmRSS), after minus before, over the number of keys.

    bazel run --config=bench //bench:memory
    bazel run --config=bench //bench:memory -- --keys=200000 --json=/tmp/memory.json

Everything runs on 127.0.0.1, on ports that the system picks.
"""

import argparse
import importlib.util
import json
import os
import shutil
import socket
import sys

BATCH = 1000
GOAL = 0.70


def load_compare():
    """The servers are started as compare.py starts them."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare.py")
    spec = importlib.util.spec_from_file_location("compare", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise SystemExit(f"memory: process {pid} has no VmRSS")


def set_command(key, value):
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value)


def fill(port, keys):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        reader = connection.makefile("rb")
        for start in range(0, keys, BATCH):
            numbers = range(start, min(start + BATCH, keys))
            connection.sendall(b"".join(set_command(b"key:%012d" % n, b"v%07d" % n) for n in numbers))
            for _ in numbers:
                if reader.readline() != b"+OK\r\n":
                    raise SystemExit("memory: SET was refused")
        connection.sendall(b"DBSIZE\r\n")
        if reader.readline() != b":%d\r\n" % keys:
            raise SystemExit("memory: DBSIZE is not the number of keys")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("ORRERY_SERVER"), metavar="PATH",
                        help="orrery-server's binary (bazel run sets it)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys in each server (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if not options.server:
        parser.error("say --server=PATH, or start it by `bazel run //bench:memory`")
    if shutil.which("redis-server") is None:
        parser.error("redis-server is not installed (Debian: redis-server)")

    compare = load_compare()
    commands = {
        "orrery": [os.path.abspath(options.server), "--port", "{port}"],
        "redis": ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    }
    figures = {}
    for name, command in commands.items():
        server = compare.Server(name, command, None)
        try:
            before = resident_bytes(server.process.pid)
            fill(server.port, options.keys)
            figures[name] = (resident_bytes(server.process.pid) - before) / options.keys
        finally:
            server.stop()
    ratio = figures["orrery"] / figures["redis"]
    print(f"{options.keys} keys of 16 bytes with 8-byte values, bytes of resident memory a key")
    for name, per_key in figures.items():
        print(f"{name:8}{per_key:10.1f}")
    print(f"orrery / redis: {ratio:.2f} (goal: at most {GOAL:.2f})")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"keys": options.keys, "bytes_per_key": figures, "ratio": ratio}, file, indent=2)
            file.write("\n")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

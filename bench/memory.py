#!/usr/bin/env python3
"""Measures memory per key, side by side with redis-server, in one run.

Each server is filled with the same keys, a million of 16 bytes with values of 8 bytes, over one connection in pipelines
of 1000. Memory is what the kernel says that the process holds (VmRSS), at three moments: when the server has started,
after a warm-up, and when it is full. The warm-up sends over the same connection the same pipelines as the filling, all
for one key, and deletes that key: what a server allocates for itself (receive and output buffers, of which the system
gives a page only when it is written for the first time) has then been touched and is not counted as keys.

    bytes a key         full minus warm, over the number of keys: what the keys cost; the goal is about this
    with the buffers    full minus started, over the number of keys: the same and what the warm-up touched
    MiB, full           resident memory overall: all that the process holds, its program and buffers included

    bazel run --config=bench //bench:memory
    bazel run --config=bench //bench:memory -- --keys=200000 --json=/tmp/memory.json

Everything runs on 127.0.0.1, on ports that the system picks.
"""

import argparse
import json
import os
import shutil
import socket
import sys

from servers import Server

BATCH = 1000
GOAL = 0.70
MEBIBYTE = 1 << 20


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise SystemExit(f"memory: process {pid} has no VmRSS")


def set_command(key, value):
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value)


def send_sets(connection, reader, keys):
    """SETs of `keys`, in pipelines."""
    for start in range(0, len(keys), BATCH):
        batch = keys[start:start + BATCH]
        connection.sendall(b"".join(set_command(b"key:%012d" % n, b"v%07d" % n) for n in batch))
        for _ in batch:
            if reader.readline() != b"+OK\r\n":
                raise SystemExit("memory: SET was refused")


def expect(connection, reader, command, reply):
    connection.sendall(command + b"\r\n")
    if reader.readline() != reply + b"\r\n":
        raise SystemExit(f"memory: {command.decode()} did not answer {reply.decode()}")


def measure(server, keys):
    """Resident bytes: of the started server, of the warm one, and of the full one."""
    pid = server.process.pid
    started = resident_bytes(pid)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        reader = connection.makefile("rb")
        send_sets(connection, reader, [0] * keys)
        expect(connection, reader, b"DEL key:%012d" % 0, b":1")
        expect(connection, reader, b"DBSIZE", b":0")
        warm = resident_bytes(pid)
        send_sets(connection, reader, range(keys))
        expect(connection, reader, b"DBSIZE", b":%d" % keys)
        full = resident_bytes(pid)
    return {"started": started, "warm": warm, "full": full}


def print_row(title, of, orrery, redis):
    print(f"{title:18}{of(orrery):10.1f}{of(redis):10.1f}{of(orrery) / of(redis):10.2f}")


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

    commands = {
        "orrery": [os.path.abspath(options.server), "--port", "{port}", "--shards", "1"],
        "redis": ["redis-server", "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    }
    resident = {}
    for name, command in commands.items():
        server = Server(name, command, None)
        try:
            resident[name] = measure(server, options.keys)
        finally:
            server.stop()
    per_key = {name: (at["full"] - at["warm"]) / options.keys for name, at in resident.items()}
    ratio = per_key["orrery"] / per_key["redis"]
    print(f"{options.keys} keys of 16 bytes with 8-byte values")
    print(f"{'':18}{'orrery':>10}{'redis':>10}{'ratio':>10}")
    both = resident["orrery"], resident["redis"]
    print_row("bytes a key", lambda at: (at["full"] - at["warm"]) / options.keys, *both)
    print_row("with the buffers", lambda at: (at["full"] - at["started"]) / options.keys, *both)
    for moment in ("started", "warm", "full"):
        print_row(f"MiB, {moment}", lambda at, moment=moment: at[moment] / MEBIBYTE, *both)
    print(f"orrery / redis, bytes a key: {ratio:.2f} (goal: at most {GOAL:.2f})")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"keys": options.keys, "resident_bytes": resident, "bytes_per_key": per_key, "ratio": ratio}, file, indent=2)
            file.write("\n")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Counts instructions of a command in user space, by callgrind: of CommandProcessor::Process() and all that it calls,
from the bytes of a pipeline to those of its replies, and of the whole server on its ring.

    bazel run --config=bench //bench:instructions
    bazel run --config=bench --config=v3 //bench:instructions -- --pipelines=64 --json=FILE
    bazel run --config=bench //bench:instructions -- --process-only

Those of Process() are the same at each run: what so many rounds take more than few, divided by the commands. Those of
the server are counted under load (50 connections), and depend a little on how many requests come in a turn: under
callgrind it is so slow that many do. The kernel's are in neither. Needs the package valgrind.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import time

from servers import free_port

FEW = 100
MANY = 1100
KEYS = 10_000
SECONDS = 3
START_SECONDS_MAX = 60


def count(target, command, pipeline, rounds):
    result = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*CommandProcessor::Process*",
         target, command, str(pipeline), str(rounds)], capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or collected is None:
        raise SystemExit(f"instructions: callgrind failed:\n{result.stderr.strip()}")
    return int(collected.group(1))


def connect(port):
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit("instructions: the server did not start under callgrind") from None
            time.sleep(0.1)


def commands_processed(connection):
    connection.sendall(b"INFO stats\r\n")
    text = b""
    while (found := re.search(rb"total_commands_processed:(\d+)\r\n", text)) is None:
        text += connection.recv(65536)
    return int(found.group(1))


def count_server(options, command, pipeline):
    """Instructions a command of the whole server."""
    port = free_port()
    generate = [options.generator, "--port", str(port), "--keys", str(KEYS)]
    with subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", options.server, "--port", str(port), "--shards", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        with connect(port) as connection:
            subprocess.run(generate + ["--fill", "--pipeline", "32", "--connections", "4"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["callgrind_control", "--zero", str(server.pid)], check=True, capture_output=True)
            before = commands_processed(connection)
            subprocess.run(generate + ["--workload", command, "--pipeline", str(pipeline), "--seconds", str(SECONDS)],
                           check=True, stdout=subprocess.DEVNULL)
            commands = commands_processed(connection) - before
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        log = server.stderr.read()
    return int(re.search(r"Collected : (\d+)", log).group(1)) / commands


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=os.environ.get("ORRERY_INSTRUCTIONS_TARGET"), metavar="PATH",
                        help="what is counted (bazel run sets it)")
    parser.add_argument("--server", default=os.environ.get("ORRERY_SERVER"), metavar="PATH",
                        help="orrery-server's binary (the same)")
    parser.add_argument("--generator", default=os.environ.get("ORRERY_GENERATOR"), metavar="PATH",
                        help="the load generator's (the same)")
    parser.add_argument("--process-only", action="store_true", help="not the whole server")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if not options.target or not (options.process_only or options.server and options.generator):
        parser.error("say --target, --server and --generator, or start it by `bazel run //bench:instructions`")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (Debian: valgrind)")
    figures = {}
    for pipeline in (int(part) for part in options.pipelines.split(",")):
        for command in ("get", "set"):
            more = count(options.target, command, pipeline, MANY) - count(options.target, command, pipeline, FEW)
            instructions = more / ((MANY - FEW) * pipeline)
            figures[f"{command} {pipeline}"] = instructions
            print(f"{command.upper()}, pipeline {pipeline}: {instructions:.1f} instructions a command", end="", flush=True)
            if not options.process_only:
                whole = count_server(options, command, pipeline)
                figures[f"{command} {pipeline}, server"] = whole
                print(f", {whole:.0f} of the whole server", end="")
            print(flush=True)
    if options.json:
        path = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", ""), options.json)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()

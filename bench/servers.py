"""The servers that are compared: starting one, what CPU it takes, and stopping it.

Used by the comparisons beside it. Everything runs on 127.0.0.1, on ports that the system picks.
"""

import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time

START_SECONDS_MAX = 10.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server; `command` is a list with {port} where its port goes, `answer` what it says to `question`."""

    def __init__(self, name, command, cpu, question=b"*1\r\n$4\r\nPING\r\n", answer=b"+PONG\r\n"):
        self.name = name
        self.question = question
        self.answer = answer
        self.port = free_port()
        self.scratch = tempfile.TemporaryDirectory(prefix="orrery-bench-")
        self.process = subprocess.Popen(
            [part.format(port=self.port) for part in command],
            cwd=self.scratch.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})
        self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                message = self.process.stderr.read().decode(errors="replace").strip()
                raise SystemExit(f"{self.name} did not start: {message}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(self.question)
                    if connection.recv(len(self.answer)) == self.answer:
                        return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise SystemExit(f"{self.name} did not answer within {START_SECONDS_MAX:.0f} s")

    def cpu_seconds(self):
        # What each thread has had of a processor, in nanoseconds: /proc/PID/stat counts ticks of 10 ms. No thread of
        # these servers ends before they do.
        threads = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stderr.close()
        self.scratch.cleanup()


def load(server, test, pipeline, requests, clients, keys, value_bytes):
    """One run of redis-benchmark: (requests per second, CPU microseconds per request)."""
    before = server.cpu_seconds()
    result = subprocess.run(
        [
            "redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", test, "-P", str(pipeline),
            "-n", str(requests), "-c", str(clients), "-r", str(keys), "-d", str(value_bytes), "--csv",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    cpu = server.cpu_seconds() - before
    if result.returncode != 0 or "rror" in result.stdout + result.stderr:
        raise SystemExit(f"redis-benchmark failed against {server.name}:\n{result.stdout}{result.stderr}")
    # "SET","123456.78",...
    row = result.stdout.strip().splitlines()[-1].split(",")
    return float(row[1].strip('"')), cpu / requests * 1e6


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}

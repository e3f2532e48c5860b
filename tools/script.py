"""What the Python scripts among the tools share: how they run commands, take arguments and stop."""

import argparse
import os
import pathlib
import subprocess
import threading


class Problem(Exception):
    """Something that the caller has to mend; the text says how."""


class Commands:
    """Runs commands, on several threads if need be. Once it is stopped none of them is left, and none begins."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = set()
        self._stopped = False

    def run(self, command, cwd=None, environment=None):
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(command, cwd=cwd, env=environment, text=True, errors="replace",
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self._running.add(process)
        try:
            output, errors = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if self._stopped:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def stop(self):
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def positive(text):
    """For argparse: a number that is 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def from_caller(text):
    """For argparse: a path as the caller means it, who may be elsewhere when Bazel runs this."""
    return pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), text)

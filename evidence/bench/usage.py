"""Runs a program, and says what it used of the machine."""

import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple


class Usage(NamedTuple):
    """Wall time in seconds, user and system CPU time in seconds, and the peak MiB of the largest process."""

    seconds: float
    cpu: float
    memory: float


def measure(command: list, environment: dict) -> tuple[Usage, str]:
    """What a program used, and what it printed. A program that fails ends the benchmark."""
    with tempfile.TemporaryFile("w+") as output:
        begin = time.monotonic()
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    if process.returncode:
        sys.exit(f"{command[:3]} ended with {process.returncode}: {printed[-4000:]}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), printed

"""Runs seatrial-evidence and theirs.py in turn on the same tables: bench.py PROGRAM --rows N --rounds N.

What counts are the ratios: a machine that does other things slows both.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from usage import measure

HERE = Path(__file__).parent
# The smallest part of its output that shows that both measured the same.
SHOWN = "rocAuc"


def measured(command: list, environment: dict) -> tuple:
    """What a program used, and the number that it printed beside SHOWN."""
    usage, printed = measure(command, environment)
    return *usage, next(float(line.split()[1]) for line in printed.splitlines() if line.startswith(SHOWN + " "))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A process of its own: the peak of a child begins with what its parent took.
        subprocess.run([sys.executable, HERE / "tables.py", folder, str(arguments.rows)], check=True)
        print(f"{arguments.rows} rows, {arguments.rounds} rounds, medians")
        for kind in ("csv", "parquet"):
            predictions = folder / f"predictions.{kind}"
            config = {
                "version": 2,
                "task": {"type": "BinaryClassification", "positiveLabel": "1"},
                "predictions": str(predictions),
                "labels": {"folder": str(folder / kind), "id": "id", "label": "label"},
                "slices": ["group"],
            }
            settings = {"SEATRIAL_CONFIG": json.dumps(config), "SEATRIAL_TERMINATION_LOG": str(folder / "log")}
            commands = {
                "seatrial-evidence": ([arguments.program, "judge"], settings),
                "scikit-learn": ([sys.executable, HERE / "theirs.py", predictions, folder / kind / f"labels.{kind}"], {}),
            }
            found = {who: [] for who in commands}
            for _ in range(arguments.rounds):
                for who, (command, environment) in commands.items():
                    found[who].append(measured(command, environment))
            medians = {who: [statistics.median(values) for values in zip(*rounds)] for who, rounds in found.items()}
            for who, (seconds, cpu, memory, area) in medians.items():
                print(f"{kind:8}{who:18}{seconds:8.1f} s {cpu:8.1f} s CPU {memory:7.0f} MiB  {SHOWN} {area:.9f}")
            ours, theirs = medians.values()
            if abs(ours[3] - theirs[3]) > 1e-9:
                sys.exit(f"{SHOWN} differs")
            ratios = [other / one for one, other in zip(ours[:3], theirs[:3])]
            print(f"{kind:8}ratio: {ratios[0]:.1f} in time, {ratios[1]:.1f} in CPU time, {ratios[2]:.1f} in memory")


main()

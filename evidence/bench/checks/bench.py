"""Runs seatrial-evidence, plain DuckDB and datacontract-cli in turn on the same tables: bench.py PROGRAM --rows N --rounds N.

What counts are the ratios: a machine that does other things slows all three.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import rules

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from usage import measure  # noqa: E402: it is the other benchmark's, too


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
        print(f"{arguments.rows} rows, {len(rules.COLUMNS)} columns, 40 rules, {arguments.rounds} rounds, medians")
        for kind in ("csv", "parquet"):
            path, document = str(folder / f"data.{kind}"), folder / f"{kind}.odcs.yaml"
            document.write_text(json.dumps(rules.contract(path, kind)))
            config = rules.ours(path, str(folder / "reports"), str(folder / "scratch"))
            settings = {"SEATRIAL_CONFIG": config, "SEATRIAL_TERMINATION_LOG": str(folder / "log")}
            theirs = [sys.executable, HERE / "theirs.py"]
            commands = {
                "seatrial-evidence": ([arguments.program, "check"], settings),
                "duckdb": ([*theirs, "duckdb", rules.query(path)], {}),
                "datacontract-cli": ([*theirs, "datacontract", document], {}),
            }
            found = {who: [] for who in commands}
            for _ in range(arguments.rounds):
                for who, (command, environment) in commands.items():
                    found[who].append(measure(command, environment)[0])
                report = json.loads((folder / "reports" / "data.json").read_text())
                if report["verdict"] != "Passed" or report["rows"] != arguments.rows:
                    sys.exit(f"seatrial-evidence says {report['verdict']}: {report['sentence']}")
            medians = {who: [statistics.median(values) for values in zip(*rounds)] for who, rounds in found.items()}
            for who, (seconds, cpu, memory) in medians.items():
                speed = arguments.rows / seconds / 1e6
                print(f"{kind:8}{who:18}{seconds:8.1f} s {cpu:8.1f} s CPU {memory:7.0f} MiB {speed:8.2f} million rows a second")
                sys.stdout.flush()


main()

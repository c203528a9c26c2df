"""Compares verdicts about data, rule by rule, with those of datacontract-cli: checks.py PROGRAM.

Each rule has a column of its own, with values that keep it and values that break it. Where the two are meant to differ, the
case says what datacontract-cli says.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from datacontract.data_contract import DataContract

ZERO = {"mustBe": "0"}


def values(test: str, value: object) -> dict:
    return {"type": "values", "test": {"type": test, "value": value}}


def metric(name: str, bound: dict, **more: object) -> dict:
    return {"type": name, "is": bound, **more}


def query(text: str, bound: dict) -> dict:
    return {"type": "sql", "query": text, "is": bound}


# By column: type, what ODCS says of it, what that is compiled to, values that keep it, values that break it, and what
# datacontract-cli says of both where it says something else: whether they are broken.
CASES = {
    "required": ("string", {"required": True}, {"type": "required"}, "abcde", ["a", "b", None, "d", "e"], {}),
    "unique": ("integer", {"unique": True}, {"type": "unique"}, [1, 2, 3, 4, 5], [1, 2, 3, 4, 1], {}),
    "unique_nulls": ("integer", {"unique": True}, {"type": "unique"}, [1, 2, 3, None, None], [1, 2, 2, None, None], {}),
    "min_length": ("string", {"logicalTypeOptions": {"minLength": 2}}, values("minLength", 2),
                   ["ab"] * 5, ["ab", "a", "ab", "ab", "ab"], {}),
    "max_length": ("string", {"logicalTypeOptions": {"maxLength": 2}}, values("maxLength", 2),
                   ["äö"] * 5, ["ab", "abc", "ab", "ab", "ab"], {}),
    "pattern": ("string", {"logicalTypeOptions": {"pattern": "^[A-Z]{2}$"}}, values("pattern", "^[A-Z]{2}$"),
                ["AB"] * 5, ["AB", "ABC", "AB", "AB", "AB"], {}),
    "minimum": ("integer", {"logicalTypeOptions": {"minimum": 3}}, values("minimum", "3"),
                [3, 4, 5, 6, 7], [2, 4, 5, 6, 7], {}),
    "maximum": ("number", {"logicalTypeOptions": {"maximum": 1}}, values("maximum", "1"),
                [0.5, 1, 0.25, 0, -1.5], [0.5, 1.01, 0.25, 0, -1.5], {}),
    "above": ("integer", {"logicalTypeOptions": {"exclusiveMinimum": 3}}, values("exclusiveMinimum", "3"),
              [4, 4, 5, 6, 7], [3, 4, 5, 6, 7], {}),
    "below": ("integer", {"logicalTypeOptions": {"exclusiveMaximum": 3}}, values("exclusiveMaximum", "3"),
              [2, 1, 0, 1, 2], [3, 1, 0, 1, 2], {}),
    "nulls": ("integer", {"quality": [{"metric": "nullValues", "mustBe": 0}]}, metric("nullValues", ZERO),
              [1, 2, 3, 4, 5], [1, 2, 3, 4, None], {}),
    "nulls_percent": ("integer", {"quality": [{"metric": "nullValues", "mustBeLessThan": 40, "unit": "percent"}]},
                      metric("nullValues", {"mustBeLessThan": "40"}, unit="percent"),
                      [1, 2, 3, 4, None], [1, 2, 3, None, None], {}),
    "nulls_between": ("integer", {"quality": [{"metric": "nullValues", "mustBeBetween": [1, 2]}]},
                      metric("nullValues", {"mustBeBetween": ["1", "2"]}), [1, 2, 3, 4, None], [1, 2, 3, 4, 5], {}),
    "nulls_outside": ("integer", {"quality": [{"metric": "nullValues", "mustNotBeBetween": [1, 2]}]},
                      metric("nullValues", {"mustNotBeBetween": ["1", "2"]}), [1, 2, 3, 4, 5], [1, 2, 3, None, None], {}),
    "missing": ("string", {"quality": [{"metric": "missingValues", "arguments": {"missingValues": [None, "N/A"]}, "mustBe": 0}]},
                metric("missingValues", ZERO, values=["N/A"], null=True), "abcde", ["a", "N/A", "c", "d", "e"], {}),
    "missing_null": ("string", {"quality": [{"metric": "missingValues", "arguments": {"missingValues": ["N/A"]}, "mustBe": 0}]},
                     metric("missingValues", ZERO, values=["N/A"], null=False), ["a", None, "c", "d", "e"],
                     ["a", "N/A", "c", "d", "e"], {"good": True}),
    "valid": ("string", {"quality": [{"metric": "invalidValues", "arguments": {"validValues": ["x", "y"]}, "mustBe": 0}]},
              metric("invalidValues", ZERO, tests=[{"type": "oneOf", "value": ["x", "y"]}]),
              ["x", "y", "x", None, "x"], ["x", "y", "x", "z", "x"], {}),
    "valid_few": ("string", {"quality": [{"metric": "invalidValues", "arguments": {"validValues": ["x"]}, "mustBeLessThan": 2}]},
                  metric("invalidValues", {"mustBeLessThan": "2"}, tests=[{"type": "oneOf", "value": ["x"]}]),
                  ["x", "y", "x", "x", "x"], ["x", "y", "x", "z", "x"], {}),
    "duplicates": ("integer", {"quality": [{"metric": "duplicateValues", "mustBe": 0}]},
                   metric("duplicateValues", ZERO), [1, 2, 3, 4, 5], [1, 1, 2, 2, 2], {}),
    "duplicates_nulls": ("integer", {"quality": [{"metric": "duplicateValues", "mustBe": 0}]},
                         metric("duplicateValues", ZERO), [1, 2, 3, None, None], [1, 1, 2, None, None], {}),
    # Three rows would have to go; two values are there more than once.
    "duplicates_few": ("integer", {"quality": [{"metric": "duplicateValues", "mustBeLessThan": 3}]},
                       metric("duplicateValues", {"mustBeLessThan": "3"}), [1, 1, 2, 2, 3], [1, 1, 2, 2, 2], {"bad": False}),
    # The table is the schema object: `{object}` and `{property}` are placeholders for both.
    "query": ("integer", {"quality": [{"type": "sql", "query": "SELECT COUNT(*) FROM {object} WHERE {property} > 4", "mustBe": 1}]},
              query("SELECT COUNT(*) FROM data WHERE query > 4", {"mustBe": "1"}), [1, 2, 3, 4, 5], [1, 2, 3, 4, 4], {}),
    "query_share": ("number", {"quality": [{"type": "sql", "mustBeLessThan": 50, "query":
                    "SELECT 100.0 * SUM(CASE WHEN {property} IS NULL THEN 1 ELSE 0 END) / COUNT(*) FROM {object}"}]},
                    query("SELECT 100.0 * SUM(CASE WHEN query_share IS NULL THEN 1 ELSE 0 END) / COUNT(*) FROM data",
                          {"mustBeLessThan": "50"}), [0.5, 1, None, None, 2], [0.5, None, None, None, 2], {}),
    "query_groups": ("string", {"quality": [{"type": "sql", "mustBeLessOrEqualTo": 2, "query":
                     "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM {object} WHERE {property} IS NOT NULL GROUP BY {property}) AS counted"}]},
                     query("SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM data WHERE query_groups IS NOT NULL GROUP BY query_groups) AS counted",
                           {"mustBeLessOrEqualTo": "2"}), ["a", "a", "b", None, "c"], ["a", "a", "a", "b", "c"], {}),
    "day": ("date", {}, {"type": "type"}, ["2026-01-01"] * 5, ["2026-01-01", "soon", "2026-01-01", "2026-01-01", "2026-01-01"], {}),
    "whole": ("integer", {}, {"type": "type"}, [1, 2, 3, 4, 5], [1, 2, "x", 4, 5], {}),
}


def table(path: Path, place: int) -> None:
    columns = {name: list(case[place]) for name, case in CASES.items()}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(["" if value is None else value for value in row] for row in zip(*columns.values()))


def ours(program: str, path: Path, folder: Path) -> dict:
    """By column: whether its rule is broken."""
    rules = []
    for name, (_, _, check, *_) in CASES.items():
        named = {"duplicateValues": {"columns": [name]}, "sql": {}}.get(check["type"], {"column": name})
        rules.append({"name": name, "severity": "error", "check": {**check, **named}})
    columns = [{"name": name, "logicalType": case[0]} for name, case in CASES.items()]
    check = {"input": "data", "contract": "a/b", "revision": "1", "path": str(path), "columns": columns, "rules": rules}
    config = {"version": 1, "inputs": [check], "reports": str(folder)}
    settings = {"SEATRIAL_CONFIG": json.dumps(config), "SEATRIAL_TERMINATION_LOG": str(folder / "log")}
    subprocess.run([program, "check"], env=os.environ | settings, check=True, stderr=subprocess.DEVNULL)
    report = json.loads((folder / "data.json").read_text())
    return {rule["rule"]: {"Held": False, "Broken": True}[rule["outcome"]] for rule in report["rules"]}


def theirs(path: Path, name: str) -> bool:
    """Whether a column's rule is broken. A contract for each: a column of the wrong type stops the whole run."""
    kind, said, *_ = CASES[name]
    schema = {"name": "data", "physicalName": "data", "properties": [{"name": name, "logicalType": kind, **said}]}
    server = {"server": "local", "type": "local", "path": str(path), "format": "csv", "delimiter": ","}
    document = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "a", "name": "a", "version": "1.0.0", "status": "active",
                "servers": [server], "schema": [schema]}
    run = DataContract(data_contract_str=json.dumps(document)).test()
    return any(check.result in ("failed", "error") for check in run.checks)


def main(program: str) -> None:
    differ = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for place, which, meant in ((3, "good", False), (4, "bad", True)):
            path = folder / f"{which}.csv"
            table(path, place)
            found = ours(program, path, folder)
            for name, case in CASES.items():
                expected = case[5].get(which, meant)
                single = folder / f"{name}.csv"
                with single.open("w", newline="") as file:
                    writer = csv.writer(file)
                    # A second column, since a row of one empty field is a blank line.
                    writer.writerows([[name, "row"], *(["" if value is None else value, row] for row, value in enumerate(case[place]))])
                other = theirs(single, name)
                agreed = "as intended " if other != found[name] else ""
                if (found[name], other) != (meant, expected):
                    differ += 1
                    agreed = "DIFFERS "
                print(f"{name:18}{which:6}{agreed}broken: here {found[name]}, datacontract-cli {other}")
    print(f"{2 * len(CASES) - differ} passed, {differ} failed")
    sys.exit(1 if differ else 0)


main(sys.argv[1])

"""The columns and the forty rules of the benchmark, for each of the three that check them."""

import json

# Name, logical type, how DuckDB makes a value of row i.
COLUMNS = [
    ("id", "integer", "i"),
    ("ref", "string", "md5(i::varchar)"),
    ("country", "string", "['de','fr','it','es','pl','nl'][1 + (h % 6)::int]"),
    ("city", "string", "'city ' || (h % 1000)"),
    ("email", "string", "'user' || i || '@example.org'"),
    ("age", "integer", "18 + h % 80"),
    ("children", "integer", "h % 5"),
    ("income", "number", "((h % 9000000) / 100.0)::decimal(12,2)"),
    ("balance", "number", "((h % 2000000) / 100.0 - 10000)::decimal(12,2)"),
    ("score", "number", "(h % 1000000) / 1000000.0::double"),
    ("rate", "number", "(h % 997) / 1000.0::double"),
    ("day", "date", "date '2020-01-01' + (h % 2000)::int"),
    ("at", "timestamp", "timestamp '2020-01-01' + interval (h % 100000000) second"),
    ("active", "boolean", "h % 2 = 0"),
    ("code", "string", "chr((65 + h % 26)::int) || chr((65 + h % 25)::int) || lpad((h % 10000)::varchar, 4, '0')"),
    ("note", "string", "case when h % 10 = 0 then null else 'note ' || (h % 100000) end"),
    ("quantity", "integer", "1 + h % 99"),
    ("price", "number", "(1 + (h % 99999) / 100.0)::decimal(12,2)"),
    ("discount", "number", "case when h % 7 = 0 then null else (h % 30) / 100.0 end"),
    ("segment", "string", "['private','small','large'][1 + (h % 3)::int]"),
]
NULLABLE = {"note", "discount"}
# Column, option of the standard, bound.
OPTIONS = [
    ("age", "minimum", 18), ("age", "maximum", 120), ("score", "minimum", 0), ("score", "maximum", 1),
    ("income", "minimum", 0), ("quantity", "minimum", 1), ("quantity", "maximum", 100), ("price", "minimum", 0),
    ("discount", "minimum", 0), ("discount", "maximum", 1), ("rate", "minimum", 0), ("rate", "maximum", 1),
    ("code", "pattern", "^[A-Z]{2}[0-9]{4}$"), ("email", "pattern", "^[a-z0-9]+@[a-z]+[.]org$"), ("note", "maxLength", 20),
]
ENUMS = {"country": ["de", "fr", "it", "es", "pl", "nl"], "segment": ["private", "small", "large"]}
UNIQUE = ["id", "ref"]


def ours(path: str, reports: str, scratch: str) -> str:
    """The config of seatrial-evidence."""
    checks = {"rows": {"type": "rowCount", "is": {"mustBeGreaterThan": "0"}}}
    for name, _, _ in COLUMNS:
        is_, unit = ({"mustBeLessThan": "20"}, "percent") if name in NULLABLE else ({"mustBe": "0"}, "rows")
        checks[f"{name} nulls"] = {"type": "nullValues", "column": name, "is": is_, "unit": unit}
    for name, option, bound in OPTIONS:
        value = bound if option == "maxLength" else str(bound)
        checks[f"{name} {option}"] = {"type": "values", "column": name, "test": {"type": option, "value": value}}
    for name, values in ENUMS.items():
        tests = [{"type": "oneOf", "value": values}]
        checks[f"{name} valid"] = {"type": "invalidValues", "column": name, "tests": tests, "is": {"mustBe": "0"}}
    for name in UNIQUE:
        checks[f"{name} unique"] = {"type": "unique", "column": name}
    rules = [{"name": name, "severity": "error", "check": check} for name, check in checks.items()]
    assert len(rules) == 40
    columns = [{"name": name, "logicalType": kind, "shown": True} for name, kind, _ in COLUMNS]
    check = {"input": "data", "contract": "bench/data", "revision": "1", "path": path, "columns": columns, "rules": rules}
    limits = {"scratch": scratch, "disk": 1 << 34}
    return json.dumps({"version": 1, "inputs": [check], "reports": reports, "limits": limits})


def contract(path: str, kind: str) -> dict:
    """The document of datacontract-cli. Its checks of types come on top, as it has no way to leave them out."""
    properties = []
    for name, logical, _ in COLUMNS:
        bound = {"mustBeLessThan": 20, "unit": "percent"} if name in NULLABLE else {"mustBe": 0}
        quality = [{"metric": "nullValues", **bound}]
        if name in ENUMS:
            quality.append({"metric": "invalidValues", "arguments": {"validValues": ENUMS[name]}, "mustBe": 0})
        one = {"name": name, "logicalType": logical, "quality": quality}
        options = {option: bound for column, option, bound in OPTIONS if column == name}
        if options:
            one["logicalTypeOptions"] = options
        if name in UNIQUE:
            one["unique"] = True
        properties.append(one)
    schema = {"name": "data", "physicalName": "data", "properties": properties,
              "quality": [{"metric": "rowCount", "mustBeGreaterThan": 0}]}
    server = {"server": "local", "type": "local", "path": path, "format": kind, "delimiter": ","}
    return {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "bench", "name": "bench", "version": "1.0.0",
            "status": "active", "servers": [server], "schema": [schema]}


def query(path: str) -> str:
    """The same counts as one query."""
    counts = ["count(*)"]
    counts += [f'count(*) filter ("{name}" is null)' for name, _, _ in COLUMNS]
    for name, option, bound in OPTIONS:
        bad = {"minimum": f"{name} < {bound}", "maximum": f"{name} > {bound}", "maxLength": f"length({name}) > {bound}",
               "pattern": f"not regexp_matches({name}, '{bound}')"}[option]
        counts.append(f"count(*) filter ({bad})")
    for name, values in ENUMS.items():
        listed = ", ".join(f"'{value}'" for value in values)
        counts.append(f"count(*) filter ({name} not in ({listed}))")
    counts += [f"count({name}) - count(distinct {name})" for name in UNIQUE]
    assert len(counts) == 40
    return f"select {', '.join(counts)} from '{path}'"

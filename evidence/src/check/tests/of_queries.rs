//! Rules of type `sql`.

use RuleOutcome::{Broken, Held, Inconclusive, NotChecked};

use super::*;

const DATA: &str = "id,name,amount,day,at,ok,code\n\
    1,Ada,1.5,2026-01-31,2026-01-31T10:00:00.5Z,true,007\n\
    2,Bob,-2,2026-02-01,2026-02-01T00:00:00+01:00,FALSE,8\n\
    3,,,,,,\n\
    9223372036854775807,Cyd,1e3,2025-12-31,2026-01-31T09:59:59Z,true,DE\n";

fn columns() -> Value {
    json!([
        {"name": "id", "logicalType": "integer"}, {"name": "name", "logicalType": "string"},
        {"name": "amount", "logicalType": "number"}, {"name": "day", "logicalType": "date"},
        {"name": "at", "logicalType": "timestamp"}, {"name": "ok", "logicalType": "boolean"}, {"name": "code"},
    ])
}

fn query(query: &str, is: &Value) -> Value {
    json!({"type": "sql", "query": query, "is": is})
}

/// Checks the data by one query.
fn asked(content: &str, text: &str, is: &Value, seconds: u64) -> CheckReport {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), content).unwrap();
    let rules = json!({"rule": query(text, is)});
    let mut config = config(folder.path(), &columns(), &rules, &json!({"table": "t"}));
    config.limits.seconds = seconds;
    report(&config)
}

#[test]
fn a_query_gives_one_number_that_is_compared() {
    for (text, number) in [
        ("SELECT COUNT(*) FROM t", "4"),
        ("SELECT COUNT(*) FROM \"t\" WHERE name IS NULL", "1"),
        ("select sum(amount) from t", "999.5"),
        ("SELECT MAX(id) FROM t", "9223372036854775807"),
        ("SELECT MIN(amount) < 0 FROM t", "1"),
        ("SELECT COUNT(*) FROM t WHERE day >= '2026-01-01' AND day < date('2026-01-01', '+1 month')", "1"),
        ("SELECT COUNT(*) FROM t WHERE at = '2026-01-31 10:00:00.5'", "1"),
        ("SELECT COUNT(*) FROM t WHERE at < datetime('2026-01-31 10:00:00')", "1"),
        ("SELECT COUNT(*) FROM t WHERE at BETWEEN '2026-01-31 23:00:00' AND '2026-01-31 23:00:00'", "1"),
        ("SELECT COUNT(*) FROM t WHERE ok", "2"),
        ("SELECT COUNT(*) FROM t WHERE ok = FALSE", "1"),
        // A number of a column of type number divides as one; of type integer, as an integer.
        ("SELECT amount / 4 FROM t WHERE name = 'Bob'", "-0.5"),
        ("SELECT id / 4 FROM t WHERE name = 'Bob'", "0"),
        // What looks like a number is one where the contract says no type.
        ("SELECT COUNT(*) FROM t WHERE code > 6", "3"),
        ("SELECT COUNT(*) FROM t WHERE code = 'DE'", "1"),
        ("WITH big AS (SELECT id FROM t WHERE id > 1) SELECT COUNT(*) FROM big", "3"),
        ("SELECT COUNT(*) FROM (SELECT name, COUNT(*) AS n FROM t GROUP BY name HAVING n > 1)", "0"),
        ("SELECT COUNT(*) FROM t AS a JOIN t AS b ON a.id < b.id", "6"),
        ("SELECT 100.0 * COUNT(name) / COUNT(*) FROM t", "75"),
        ("SELECT COUNT(*) FROM t AS a NATURAL JOIN t AS b", "3"),
        ("SELECT COUNT(*) FROM t AS a JOIN t AS b USING (name)", "3"),
        ("SELECT COUNT(DISTINCT name) FROM t; -- all\n", "3"),
        ("SELECT SUM(value) FROM json_each('[1, 2]')", "3"),
    ] {
        let held = asked(DATA, text, &json!({"mustBe": number}), 60);
        let rule = rule(&held, "rule");
        assert_eq!(
            (rule.outcome, rule.found.as_str(), held.verdict),
            (Held, number, CheckVerdict::Passed),
            "{text}: {rule:?}"
        );
        let broken = asked(DATA, text, &json!({"mustNotBe": number}), 60);
        assert_eq!((broken.rules[0].outcome, broken.verdict), (Broken, CheckVerdict::Failed), "{text}");
    }
}

#[test]
fn what_gives_no_number_decides_nothing() {
    for (text, said) in [
        ("SELECT id FROM t WHERE id < 0", "gives no row"),
        ("SELECT MAX(id) FROM t WHERE id < 0", "gives null"),
        ("SELECT id FROM t", "gives several rows"),
        ("SELECT name FROM t LIMIT 1", "gives a text"),
        ("SELECT amount * 1e308 * 1e308 FROM t WHERE id = 1", "an infinite number"),
        ("SELECT SUM(id) FROM t", "integer overflow"),
        ("SELECT COUNT(*) FROM t WHERE length(randomblob(1000000000)) > 0", "too big"),
        ("SELECT json_extract(name, '$.a') FROM t WHERE id = 1", "malformed JSON"),
        ("SELECT COUNT(*) FROM t WHERE name LIKE replace(hex(zeroblob(1000)), '0', '%')", "pattern too complex"),
    ] {
        let report = asked(DATA, text, &json!({"mustBe": "0"}), 60);
        let rule = rule(&report, "rule");
        assert_eq!((rule.outcome, report.verdict), (Inconclusive, CheckVerdict::Inconclusive), "{text}: {rule:?}");
        assert!(rule.sentence.contains(said), "{text}: {}", rule.sentence);
        // A text of the data is nobody's business.
        assert!(!rule.sentence.contains("Ada"), "{}", rule.sentence);
    }
    let none = asked("id,name,amount,day,at,ok,code\n", "SELECT COUNT(*) FROM t", &json!({"mustBe": "0"}), 60);
    assert_eq!(none.rules[0].outcome, Inconclusive, "no rows prove nothing");
    let housing = json!([{"name": "id"}, {"name": "housing"}, {"name": "natural_gas"}, {"name": "note"}]);
    let rules = json!({
        "absent": query("SELECT COUNT(*) FROM data WHERE housing IS NULL AND natural_gas IS NULL", &json!({"mustBe": "0"})),
        "joined": query("SELECT COUNT(*) FROM data AS a natural JOIN data AS b", &json!({"mustBe": "1"})),
    });
    let report = csv("id,housing,natural_gas\n1,2,3\n", &housing, &rules);
    let expected = BTreeMap::from([("absent", Held), ("joined", Inconclusive)]);
    assert_eq!(outcomes(&report), expected, "a column that is absent concerns who reads it: {report:?}");
    let missing = asked("id\n1\n", "SELECT COUNT(name) FROM t", &json!({"mustBe": "0"}), 60);
    assert!(missing.rules[0].sentence.contains("of column \"name\" it is missing"), "{}", missing.rules[0].sentence);
}

#[test]
fn a_query_over_no_rows_counts_where_there_may_be_none() {
    let row_count = |severity: &str, is: Value| json!({"name": "rows", "severity": severity, "check": {"type": "rowCount", "is": is}});
    let most = json!({"mustBeLessThan": "1000000"});
    let many = "SELECT COUNT(*) FROM t";
    for (row_counts, text, is, outcome) in [
        (vec![], many, json!({"mustBeGreaterThan": "100"}), Inconclusive),
        // What only warns allows nothing.
        (vec![row_count("warning", most.clone())], many, json!({"mustBeGreaterThan": "100"}), Inconclusive),
        (vec![row_count("error", most.clone())], many, json!({"mustBeGreaterThan": "100"}), Broken),
        (vec![row_count("error", most.clone())], many, json!({"mustBe": "0"}), Held),
        (vec![row_count("error", most.clone())], "SELECT MAX(id) FROM t", json!({"mustBe": "0"}), Inconclusive),
        // One of two rules about their number forbids it.
        (
            vec![row_count("error", most.clone()), row_count("error", json!({"mustBeGreaterThan": "10"}))],
            many,
            json!({"mustBe": "0"}),
            Inconclusive,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data.csv"), "id\n").unwrap();
        let rules = json!({"rule": query(text, &is)});
        let mut config = config(folder.path(), &json!([{"name": "id"}]), &rules, &json!({"table": "t"}));
        config.inputs[0].rules.extend(row_counts.iter().map(|rule| serde_json::from_value(rule.clone()).unwrap()));
        let report = report(&config);
        assert_eq!(rule(&report, "rule").outcome, outcome, "{row_counts:?} {text} {is}: {report:?}");
    }
}

#[test]
fn what_would_do_more_than_read_the_rows_is_not_run() {
    for (text, said) in [
        ("ATTACH '/tmp/other' AS other", "another database is refused"),
        ("DETACH main", "another database is refused"),
        ("PRAGMA table_info(t)", "PRAGMA is refused"),
        ("SELECT * FROM pragma_database_list", "is refused"),
        ("SELECT COUNT(*) FROM sqlite_master", "reading \"sqlite_master\" is refused"),
        ("SELECT name FROM sqlite_schema", "is refused"),
        ("SELECT load_extension('/tmp/x.so')", "refused"),
        ("SELECT 1; SELECT 2", "there are several"),
        ("SELECT 1; DROP TABLE t", "is refused"),
        ("INSERT INTO t VALUES (1)", "is refused"),
        ("DELETE FROM t", "is refused"),
        ("DROP TABLE t", "is refused"),
        ("CREATE TABLE u AS SELECT * FROM t", "is refused"),
        ("CREATE TEMP VIEW v AS SELECT 1", "is refused"),
        ("WITH a AS (SELECT 1) DELETE FROM t", "is refused"),
        ("VACUUM INTO '/tmp/x'", "0 columns"),
        ("REINDEX", "0 columns"),
        ("ANALYZE", "is refused"),
        ("BEGIN", "is refused"),
        ("SAVEPOINT a", "is refused"),
        ("COPY t TO '/tmp/x'", "does not understand"),
        ("INSTALL httpfs", "does not understand"),
        ("SELECT count(*) FROM read_text('/etc/passwd')", "no such table: read_text"),
        ("SELECT readfile('/etc/passwd')", "no such function: readfile"),
        ("SELECT COUNT(*) FROM t WHERE name ~ 'a'", "does not understand"),
        ("SELECT COUNT(*) FROM t WHERE regexp_matches(name, 'a')", "no such function: regexp_matches"),
        ("SELECT COUNT(*) FROM other", "no such table: other"),
        ("SELECT COUNT(*) FROM t WHERE \"nowhere\" = 'x'", "no such column"),
        ("SELECT COUNT(*) FROM {other}", "does not understand"),
        ("SELECT id, name FROM t", "has 2 columns"),
        ("EXPLAIN SELECT 1", "columns"),
        ("SELECT COUNT(*) FROM t WHERE id = ?", "has parameters"),
        ("SELECT 1 \0", "no query has"),
        ("", "does not understand"),
        ("-- nothing", "does not understand"),
    ] {
        let report = asked(DATA, text, &json!({"mustBe": "0"}), 60);
        let rule = rule(&report, "rule");
        assert_eq!((rule.outcome, report.verdict), (NotChecked, CheckVerdict::Passed), "{text}: {rule:?}");
        assert!(rule.sentence.contains(said), "{text}: {}", rule.sentence);
    }
}

#[test]
fn a_column_whose_dates_cannot_be_read_is_read_by_no_query() {
    let columns = json!([{"name": "a", "logicalType": "date", "format": "qqq"}, {"name": "b"}]);
    let rules = json!({
        "of a": query("SELECT COUNT(a) FROM data", &json!({"mustBe": "0"})),
        "of b": query("SELECT COUNT(b) FROM data", &json!({"mustBe": "1"})),
    });
    let report = csv("a,b\n1,1\n", &columns, &rules);
    assert_eq!(outcomes(&report), BTreeMap::from([("of a", NotChecked), ("of b", Held)]), "{report:?}");
}

#[test]
fn a_query_without_end_is_an_error_within_its_time() {
    for text in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
         SELECT COUNT(*) FROM n AS a, n AS b WHERE a.i + b.i > 0",
    ] {
        let begin = Instant::now();
        let report = asked(DATA, text, &json!({"mustBe": "0"}), 1);
        assert_eq!(
            (report.rules[0].outcome, report.verdict),
            (Inconclusive, CheckVerdict::Error),
            "{text}: {report:?}"
        );
        assert!(report.sentence.contains("took longer"), "{}", report.sentence);
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    // What only warns keeps nothing back, and what is broken is broken.
    let endless = query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
        &json!({"mustBe": "0"}),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), DATA).unwrap();
    let rules = json!({"endless": endless, "rows": {"type": "rowCount", "is": {"mustBe": "1"}}});
    let mut both = config(folder.path(), &columns(), &rules, &json!({"table": "t"}));
    both.limits.seconds = 1;
    assert_eq!(report(&both).verdict, CheckVerdict::Failed);
    let rules = &mut both.inputs[0].rules;
    rules.retain(|rule| rule.name == "endless");
    rules[0].severity = seatrial_core::contract::check::Severity::Warning;
    let warned = report(&both);
    assert_eq!((warned.rules[0].outcome, warned.verdict), (NotChecked, CheckVerdict::Passed));
}

#[test]
fn rows_beyond_the_disk_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..20_000).map(|row| format!("{row},a text of some length\n")).collect();
    std::fs::write(folder.path().join("data.csv"), format!("id,name\n{rows}")).unwrap();
    let columns = json!([{"name": "id", "logicalType": "integer"}, {"name": "name", "logicalType": "string"}]);
    let rules = json!({"rule": query("SELECT COUNT(name) FROM t", &json!({"mustBe": "20000"}))});
    let mut config = config(folder.path(), &columns, &rules, &json!({"table": "t"}));
    assert_eq!(report(&config).verdict, CheckVerdict::Passed);
    config.limits.disk = 100_000;
    let report = report(&config);
    assert_eq!(report.verdict, CheckVerdict::Error);
    assert!(report.sentence.contains("queries read do not fit into the 0 MiB of disk"), "{}", report.sentence);
}

#[test]
fn an_answer_does_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..200_000).map(|row| format!("{row},{}.1\n", row % 1000)).collect();
    std::fs::write(folder.path().join("data.csv"), format!("id,rowid\n{rows}")).unwrap();
    // A column that has the name of a row's place takes nothing from it.
    let columns = json!([{"name": "id", "logicalType": "integer"}, {"name": "rowid", "logicalType": "number"}]);
    let first = query("SELECT id FROM t LIMIT 1 OFFSET 100000", &json!({"mustBe": "100000"}));
    let sum = query("SELECT SUM(rowid * 0.1) FROM t", &json!({"mustBeGreaterThan": "0"}));
    let config = |threads| {
        let mut config = config(folder.path(), &columns, &json!({"first": first, "sum": sum}), &json!({"table": "t"}));
        config.limits.threads = Some(threads);
        config
    };
    let (one, several) = (report(&config(1)), report(&config(4)));
    assert_eq!(one.rules, several.rules);
    assert_eq!(rule(&one, "first").outcome, Held, "{one:?}");
}

#[test]
fn parquet_and_json_are_read_as_what_they_are() {
    let lines = b"{\"id\": 3, \"tags\": [1, 2], \"on\": true}\n{\"id\": 0.5, \"tags\": null}\n";
    let columns =
        json!([{"name": "id"}, {"name": "tags", "logicalType": "array"}, {"name": "on", "logicalType": "boolean"}]);
    let rules = json!({
        "number": query("SELECT SUM(id) FROM data", &json!({"mustBe": "3.5"})),
        "items": query("SELECT SUM(json_array_length(tags)) FROM data", &json!({"mustBe": "2"})),
        "null": query("SELECT COUNT(*) FROM data WHERE \"on\" IS NULL", &json!({"mustBe": "1"})),
    });
    let report = check(&[("data.jsonl", lines)], &columns, &rules, &json!({}));
    assert_eq!(outcomes(&report), BTreeMap::from([("items", Held), ("null", Held), ("number", Held)]), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What a query counts and what the library's metrics count is the same.
    #[test]
    fn queries_agree_with_metrics(values in prop::collection::vec(prop::option::of(0_u8..9), 1..40)) {
        let rows: String = values.iter().map(|value| format!("{},x\n", value.map(|value| value.to_string()).unwrap_or_default())).collect();
        let nulls = values.iter().filter(|value| value.is_none()).count();
        let distinct = values.iter().flatten().collect::<std::collections::BTreeSet<_>>().len();
        let surplus = values.iter().flatten().count() - distinct;
        let is = |count: usize| json!({"mustBe": count.to_string()});
        let rules = json!({
            "nulls": {"type": "nullValues", "column": "a", "is": is(nulls)},
            "nulls asked": query("SELECT COUNT(*) FROM data WHERE a IS NULL", &is(nulls)),
            "repeated": {"type": "duplicateValues", "columns": ["a"], "is": is(surplus)},
            "repeated asked": query("SELECT COUNT(a) - COUNT(DISTINCT a) FROM data", &is(surplus)),
            "invalid": {"type": "invalidValues", "column": "a", "tests": [{"type": "maximum", "value": "4"}], "is": {"mustBe": "0"}},
            "invalid asked": query("SELECT COUNT(*) FROM data WHERE a > 4", &json!({"mustBe": "0"})),
            "rows": query("SELECT COUNT(*) FROM data", &is(values.len())),
        });
        let report = csv(&format!("a,b\n{rows}"), &json!([{"name": "a", "logicalType": "integer"}, {"name": "b"}]), &rules);
        let of = |name: &str| rule(&report, name).outcome;
        prop_assert_eq!((of("nulls"), of("nulls asked"), of("rows")), (Held, Held, Held));
        // A column of nulls proves nothing to the metrics, unless the contract says how many there may be, as it does here.
        prop_assert_eq!(of("repeated"), of("repeated asked"));
        prop_assert_eq!(of("invalid"), of("invalid asked"));
    }
}

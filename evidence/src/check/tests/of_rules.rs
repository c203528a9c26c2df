//! Each rule, with data that keep it and data that break it: a rule that was always true would be noticed here.

use RuleOutcome::{Broken, Held, Inconclusive, NotChecked};

use super::*;

/// A rule about column `a`, with rows that keep it, rows that break it, and what it counts in the latter.
fn case(kind: Option<&str>, check: Value, good: &str, bad: &str, matched: u64) {
    let columns = json!([{"name": "a", "logicalType": kind, "shown": true}]);
    let rules = json!({"rule": check});
    let said = format!("{check} of {kind:?}");
    let kept = csv(&format!("a\n{good}"), &columns, &rules);
    assert_eq!(rule(&kept, "rule").outcome, Held, "{said}: {kept:?}");
    assert_eq!(kept.verdict, CheckVerdict::Passed, "{said}");
    let broken = csv(&format!("a\n{bad}"), &columns, &rules);
    let result = rule(&broken, "rule");
    assert_eq!((result.outcome, broken.verdict), (Broken, CheckVerdict::Failed), "{said}: {result:?}");
    assert_eq!(result.matched, Some(matched), "{said}: {result:?}");
    assert!(broken.sentence.contains(&result.sentence) && result.sentence.contains("expected"), "{}", broken.sentence);
}

fn values(test: Value) -> Value {
    json!({"type": "values", "column": "a", "test": test})
}

#[test]
fn every_type_tells_its_values() {
    let check = || json!({"type": "type", "column": "a"});
    for (kind, good, bad) in [
        ("integer", "1\n-7\n", "1\nx\n"),
        ("integer", "12345678901234567890123\n", "1.0\n"),
        ("number", "1.5\n-2e3\n", "1\n1 000\n"),
        ("boolean", "true\nFALSE\n", "true\n1\n"),
        ("date", "2026-11-26\n", "2026-11-26\n26.11.2026\n"),
        ("timestamp", "2026-11-26T08:00:00Z\n", "2026-11-26T08:00:00Z\n2026-11-26\n"),
        ("time", "08:30\n", "08:30\n25:00\n"),
    ] {
        case(Some(kind), check(), good, bad, 1);
    }
    let report =
        csv("a\n1\n2\nx\n", &json!([{"name": "a", "logicalType": "integer", "shown": true}]), &json!({"t": check()}));
    let found = rule(&report, "t");
    assert_eq!((found.positions[0].row, found.positions[0].value.as_deref()), (3, Some("x")));
    assert!(
        found
            .sentence
            .contains("column \"a\": 1 of 3 rows has no integer, the first in row 3 of \"data.csv\" with \"x\""),
        "{}",
        found.sentence
    );
}

#[test]
fn every_test_of_a_value_tells_good_from_bad() {
    for (kind, test, good, bad, matched) in [
        ("string", json!({"type": "minLength", "value": 2}), "äö\nabc\n", "ab\nä\n", 1),
        ("string", json!({"type": "maxLength", "value": 2}), "äö\n", "abc\nab\nabcd\n", 2),
        ("string", json!({"type": "pattern", "value": "^[A-Z]{2}$"}), "AB\n", "AB\nABC\n", 1),
        ("string", json!({"type": "pattern", "value": "B"}), "ABC\n", "AC\n", 1),
        ("string", json!({"type": "oneOf", "value": ["x", "y"]}), "x\ny\n", "x\nz\n", 1),
        ("number", json!({"type": "oneOf", "value": ["1.0", "2"]}), "1\n2.00\n", "1\n3\n", 1),
        ("date", json!({"type": "oneOf", "value": ["2026-01-01"]}), "2026-01-01\n", "2026-01-02\n", 1),
        ("number", json!({"type": "minimum", "value": "0"}), "0\n1\n", "-0.01\n", 1),
        ("number", json!({"type": "maximum", "value": "10"}), "10\n", "10.000000000000000000001\n", 1),
        ("number", json!({"type": "exclusiveMinimum", "value": "0"}), "0.1\n", "0\n", 1),
        ("number", json!({"type": "exclusiveMaximum", "value": "10"}), "9.99\n", "10.0\n", 1),
        (
            "integer",
            json!({"type": "minimum", "value": "9007199254740993"}),
            "9007199254740993\n",
            "9007199254740992\n",
            1,
        ),
        ("number", json!({"type": "multipleOf", "value": "0.05"}), "0.15\n", "0.16\n", 1),
        ("date", json!({"type": "minimum", "value": "2026-01-01"}), "2026-01-01\n", "2025-12-31\n", 1),
        ("date", json!({"type": "exclusiveMaximum", "value": "2026-01-01"}), "2025-12-31\n", "2026-01-01\n", 1),
        (
            "timestamp",
            json!({"type": "maximum", "value": "2026-01-01"}),
            "2026-01-01T00:00:00Z\n",
            "2026-01-01T00:00:01Z\n",
            1,
        ),
        ("time", json!({"type": "minimum", "value": "08:00"}), "08:00\n", "07:59\n", 1),
        ("string", json!({"type": "format", "value": "email"}), "a.b@example.org\n", "a@b@\n@x.org\na b@x.org\n", 3),
        (
            "string",
            json!({"type": "format", "value": "uuid"}),
            "123e4567-e89b-12d3-a456-426614174000\n",
            "123e4567\n",
            1,
        ),
        ("string", json!({"type": "format", "value": "uri"}), "https://example.org/a?b\n", "example.org\n", 1),
        ("string", json!({"type": "format", "value": "hostname"}), "a-b.example\n", "-a.example\n", 1),
        ("string", json!({"type": "format", "value": "ipv4"}), "10.0.0.1\n", "10.0.0.256\n", 1),
        ("string", json!({"type": "format", "value": "ipv6"}), "::1\n", "1::2::3\n", 1),
    ] {
        case(Some(kind), values(test), good, bad, matched);
    }
}

#[test]
fn arrays_and_objects_of_json_are_tested() {
    let columns = json!([{"name": "a", "logicalType": "array"}, {"name": "o", "logicalType": "object"}]);
    let rules = |column: &str, test: &Value| json!({"rule": {"type": "values", "column": column, "test": test}});
    for (column, test, good, bad) in [
        ("a", json!({"type": "minItems", "value": 1}), "[1]", "[]"),
        ("a", json!({"type": "maxItems", "value": 1}), "[1]", "[1,2]"),
        ("a", json!({"type": "uniqueItems"}), "[1,2]", "[1,1]"),
        ("o", json!({"type": "minProperties", "value": 1}), "{\"x\":1}", "{}"),
        ("o", json!({"type": "maxProperties", "value": 1}), "{\"x\":1}", "{\"x\":1,\"y\":2}"),
        ("o", json!({"type": "requiredProperties", "value": ["x"]}), "{\"x\":1}", "{\"y\":1}"),
    ] {
        for (value, outcome) in [(good, Held), (bad, Broken)] {
            let line = format!("{{\"{column}\":{value}}}\n");
            let report = check(&[("x.jsonl", line.as_bytes())], &columns, &rules(column, &test), &json!({}));
            assert_eq!(rule(&report, "rule").outcome, outcome, "{test} {value}");
        }
    }
}

#[test]
fn every_rule_about_rows_tells_good_from_bad() {
    let zero = json!({"mustBe": "0"});
    for (check, good, bad, matched) in [
        (json!({"type": "unique", "column": "a"}), "1\n2\n", "1\n2\n1\n1\n", 2),
        (json!({"type": "primaryKey", "columns": ["a"]}), "1\n2\n", "1\n1\n", 1),
        (json!({"type": "rowCount", "is": {"mustBeGreaterThan": "1"}}), "1\n2\n", "1\n", 1),
        (
            json!({"type": "missingValues", "column": "a", "values": ["N/A", "x"], "null": false, "is": zero}),
            "1\n",
            "N/A\n1\nx\n",
            2,
        ),
        (
            json!({"type": "invalidValues", "column": "a", "tests": [{"type": "oneOf", "value": ["1"]}], "is": zero}),
            "1\n",
            "1\n2\n",
            1,
        ),
        (json!({"type": "duplicateValues", "columns": ["a"], "is": zero}), "1\n2\n", "1\n1\n1\n2\n2\n", 3),
        (
            json!({"type": "duplicateValues", "columns": ["a"], "is": {"mustBeLessThan": "50"}, "unit": "percent"}),
            "1\n1\n2\n",
            "1\n1\n",
            1,
        ),
    ] {
        case(None, check, good, bad, matched);
    }
}

#[test]
fn nulls_are_counted_where_they_are() {
    let columns = json!([{"name": "a", "logicalType": "integer"}, {"name": "b", "logicalType": "string"}]);
    let nulls = |is: Value, unit: &str| json!({"type": "nullValues", "column": "a", "is": is, "unit": unit});
    let rules = json!({
        "required": {"type": "required", "column": "a"},
        "key": {"type": "primaryKey", "columns": ["b", "a"]},
        "one": nulls(json!({"mustBe": "1"}), "rows"),
        "none": nulls(json!({"mustBe": "0"}), "rows"),
        "quarter": nulls(json!({"mustBe": "25"}), "percent"),
        "less": nulls(json!({"mustBeLessThan": "25"}), "percent"),
        "missing": {"type": "missingValues", "column": "a", "values": ["7"], "null": true, "is": {"mustBe": "2"}},
    });
    let report = csv("a,b\n1,x\n,x\n7,x\n3,\"\"\n", &columns, &rules);
    let expected = [
        ("required", Broken),
        ("key", Broken),
        ("one", Held),
        ("none", Broken),
        ("quarter", Held),
        ("less", Broken),
        ("missing", Held),
    ];
    assert_eq!(outcomes(&report), BTreeMap::from(expected));
    assert_eq!((rule(&report, "required").matched, rule(&report, "required").positions[0].row), (Some(1), 2));
    let whole = csv("a,b\n1,x\n2,x\n", &columns, &rules);
    assert_eq!((rule(&whole, "required").outcome, rule(&whole, "key").outcome), (Held, Held));
}

#[test]
fn keys_of_several_columns_do_not_run_together() {
    let columns = json!([{"name": "a", "logicalType": "string"}, {"name": "b", "logicalType": "string"}]);
    let rules = json!({"key": {"type": "primaryKey", "columns": ["a", "b"]}});
    assert_eq!(rule(&csv("a,b\nab,c\na,bc\n", &columns, &rules), "key").outcome, Held);
    let twice = csv("a,b\nx,y\na,b\nx,y\n", &columns, &rules);
    let found = rule(&twice, "key");
    assert_eq!((found.outcome, found.positions[0].row), (Broken, 3));
    assert!(found.sentence.contains("as row 1 does first"), "{}", found.sentence);
}

#[test]
fn a_missing_column_is_named_with_what_it_may_be_called_now() {
    let columns = json!([{"name": "birth_date", "logicalType": "date"}, {"name": "id"}]);
    let rules = json!({
        "there": {"type": "present", "column": "birth_date"},
        "type": {"type": "type", "column": "birth_date"},
        "required": {"type": "required", "column": "birth_date"},
        "id": {"type": "present", "column": "id"},
    });
    let report = csv("id,BirthDate\n1,2026-01-01\n", &columns, &rules);
    let expected = [("there", Broken), ("type", Inconclusive), ("required", Broken), ("id", Held)];
    assert_eq!(outcomes(&report), BTreeMap::from(expected));
    assert!(report.sentence.contains("it is missing in \"data.csv\"; there is \"BirthDate\""), "{}", report.sentence);
    let twice = csv("id,birth_date,birth_date\n1,2026-01-01,x\n", &columns, &rules);
    assert!(rule(&twice, "there").sentence.contains("several of this name"), "{}", twice.sentence);
    let lines = check(&[("x", b"{\"id\":1}\n")], &columns, &rules, &json!({}));
    assert_eq!((rule(&lines, "there").outcome, rule(&lines, "id").outcome), (Broken, Held));
}

/// What a newcomer reads of broken data: what was found, and what was expected.
#[test]
fn a_broken_rule_says_what_was_found_and_what_was_expected() {
    let columns = json!([{"name": "a", "logicalType": "integer"}, {"name": "b"}]);
    let none = json!({"mustBe": "0"});
    for (rule, said) in [
        (json!({"type": "present", "column": "c"}), r#"column "c": it is missing in "data.csv""#),
        (
            json!({"type": "type", "column": "a"}),
            r#"column "a": 1 of 4 rows has no integer, the first in row 4 of "data.csv"; expected values of the type integer alone"#,
        ),
        (
            values(json!({"type": "maximum", "value": "1"})),
            r#"column "a": 2 of 4 rows have more than 1, the first in row 2 of "data.csv"; expected at most 1"#,
        ),
        (
            json!({"type": "values", "column": "b", "test": {"type": "oneOf", "value": ["x"]}}),
            r#"column "b": 1 of 3 rows has another value, the first in row 3 of "data.csv"; expected one of "x""#,
        ),
        (
            json!({"type": "rowCount", "is": {"mustBeBetween": ["3000", "4000"]}}),
            "the table has 4 rows; expected from 3000 to 4000 rows",
        ),
        (
            json!({"type": "rowCount", "is": {"mustBeLessOrEqualTo": "1"}}),
            "the table has 4 rows; expected at most 1 row",
        ),
        (
            json!({"type": "nullValues", "column": "b", "is": none}),
            r#"column "b": 1 of 4 rows has null, the first in row 4 of "data.csv"; expected no rows with null"#,
        ),
        (
            json!({"type": "nullValues", "column": "b", "is": {"mustBeLessThan": "5"}, "unit": "percent"}),
            r#"column "b": 1 of 4 rows (25 %) has null, the first in row 4 of "data.csv"; expected less than 5 percent of the rows with null"#,
        ),
        (
            json!({"type": "invalidValues", "column": "b", "tests": [{"type": "oneOf", "value": ["x"]}], "is": none}),
            r#"column "b": 1 of 4 rows has an invalid value, the first in row 3 of "data.csv"; expected no rows with an invalid value (valid: one of "x")"#,
        ),
        (
            json!({"type": "sql", "query": "SELECT max(a) FROM data", "is": {"mustBeLessThan": "2"}}),
            r#"the query "rule" gives 3; expected less than 2"#,
        ),
    ] {
        let mut columns = columns.as_array().unwrap().clone();
        columns.push(json!({"name": "c"}));
        let content = if rule["type"] == "sql" { "a,b\n1,x\n2,x\n3,z\n" } else { "a,b\n1,x\n2,x\n3,z\ny,\n" };
        let report = check(
            &[("data.csv", content.as_bytes())],
            &Value::Array(columns),
            &json!({"rule": rule}),
            &json!({"table": "data"}),
        );
        assert_eq!(report.rules[0].sentence, said);
        assert_eq!(report.sentence, format!("1 of 1 rule is broken: {said}"));
    }
}

/// The mildest rule comes first in the document, and is told last.
#[test]
fn what_matters_most_is_told_first() {
    let columns = json!([{"name": "income"}, {"name": "a", "logicalType": "integer"}, {"name": "b"}]);
    let maximum = |column: &str| json!({"type": "values", "column": column, "test": {"type": "maxLength", "value": 1}});
    let rules = json!({
        "a few": maximum("b"),
        "b all": {"type": "values", "column": "b", "test": {"type": "oneOf", "value": ["?"]}},
        "c rows": {"type": "rowCount", "is": {"mustBeGreaterThan": "5000"}},
        "d type": {"type": "type", "column": "a"},
        "e column": {"type": "present", "column": "income"},
        "f kept": {"type": "present", "column": "a"},
    });
    let report = csv("a,b\n1,x\nx,xx\n", &columns, &rules);
    let told = |report: &CheckReport| -> Vec<String> {
        report.summary().broken.iter().map(|broken| broken.rule.clone()).collect()
    };
    assert_eq!(told(&report), ["e column", "d type", "c rows"]);
    assert_eq!(
        report.sentence,
        r#"5 of 6 rules are broken: column "income": it is missing in "data.csv"; and "d type", "c rows", and 2 more"#
    );
    let whole = csv("income,a,b\n1,1,x\n1,2,xx\n", &columns, &rules);
    assert_eq!(told(&whole), ["c rows", "b all", "a few"]);
    assert!(whole.sentence.starts_with("3 of 6 rules are broken: the table has 2 rows; "), "{}", whole.sentence);
}

#[test]
fn nothing_proves_nothing() {
    let columns = json!([{"name": "a", "logicalType": "integer"}]);
    let mut rules = json!({"type": {"type": "type", "column": "a"}, "unique": {"type": "unique", "column": "a"}});
    let none = csv("a\n", &columns, &rules);
    assert_eq!((none.verdict, none.rows), (CheckVerdict::Inconclusive, 0));
    let nulls = csv("a\n\"\"\n", &columns, &json!({"type": {"type": "type", "column": "a"}}));
    assert_eq!(nulls.verdict, CheckVerdict::Failed, "an empty text is no integer");
    let columns_of_two = json!([{"name": "a", "logicalType": "integer"}, {"name": "b"}]);
    let nulls = csv("a,b\n,1\n,2\n", &columns_of_two, &rules);
    assert_eq!(nulls.verdict, CheckVerdict::Inconclusive, "{nulls:?}");
    rules["nulls"] = json!({"type": "nullValues", "column": "a", "is": {"mustBeGreaterOrEqualTo": "0"}});
    assert_eq!(csv("a,b\n,1\n,2\n", &columns_of_two, &rules).verdict, CheckVerdict::Passed);
    rules["rows"] = json!({"type": "rowCount", "is": {"mustBeGreaterOrEqualTo": "0"}});
    assert_eq!(csv("a\n", &columns, &rules).verdict, CheckVerdict::Passed);
    rules["rows"] = json!({"type": "rowCount", "is": {"mustBeGreaterThan": "0"}});
    assert_eq!(csv("a\n", &columns, &rules).verdict, CheckVerdict::Failed);
    assert_eq!(
        check(&[], &columns, &json!({"there": {"type": "present", "column": "a"}}), &json!({})).verdict,
        CheckVerdict::Inconclusive
    );
    let lines = check(
        &[("x", b"\n")],
        &columns,
        &json!({"there": {"type": "present", "column": "a"}}),
        &json!({"format": "JsonLines"}),
    );
    assert_eq!(lines.verdict, CheckVerdict::Inconclusive);
}

#[test]
fn what_is_not_understood_is_not_passed_in_silence() {
    let columns =
        json!([{"name": "a", "logicalType": "string"}, {"name": "t", "logicalType": "time", "format": "hh:mm a"}]);
    let rules = json!({
        "pattern": values(json!({"type": "pattern", "value": "(?=x)"})),
        "bomb": values(json!({"type": "pattern", "value": "((a{1000}){1000}){1000}"})),
        "time": {"type": "type", "column": "t"},
        "other": {"type": "type", "column": "nowhere"},
        "bound": values(json!({"type": "minimum", "value": "many"})),
    });
    let report = csv("a,t\nx,1\n", &columns, &rules);
    assert!(report.rules.iter().all(|rule| rule.outcome == NotChecked), "{:?}", outcomes(&report));
    assert_eq!(report.verdict, CheckVerdict::Passed);
    assert_eq!(report.summary().not_checked, 5);
    assert!(rule(&report, "pattern").sentence.contains("dialect"), "{}", rule(&report, "pattern").sentence);
}

#[test]
fn values_are_shown_only_where_they_may_be() {
    let rules = json!({"type": {"type": "type", "column": "a"}});
    let hidden = csv("a\nsecret\n", &json!([{"name": "a", "logicalType": "integer"}]), &rules);
    assert!(!hidden.to_json().contains("secret"));
    let shown = csv("a\nsecret\n", &json!([{"name": "a", "logicalType": "integer", "shown": true}]), &rules);
    assert!(shown.to_json().contains("secret"));
}

#[test]
fn warnings_warn_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.csv"), "a\nx\n").unwrap();
    let rules = json!({"type": {"type": "type", "column": "a"}});
    let mut config = config(folder.path(), &json!([{"name": "a", "logicalType": "integer"}]), &rules, &json!({}));
    config.inputs[0].rules[0].severity = seatrial_core::contract::check::Severity::Warning;
    let report = report(&config);
    assert_eq!((report.verdict, report.summary().warnings), (CheckVerdict::Passed, 1));
    assert!(report.sentence.contains("of severity warning"), "{}", report.sentence);
}

#[test]
fn the_profile_says_what_values_are_like() {
    let columns = json!([
        {"name": "n", "logicalType": "number", "shown": true}, {"name": "s", "logicalType": "string", "shown": true},
        {"name": "d", "logicalType": "date", "shown": true}, {"name": "secret", "logicalType": "integer"},
    ]);
    let content: String = (1..=100)
        .map(|row| format!("{row},{},2026-01-{:02},{}\n", ["a", "b", "b"][row % 3], 1 + row % 9, row % 7))
        .collect();
    let report = csv(&format!("n,s,d,secret\n{content},,,\nx,a,2026-01-31,1\n"), &columns, &json!({}));
    let [n, s, d, secret] = report.profile.as_slice() else { panic!("{:?}", report.profile) };
    assert_eq!((n.rows, n.nulls, n.mistyped, n.distinct), (102, 1, 1, Some(100)));
    assert_eq!((n.least.as_deref(), n.most.as_deref()), (Some("1"), Some("100")));
    let median: f64 = n.quantiles[3].parse().unwrap();
    assert!((49.0..=51.0).contains(&median), "{median}");
    assert_eq!((n.histogram.len(), n.histogram.iter().sum::<u64>()), (20, 100));
    assert_eq!(s.frequent, [("b".to_owned(), 67), ("a".to_owned(), 34)]);
    assert_eq!((d.least.as_deref(), d.most.as_deref()), (Some("2026-01-01"), Some("2026-01-31")));
    assert_eq!((secret.distinct, secret.nulls), (Some(7), 1));
    assert!(secret.least.is_none() && secret.quantiles.is_empty() && secret.frequent.is_empty());
}

use proptest::prelude::*;
use seatrial_crds::{CsvDialect, DataContractSpec};
use serde_json::{Value, json};

use super::*;

fn contract(schema: &Value) -> Contract {
    let document = json!({"apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": "1", "status": "active", "schema": schema});
    let spec = DataContractSpec { contract: document.as_object().cloned().unwrap(), ..DataContractSpec::default() };
    read(&spec).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A contract with one column `x` of these fields, beside a column that never changes.
fn column(mut fields: Value) -> Contract {
    fields["name"] = json!("x");
    contract(&json!([{"name": "t", "properties": [{"name": "id"}, fields]}]))
}

#[test]
fn what_breaks_readers_is_told_from_what_does_not() {
    let number = |options: Value| json!({"logicalType": "number", "logicalTypeOptions": options});
    let text = |options: Value| json!({"logicalType": "string", "logicalTypeOptions": options});
    let valid = |values: Value| json!({"quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": values}}]});
    let nulls = |most: u32, severity: &str| json!({"quality": [{"metric": "nullValues", "mustBeLessThan": most, "severity": severity}]});
    let query = |query: &str, most: u32| json!({"quality": [{"type": "sql", "query": query, "mustBeLessThan": most}]});
    let key = json!({"primaryKey": true});
    let table = [
        (json!({}), json!({}), None),
        (json!({"logicalType": "integer"}), json!({"logicalType": "number"}), Some(true)),
        (json!({"logicalType": "integer"}), json!({}), Some(true)),
        (json!({}), json!({"logicalType": "integer"}), Some(false)),
        (
            json!({"logicalType": "date", "logicalTypeOptions": {"format": "yyyy"}}),
            json!({"logicalType": "date"}),
            Some(true),
        ),
        (json!({"required": true}), json!({}), Some(true)),
        (json!({}), json!({"required": true}), Some(false)),
        (json!({"unique": true}), json!({}), Some(true)),
        // A key says more than both.
        (json!({"required": true, "unique": true}), key.clone(), Some(false)),
        (key, json!({"required": true, "unique": true}), Some(true)),
        (number(json!({"minimum": 1})), number(json!({"minimum": 0})), Some(true)),
        (number(json!({"minimum": 0})), number(json!({"minimum": 1})), Some(false)),
        (number(json!({"minimum": 0})), number(json!({"exclusiveMinimum": 0})), Some(false)),
        (number(json!({"exclusiveMinimum": 0})), number(json!({"minimum": 0})), Some(true)),
        (text(json!({"maxLength": 3})), text(json!({"maxLength": 4})), Some(true)),
        (text(json!({"pattern": "a"})), text(json!({"pattern": "b"})), Some(true)),
        (valid(json!(["a"])), valid(json!(["a", "b"])), Some(true)),
        (valid(json!(["a", "b"])), valid(json!(["a"])), Some(false)),
        (nulls(5, "error"), nulls(6, "error"), Some(true)),
        (nulls(6, "error"), nulls(5, "error"), Some(false)),
        (nulls(5, "error"), nulls(5, "warning"), Some(true)),
        (nulls(5, "warning"), nulls(5, "error"), Some(false)),
        (nulls(5, "error"), json!({"required": true}), Some(false)),
    ];
    let queries = [
        (query("SELECT 1", 5), query("SELECT 1", 6), Some(true)),
        (query("SELECT 1", 6), query("SELECT 1", 5), Some(false)),
        (query("SELECT 1", 5), query("SELECT 2", 5), Some(true)),
        (query("SELECT 1", 5), json!({}), Some(true)),
        (json!({}), query("SELECT 1", 5), Some(false)),
        // Another placeholder of the same meaning.
        (query("SELECT 1 FROM {object}", 5), query("SELECT 1 FROM ${table}", 5), None),
    ];
    for (old, new, breaks) in queries {
        let changes = compare(&column(old.clone()), &column(new.clone()));
        let found = (!changes.is_empty()).then(|| changes.iter().any(Change::breaks));
        assert_eq!(found, breaks, "{old} to {new}: {changes:#?}");
        assert!(
            changes.iter().all(|change| change.place == "t" && change.what.contains("the query gives")),
            "{changes:#?}"
        );
    }
    for (old, new, breaks) in table {
        let changes = compare(&column(old.clone()), &column(new.clone()));
        let found = (!changes.is_empty()).then(|| changes.iter().any(Change::breaks));
        assert_eq!(found, breaks, "{old} to {new}: {changes:#?}");
        assert!(changes.iter().all(|change| change.place == "t.x"), "{changes:#?}");
    }
}

/// One bound that moved is one line, with what was and what is.
#[test]
fn what_moved_is_told_once_with_old_and_new() {
    let options = |kind: &str, options: Value| json!({"logicalType": kind, "logicalTypeOptions": options});
    let quality = |metric: &str, rule: Value| {
        let mut rule = rule;
        rule["metric"] = json!(metric);
        json!({"quality": [rule]})
    };
    let invalid = |values: Value, rule: Value| {
        let mut rule = rule;
        rule["arguments"] = json!({"validValues": values});
        quality("invalidValues", rule)
    };
    let many: Vec<String> = (0..20).map(|number| format!("v{number}")).collect();
    let none = || json!({"mustBe": 0});
    let table = [
        (
            options("integer", json!({"maximum": 3})),
            options("integer", json!({"maximum": 5})),
            Effect::Breaks,
            "each value of x was at most 3, and is at most 5",
        ),
        (
            options("integer", json!({"maximum": 5})),
            options("integer", json!({"exclusiveMaximum": 5})),
            Effect::MayStop,
            "each value of x was at most 5, and is less than 5",
        ),
        (
            options("string", json!({"minLength": 2})),
            options("string", json!({"minLength": 3})),
            Effect::MayStop,
            "each value of x had at least 2 characters, and has at least 3 characters",
        ),
        (
            options("string", json!({"pattern": "a"})),
            options("string", json!({"pattern": "b"})),
            Effect::Breaks,
            "each value of x matched a, and matches b",
        ),
        (
            quality("nullValues", json!({"mustBeLessThan": 5})),
            quality("nullValues", json!({"mustBeLessThan": 9})),
            Effect::Breaks,
            "the number of rows without a value of x was less than 5, and is less than 9",
        ),
        (
            quality("nullValues", json!({"mustBeBetween": [1, 5], "unit": "percent"})),
            quality("nullValues", json!({"mustBeBetween": [2, 4], "unit": "percent"})),
            Effect::MayStop,
            "the part of rows without a value of x was from 1 to 5 %, and is from 2 to 4 %",
        ),
        (
            quality("nullValues", json!({"mustBeBetween": [1, 5]})),
            quality("nullValues", json!({"mustBeBetween": [3, 8]})),
            Effect::Breaks,
            "the number of rows without a value of x was from 1 to 5, and is from 3 to 8",
        ),
        (
            quality("nullValues", json!({"mustNotBeBetween": [3, 5]})),
            quality("nullValues", json!({"mustNotBe": 4})),
            Effect::Breaks,
            "the number of rows without a value of x was below 3 or above 5, and is not 4",
        ),
        (
            quality("nullValues", json!({"mustNotBe": 4})),
            quality("nullValues", json!({"mustBeGreaterThan": 4})),
            Effect::MayStop,
            "the number of rows without a value of x was not 4, and is more than 4",
        ),
        (
            json!({"required": true}),
            quality("nullValues", json!({"mustBeLessThan": 9})),
            Effect::Breaks,
            "from now on the number of rows without a value of x is less than 9, where x has a value in each row",
        ),
        (
            invalid(json!(["yes"]), none()),
            invalid(json!(["yes", "no"]), none()),
            Effect::Breaks,
            "the valid values of x are others: added no",
        ),
        (
            invalid(json!(["yes", "no"]), none()),
            invalid(json!(["no"]), none()),
            Effect::MayStop,
            "the valid values of x are others: removed yes",
        ),
        (
            invalid(json!(["a", "b"]), none()),
            invalid(json!(["b", "c"]), none()),
            Effect::Breaks,
            "the valid values of x are others: added c; removed a",
        ),
        (
            invalid(json!(["a"]), none()),
            invalid(json!(many), none()),
            Effect::Breaks,
            "the valid values of x are others: added v0, v1, v2, v3, v4, v5, v6, v7 and 12 more; removed a",
        ),
        (
            invalid(json!(["a"]), none()),
            invalid(json!(["a"]), json!({"mustBeLessThan": 3})),
            Effect::Breaks,
            "the number of rows with an invalid value of x was 0, and is less than 3",
        ),
        (
            quality("missingValues", json!({"mustBe": 0, "arguments": {"missingValues": ["n/a"]}})),
            quality("missingValues", json!({"mustBe": 0, "arguments": {"missingValues": ["n/a", "-"]}})),
            Effect::MayStop,
            "the values that count as missing in x are others: added -",
        ),
    ];
    for (old, new, effect, what) in table {
        let changes = compare(&column(old.clone()), &column(new.clone()));
        assert_eq!(changes, [Change { place: "t.x".into(), what: what.into(), effect }], "{old} to {new}");
    }
    // The order of a list, and a bound that is written in another way, mean nothing.
    for (old, new) in [
        (invalid(json!(["a", "b"]), none()), invalid(json!(["b", "a"]), none())),
        (options("number", json!({"maximum": 5})), options("number", json!({"maximum": 5.0}))),
    ] {
        assert_eq!(compare(&column(old), &column(new)), []);
    }
}

/// Rules are paired one by one: what is added beside a rule that stays is new, and what an older rule ruled out already is not.
#[test]
fn what_is_added_beside_what_stays_is_new() {
    let bounds = |rules: Value| contract(&json!([{"name": "t", "quality": rules, "properties": [{"name": "id"}]}]));
    let rows = |operator: &str, bound: u32| json!({"metric": "rowCount", operator: bound});
    let old = bounds(json!([rows("mustBeGreaterThan", 10), rows("mustBeLessThan", 50)]));
    for (new, expected) in [
        (
            json!([rows("mustBeGreaterThan", 10), rows("mustBeLessThan", 50), rows("mustBeGreaterThan", 20)]),
            vec![("it is new that the number of rows is more than 20", Effect::MayStop)],
        ),
        (json!([rows("mustBeGreaterThan", 10), rows("mustBeLessThan", 50), rows("mustBeGreaterThan", 5)]), vec![]),
        (
            json!([rows("mustBeLessThan", 60), rows("mustBeGreaterThan", 20)]),
            vec![
                ("the number of rows was more than 10, and is more than 20", Effect::MayStop),
                ("the number of rows was less than 50, and is less than 60", Effect::Breaks),
            ],
        ),
    ] {
        let changes = compare(&old, &bounds(new));
        let told: Vec<(&str, Effect)> = changes.iter().map(|change| (change.what.as_str(), change.effect)).collect();
        assert_eq!(told, expected);
    }
}

#[test]
fn what_is_gone_breaks_and_what_is_new_does_not() {
    let one = contract(&json!([{"name": "t", "properties": [{"name": "id"}]}]));
    let two = contract(&json!([{"name": "t", "properties": [{"name": "id"}, {"name": "x", "required": true}]},
                               {"name": "u", "properties": [{"name": "id"}]}]));
    let told = |changes: Vec<Change>| -> Vec<(String, Effect)> {
        changes.into_iter().map(|change| (change.place, change.effect)).collect()
    };
    assert_eq!(told(compare(&one, &two)), [("t.x".to_owned(), Effect::MayStop), ("u".to_owned(), Effect::Harmless)]);
    assert_eq!(told(compare(&two, &one)), [("t.x".to_owned(), Effect::Breaks), ("u".to_owned(), Effect::Breaks)]);
    let mut german = one.clone();
    german.csv = dialect(Some(&CsvDialect { separator: Some(";".into()), ..CsvDialect::default() }));
    assert_eq!(told(compare(&one, &german)), [("csv".to_owned(), Effect::Breaks)]);
}

/// Comparisons with small bounds, so that they meet each other.
fn comparison() -> impl Strategy<Value = Value> {
    let bound = 0..6u32;
    prop_oneof![
        bound.clone().prop_map(|bound| json!({"mustBe": bound})),
        bound.clone().prop_map(|bound| json!({"mustNotBe": bound})),
        bound.clone().prop_map(|bound| json!({"mustBeLessThan": bound})),
        bound.clone().prop_map(|bound| json!({"mustBeLessOrEqualTo": bound})),
        bound.clone().prop_map(|bound| json!({"mustBeGreaterThan": bound})),
        bound.clone().prop_map(|bound| json!({"mustBeGreaterOrEqualTo": bound})),
        (bound.clone(), bound.clone()).prop_map(|(low, more)| json!({"mustBeBetween": [low, low + more]})),
        (bound.clone(), bound).prop_map(|(low, more)| json!({"mustNotBeBetween": [low, low + more]})),
    ]
}

proptest! {
    /// What is said to break nobody lets no number pass that did not pass before.
    #[test]
    fn what_breaks_nobody_rules_out_as_much(old in comparison(), new in comparison()) {
        let rows = |mut rule: Value| {
            rule["metric"] = json!("rowCount");
            contract(&json!([{"name": "t", "quality": [rule], "properties": [{"name": "id"}]}]))
        };
        let (old, new) = (rows(old), rows(new));
        let is = |contract: &Contract| contract.schemas[0].rules.iter().find_map(|rule| match &rule.check {
            RuleKind::RowCount { is } => Some(is.clone()),
            _ => None,
        }).unwrap();
        if compare(&old, &new).iter().all(|change| !change.breaks()) {
            for rows in 0..20 {
                let (before, now) = (is(&old).holds(rows, 20, check::Unit::Rows), is(&new).holds(rows, 20, check::Unit::Rows));
                prop_assert!(now != Some(true) || before == Some(true), "{rows} rows");
            }
        }
        prop_assert_eq!(compare(&old, &old), vec![]);
    }
}

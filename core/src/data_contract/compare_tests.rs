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

//! What is read of a document.

mod breaking;
mod published;
mod scheduled;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube_core::ResourceExt;
use proptest::prelude::*;
use seatrial_crds::{
    ContractReference, CsvDialect, DataContract, DataContractSpec, DataContractStatus, DecimalSeparator,
};
use serde_json::{Value, json};

use super::*;
use crate::contract::check::{Comparison, LogicalType, Severity, Unit, ValueTest};
use crate::observed::ContractObserved;
use crate::plan::{Object, Write};
use published::planned;

/// A document with one schema object.
fn document(schema: Value) -> Value {
    json!({"apiVersion": "v3.1.0", "kind": "DataContract", "id": "1", "version": "1.2.0", "status": "active", "schema": [schema]})
}

fn spec(document: &Value) -> DataContractSpec {
    DataContractSpec { contract: document.as_object().cloned().unwrap_or_default(), ..DataContractSpec::default() }
}

fn schema(schema: Value) -> Schema {
    let contract = read(&spec(&document(schema))).unwrap_or_else(|problems| panic!("{problems:?}"));
    contract.schemas.into_iter().next().unwrap()
}

/// A property `x` with these further fields.
fn property(fields: Value) -> Schema {
    schema(json!({"name": "t", "properties": [with_name(fields)]}))
}

fn with_name(mut fields: Value) -> Value {
    fields["name"] = json!("x");
    fields
}

/// The rules beside that of the column's presence.
fn rules(schema: &Schema) -> Vec<(&str, &RuleKind)> {
    schema.rules.iter().skip(1).map(|rule| (rule.name.as_str(), &rule.check)).collect()
}

fn refused(document: &Value) -> String {
    crate::validation::summary(&read(&spec(document)).unwrap_err())
}

#[test]
fn what_the_standard_says_of_a_column_becomes_rules() {
    let of = |column: &str| column.to_owned();
    let values = |test| RuleKind::Values { column: of("x"), test };
    let number = |name: &str, value: Value| json!({"logicalType": "number", "logicalTypeOptions": {name: value}});
    let text = |name: &str, value: Value| json!({"logicalType": "string", "logicalTypeOptions": {name: value}});
    let table = [
        (json!({}), vec![]),
        (json!({"logicalType": "integer"}), vec![RuleKind::Type { column: of("x") }]),
        (json!({"required": true, "unique": false}), vec![RuleKind::Required { column: of("x") }]),
        (json!({"unique": true}), vec![RuleKind::Unique { column: of("x") }]),
        (json!({"primaryKey": true}), vec![RuleKind::PrimaryKey { columns: vec![of("x")] }]),
        (json!({"enum": [{"value": 1}, {"value": "b"}]}), vec![values(ValueTest::OneOf(vec![of("1"), of("b")]))]),
        (
            number("minimum", json!(0.1)),
            vec![RuleKind::Type { column: of("x") }, values(ValueTest::Minimum(of("0.1")))],
        ),
        (
            number("exclusiveMaximum", json!(9)),
            vec![RuleKind::Type { column: of("x") }, values(ValueTest::ExclusiveMaximum(of("9")))],
        ),
        (
            number("multipleOf", json!(5)),
            vec![RuleKind::Type { column: of("x") }, values(ValueTest::MultipleOf(of("5")))],
        ),
        (
            text("pattern", json!("^a+$")),
            vec![RuleKind::Type { column: of("x") }, values(ValueTest::Pattern(of("^a+$")))],
        ),
        (text("maxLength", json!(3)), vec![RuleKind::Type { column: of("x") }, values(ValueTest::MaxLength(3))]),
        (
            json!({"logicalType": "integer", "logicalTypeOptions": {"format": "i8"}}),
            vec![
                RuleKind::Type { column: of("x") },
                values(ValueTest::Minimum(of("-128"))),
                values(ValueTest::Maximum(of("127"))),
            ],
        ),
        (
            json!({"logicalType": "date", "logicalTypeOptions": {"minimum": "2020-01-01", "format": "dd.MM.yyyy"}}),
            vec![RuleKind::Type { column: of("x") }, values(ValueTest::Minimum(of("2020-01-01")))],
        ),
    ];
    for (fields, expected) in table {
        let schema = property(fields.clone());
        let found: Vec<RuleKind> = schema.rules.iter().map(|rule| rule.check.clone()).collect();
        assert!(found.contains(&RuleKind::Present { column: of("x") }), "{fields}");
        let found: Vec<_> = found.into_iter().filter(|rule| !matches!(rule, RuleKind::Present { .. })).collect();
        assert_eq!(found, expected, "{fields}");
        assert!(schema.rules.iter().all(|rule| rule.severity == Severity::Error), "{fields}");
        assert_eq!(schema.not_checked, [], "{fields}");
    }
}

#[test]
fn each_metric_is_read_with_its_comparison_unit_and_severity() {
    let x = || "x".to_owned();
    let table = [
        (
            json!({"metric": "nullValues", "mustBeLessThan": 1, "unit": "percent", "severity": "Warning"}),
            RuleKind::NullValues { column: x(), is: Comparison::MustBeLessThan("1".into()), unit: Unit::Percent },
            Severity::Warning,
        ),
        (
            json!({"type": "library", "metric": "missingValues", "arguments": {"missingValues": [null, "", "N/A"]}, "mustBe": 0}),
            RuleKind::MissingValues {
                column: x(),
                values: vec![String::new(), "N/A".into()],
                null: true,
                is: Comparison::MustBe("0".into()),
                unit: Unit::Rows,
            },
            Severity::Error,
        ),
        (
            // As the standard's own example has it: the pattern beside empty arguments.
            json!({"metric": "invalidValues", "arguments": null, "pattern": "^[A-Z]+$", "mustBeBetween": [0, 2.5], "severity": "critical"}),
            RuleKind::InvalidValues {
                column: x(),
                tests: vec![ValueTest::Pattern("^[A-Z]+$".into())],
                is: Comparison::MustBeBetween("0".into(), "2.5".into()),
                unit: Unit::Rows,
            },
            Severity::Error,
        ),
        (
            json!({"metric": "duplicateValues", "mustBeLessOrEqualTo": 10, "severity": "info"}),
            RuleKind::DuplicateValues {
                columns: vec![x()],
                is: Comparison::MustBeLessOrEqualTo("10".into()),
                unit: Unit::Rows,
            },
            Severity::Warning,
        ),
    ];
    for (quality, expected, severity) in table {
        let schema = property(json!({"quality": [quality]}));
        assert_eq!(rules(&schema).into_iter().map(|(_, rule)| rule).collect::<Vec<_>>(), [&expected], "{quality}");
        assert_eq!(schema.rules[1].severity, severity, "{quality}");
    }
    let rows = schema(json!({"name": "t", "properties": [{"name": "a"}, {"name": "b"}], "quality": [
        {"metric": "rowCount", "mustBeGreaterThan": 0, "mustBeLessThan": 9, "name": "size", "dimension": "completeness"},
        {"metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBe": 0}]}));
    let names: Vec<&str> = rows.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["a.present", "b.present", "size", "size-2", "duplicateValues"]);
    assert_eq!(rows.rules[2].dimension.as_deref(), Some("completeness"));
    assert_eq!(
        rows.rules[4].check,
        RuleKind::DuplicateValues {
            columns: vec!["a".into(), "b".into()],
            is: Comparison::MustBe("0".into()),
            unit: Unit::Rows
        }
    );
}

#[test]
fn queries_become_rules_with_names_for_their_placeholders() {
    let read = schema(json!({"name": "t", "properties": [{"name": "a", "physicalName": "b", "quality": [
        {"type": "sql", "query": "SELECT COUNT(*) FROM {object} WHERE {property} < 0", "mustBeLessThan": 3, "mustNotBe": 1,
         "unit": "percent", "severity": "warning"}]}], "quality": [
        {"name": "whole", "query": "SELECT COUNT(*) > 0 FROM ${table}", "mustBe": true},
        {"type": "sql", "query": "SELECT {property} FROM t", "mustBe": 0}]}));
    let query = r#"SELECT COUNT(*) FROM "t" WHERE "b" < 0"#;
    let of = |query: &str, is| RuleKind::Sql { query: query.to_owned(), is };
    let expected = [
        ("b.query", &of(query, Comparison::MustNotBe("1".into()))),
        ("b.query-2", &of(query, Comparison::MustBeLessThan("3".into()))),
        ("whole", &of(r#"SELECT COUNT(*) > 0 FROM "t""#, Comparison::MustBe("1".into()))),
    ];
    assert_eq!(rules(&read), expected);
    let severities: Vec<Severity> = read.rules.iter().skip(1).map(|rule| rule.severity).collect();
    assert_eq!(severities, [Severity::Warning, Severity::Warning, Severity::Error]);
    assert_eq!(read.not_checked.len(), 1);
    assert!(read.not_checked[0].reason.contains("stands at a schema object"), "{:?}", read.not_checked);
    let tests = vec![ValueTest::OneOf(vec!["yes".into(), "no".into()])];
    let invalid =
        RuleKind::InvalidValues { column: "deny".into(), tests, is: Comparison::MustBe("0".into()), unit: Unit::Rows };
    let said = "the number of rows with an invalid value of deny is 0; a valid one is one of yes, no";
    assert_eq!(describe(&invalid), said);
    assert_eq!(describe(&read.rules[1].check), r#"the query gives not 1: SELECT COUNT(*) FROM "t" WHERE "b" < 0"#);
}

#[test]
fn what_nobody_checks_is_listed_with_its_reason() {
    let quality = |rule: Value| json!({"quality": [rule]});
    let table = [
        (quality(json!({"type": "text", "description": "is right"})), "for people"),
        (quality(json!({"type": "custom", "engine": "soda", "implementation": "x"})), "a rule of soda"),
        (quality(json!({"type": "magic"})), "no type of rules"),
        (quality(json!({"type": "sql", "query": "COPY t TO '/x'", "mustBe": 0})), "no query that only reads"),
        (quality(json!({"type": "sql", "query": "SELECT count(*) FROM t"})), "it says nothing that the number must be"),
        (quality(json!({"metric": "freshness", "mustBe": 0})), "no metric that Seatrial knows"),
        (quality(json!({"metric": "rowCount", "mustBe": 0})), "belongs to a schema object"),
        (quality(json!({"metric": "nullValues"})), "it says nothing that the number must be"),
        (quality(json!({"metric": "nullValues", "mustBe": 0, "unit": "days"})), "no unit"),
        (quality(json!({"metric": "missingValues", "mustBe": 0})), "no values that count as missing"),
        (quality(json!({"metric": "invalidValues", "mustBe": 0})), "says not what is valid"),
        (quality(json!({"metric": "nullValues", "mustBe": 0, "schedule": "0 3 * * *"})), "no times of their own"),
        (json!({"logicalType": "string", "logicalTypeOptions": {"pattern": "a(?=b)"}}), "looks around"),
        (json!({"logicalType": "string", "logicalTypeOptions": {"pattern": r"(a)\1"}}), "refers back"),
        (json!({"logicalType": "string", "logicalTypeOptions": {"format": "password"}}), "write a pattern"),
        (json!({"logicalType": "string", "logicalTypeOptions": {"minimum": 1}}), "no option of this name"),
        (json!({"logicalType": "number", "logicalTypeOptions": {"format": "f32"}}), "how many bits"),
        (json!({"logicalType": "date", "logicalTypeOptions": {"minimum": "1.1.2020"}}), "ISO 8601"),
        (json!({"logicalType": "map", "map": {}}), "not looked into"),
        (json!({"logicalType": "object", "properties": [{"name": "y"}]}), "inside of a value"),
        (json!({"relationships": []}), "other tables"),
        (json!({"requird": true}), "no field of this name"),
    ];
    for (fields, reason) in table {
        let schema = property(fields.clone());
        let told: Vec<&str> = schema.not_checked.iter().map(|part| part.reason.as_str()).collect();
        assert!(told.iter().any(|told| told.contains(reason)), "{fields}: {told:?}");
        assert!(schema.not_checked.iter().all(|part| part.name.starts_with("spec.contract.schema[t]")), "{told:?}");
    }
    // A backslash that is itself escaped refers to nothing.
    assert_eq!(property(json!({"logicalType": "string", "logicalTypeOptions": {"pattern": r"\\1"}})).not_checked, []);
    let mut whole = document(json!({"name": "t", "properties": [{"name": "x"}]}));
    whole["slaProperties"] = json!([{"property": "latency", "value": 4, "unit": "d"}]);
    whole["x-own"] = json!({"any": "thing"});
    let read = read(&spec(&whole)).unwrap();
    let names: Vec<&str> = read.not_checked.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["spec.contract.x-own", "slaProperties[latency]"]);
}

#[test]
fn a_document_that_contradicts_itself_or_the_standard_is_refused() {
    let of = |fields: Value| document(json!({"name": "t", "properties": [with_name(fields)]}));
    let without = |field: &str| {
        let mut whole = of(json!({}));
        whole.as_object_mut().unwrap().remove(field);
        whole
    };
    let with = |field: &str, value: Value| {
        let mut whole = of(json!({}));
        whole[field] = value;
        whole
    };
    let table = [
        (without("version"), "spec.contract.version: is required"),
        (without("id"), "spec.contract.id: is required"),
        (without("status"), "spec.contract.status: is required"),
        (without("schema"), "at least one schema object"),
        (with("apiVersion", json!("v2.2.1")), "v3.1 and v3.2"),
        (with("apiVersion", json!("v3.1.x")), "v3.1 and v3.2"),
        (with("kind", json!("Pod")), "must be DataContract"),
        (with("schema", json!("t")), "must be a list, and is a text"),
        (with("schema", json!([7])), "must be an object, and is a number"),
        (
            with(
                "schema",
                json!([{"name": "t", "properties": [{"name": "x"}]}, {"name": "t", "properties": [{"name": "x"}]}]),
            ),
            "\"t\" is there twice",
        ),
        (with("schema", json!([{"name": "t"}])), "says nothing that data could be checked by"),
        (
            with("schema", json!([{"name": "t", "properties": [{"name": "x"}, {"name": "x"}]}])),
            "the column \"x\" is there twice",
        ),
        (of(json!({"logicalType": "varchar"})), "is no logical type"),
        (of(json!({"required": "yes"})), "must be true or false"),
        (of(json!({"enum": []})), "must be a list of objects"),
        (
            of(json!({"logicalType": "string", "logicalTypeOptions": {"minLength": 5, "maxLength": 3}})),
            "greater than maxLength",
        ),
        (
            of(json!({"logicalType": "number", "logicalTypeOptions": {"minimum": 5, "maximum": 3}})),
            "no value can be both",
        ),
        (
            of(json!({"logicalType": "number", "logicalTypeOptions": {"exclusiveMinimum": 3, "maximum": 3}})),
            "no value can be both",
        ),
        (of(json!({"logicalType": "number", "logicalTypeOptions": {"multipleOf": 0}})), "greater than 0"),
        (
            of(
                json!({"logicalType": "date", "logicalTypeOptions": {"minimum": "2021-01-01", "maximum": "2020-01-01"}}),
            ),
            "no value can be both",
        ),
        (of(json!({"quality": [{"metric": "nullValues", "mustBeBetween": [3, 1]}]})), "no number is between"),
        (of(json!({"quality": [{"metric": "nullValues", "mustBe": "0"}]})), "must be a number, and is a text"),
        (of(json!({"quality": [{"type": "sql", "mustBe": 0}]})), "query: is required"),
        (of(json!({"quality": [{"type": "library", "mustBe": 0}]})), "metric: is required"),
        (
            of(json!({"quality": [{"metric": "invalidValues", "arguments": {"validValues": []}, "mustBe": 0}]})),
            "must not be empty",
        ),
        (
            of(json!({"logicalType": "string",
                "quality": [{"metric": "invalidValues", "arguments": {"validValues": [true, "no"]}, "mustBe": 0}]})),
            "put such values in quotes",
        ),
        (
            with(
                "schema",
                json!([{"name": "t", "properties": [{"name": "x"}], "quality": [
            {"metric": "duplicateValues", "arguments": {"properties": ["y"]}, "mustBe": 0}]}]),
            ),
            "\"y\" is no property",
        ),
    ];
    for (document, problem) in table {
        let told = refused(&document);
        assert!(told.contains(problem), "{document}: {told}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let long: Vec<String> = (0..1000).map(|number| format!("{number:0>80}")).collect();
    let quality = json!({"metric": "invalidValues", "arguments": {"validValues": long}, "mustBe": 0});
    let large = document(json!({"name": "t", "properties": [{"name": "x", "quality": [quality]}]}));
    assert!(refused(&large).contains("bytes of rules"), "{}", refused(&large));
    let mut huge = document(json!({"name": "t", "properties": [{"name": "x"}]}));
    huge["description"] = json!("d".repeat(300_000));
    assert!(refused(&huge).contains("as JSON, more than 262144"), "{}", refused(&huge));
    let wide: Vec<Value> = (0..2000).map(|number| json!({"name": format!("c{number}")})).collect();
    assert!(refused(&document(json!({"name": "t", "properties": wide}))).contains("more than 1024"));
}

#[test]
fn a_column_is_named_as_the_data_name_it_and_hides_its_values() {
    let read = property(json!({"physicalName": "col_x", "logicalType": "timestamp", "classification": "Public",
                               "logicalTypeOptions": {"format": "dd.MM.yyyy HH:mm"}}));
    let expected = Column {
        name: "col_x".into(),
        logical_type: Some(LogicalType::Timestamp),
        format: Some("dd.MM.yyyy HH:mm".into()),
        shown: true,
    };
    assert_eq!((read.columns, read.rules[0].name.as_str()), (vec![expected], "col_x.present"));
    assert!(!property(json!({"classification": "restricted"})).columns[0].shown);
    assert!(!property(json!({})).columns[0].shown);
    // The key's order is that of its positions.
    let key = schema(json!({"name": "t", "properties": [
        {"name": "a", "primaryKey": true, "primaryKeyPosition": 2}, {"name": "b", "primaryKey": true, "primaryKeyPosition": 1}]}));
    assert_eq!(key.rules.last().unwrap().check, RuleKind::PrimaryKey { columns: vec!["b".into(), "a".into()] });
}

#[test]
fn a_schema_object_is_named_where_there_are_several() {
    let two = json!([{"name": "a", "properties": [{"name": "x"}]}, {"name": "b", "properties": [{"name": "x"}]}]);
    let mut whole = document(json!({}));
    whole["schema"] = two;
    let contract = read(&spec(&whole)).unwrap();
    assert_eq!(contract.schema(Some("b")).unwrap().name, "b");
    assert!(contract.schema(None).unwrap_err().contains("name one of a, b"));
    assert!(contract.schema(Some("c")).unwrap_err().contains("it has a, b"));
}

#[test]
fn the_dialect_is_part_of_the_revision() {
    let plain = spec(&document(json!({"name": "t", "properties": [{"name": "x"}]})));
    let csv = CsvDialect {
        separator: Some(";".into()),
        decimal_separator: Some(DecimalSeparator::Comma),
        ..CsvDialect::default()
    };
    let german = DataContractSpec { csv: Some(csv), ..plain.clone() };
    let (one, other) = (read(&plain).unwrap().revision, read(&german).unwrap().revision);
    assert!(one.starts_with("sha256:") && one.len() == 71 && one != other);
    let dialect = dialect(german.csv.as_ref());
    assert_eq!((dialect.separator, dialect.decimal, dialect.header), (';', ',', true));
    let clash = CsvDialect { decimal_separator: Some(DecimalSeparator::Comma), ..CsvDialect::default() };
    let clash = DataContractSpec { csv: Some(clash), ..plain };
    assert!(crate::validation::summary(&read(&clash).unwrap_err()).contains("decimal separator as well"));
}

/// Any JSON, and often something that is nearly a contract.
fn any_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "x",
        "string",
        "integer",
        "date",
        "library",
        "sql",
        "rowCount",
        "nullValues",
        "percent",
        "2020-01-01",
        "^(a+)+$",
        "",
        "v3.1.0",
        "\u{1}ä\"",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "name",
        "properties",
        "schema",
        "quality",
        "logicalType",
        "logicalTypeOptions",
        "metric",
        "type",
        "mustBe",
        "mustBeBetween",
        "arguments",
        "validValues",
        "minimum",
        "maximum",
        "minLength",
        "pattern",
        "format",
        "enum",
        "value",
        "primaryKey",
        "primaryKeyPosition",
        "unit",
        "severity",
        "query",
        "version",
        "multipleOf",
        "other",
    ]);
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_panic_and_what_it_says_is_bounded(schema in any_value(), quality in any_value(), options in any_value()) {
        let near = json!({"name": "t", "properties": [{"name": "x", "logicalType": "number", "quality": [quality], "logicalTypeOptions": options}]});
        for whole in [document(schema), document(near)] {
            match read(&spec(&whole)) {
                Ok(contract) => {
                    for schema in &contract.schemas {
                        prop_assert!(schema.not_checked.len() <= MAX_TOLD);
                        let names: BTreeSet<&String> = schema.rules.iter().map(|rule| &rule.name).collect();
                        prop_assert_eq!(names.len(), schema.rules.len());
                        // Every rule is about columns that the contract describes.
                        let known = |name: &str| schema.columns.iter().any(|column| column.name == name);
                        prop_assert!(schema.rules.iter().all(|rule| rule.check.columns().into_iter().all(known)));
                    }
                }
                Err(problems) => prop_assert!(!problems.is_empty() && problems.len() <= MAX_TOLD),
            }
            planned(spec(&whole));
        }
    }
}

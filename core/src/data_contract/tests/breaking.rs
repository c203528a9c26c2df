//! Whom a change of a contract concerns, and how that is said.

use seatrial_crds::{BreakingChange, ContractChangeEffect, MLPipeline};
use serde_json::{Value, json};

use super::published::{alone, carried_out, object};
use super::*;
use crate::conditions;
use crate::plan::EventType;

/// A contract of two tables; `x` of the first is what changes.
fn published(version: &str, x: Value) -> DataContractSpec {
    let mut columns = vec![json!({"name": "id"})];
    columns.extend((!x.is_null()).then(|| {
        let mut column = x;
        column["name"] = json!("x");
        column
    }));
    let mut document = document(json!({"name": "t", "properties": columns}));
    document["version"] = json!(version);
    document["schema"].as_array_mut().unwrap().push(json!({"name": "u", "properties": [{"name": "id"}]}));
    DataContractSpec { serves: vec!["growth".into()], ..spec(&document) }
}

/// A pipeline of the namespace `growth` that reads by the contract.
fn reader(name: &str, version: Option<&str>, schema: &str) -> Arc<MLPipeline> {
    let contract = json!({"namespace": "billing", "name": "customers", "version": version, "schema": schema});
    Arc::new(
        serde_json::from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline",
            "metadata": {"name": name, "namespace": "growth"},
            "spec": {"image": "churn:1", "steps": [
                {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": "s3://lake/raw/", "contract": contract}]},
            ]},
        }))
        .unwrap(),
    )
}

/// A contract of which these documents were published, one after the other, and whose pipelines are these.
fn after(specs: &[DataContractSpec], pipelines: &[Arc<MLPipeline>]) -> (ContractObserved, Vec<crate::plan::Event>) {
    let mut observed = ContractObserved { pipelines: pipelines.to_vec(), ..alone(object(specs[0].clone())) };
    let mut events = vec![];
    for spec in specs {
        Arc::make_mut(&mut observed.contract).spec = spec.clone();
        let plan = plan(&observed, Timestamp::UNIX_EPOCH);
        events.extend(plan.events.clone());
        observed = carried_out(&observed, &plan);
        let again = super::plan(&observed, Timestamp::UNIX_EPOCH);
        assert!(again.is_quiet(), "a settled contract is written again: {again:#?}");
    }
    (observed, events)
}

fn breaking(observed: &ContractObserved) -> Option<BreakingChange> {
    observed.contract.status.clone().unwrap().breaking
}

/// The condition's status, reason and message.
fn compatible(observed: &ContractObserved) -> (String, String, String) {
    let status = observed.contract.status.as_ref().unwrap();
    let found = conditions::find(&status.conditions, conditions::types::COMPATIBLE).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

#[test]
fn a_change_names_the_pipelines_that_it_would_break() {
    let specs = [published("1", json!({"logicalType": "integer"})), published("2", json!({"logicalType": "string"}))];
    let pipelines = [
        reader("agreed", Some("1"), "t"),
        reader("any", None, "t"),
        reader("accepted", Some("2"), "t"),
        reader("other-table", None, "u"),
    ];
    let (observed, events) = after(&specs, &pipelines);
    let found = breaking(&observed).unwrap();
    assert_eq!((found.since.as_deref(), found.change_count, found.pipeline_count), (Some("1"), 1, 2));
    assert_eq!((found.changes[0].place.as_str(), found.changes[0].effect), ("t.x", ContractChangeEffect::Breaks));
    let named: Vec<(&str, &str)> = found.pipelines.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
    assert_eq!(named, [("agreed", "1"), ("any", "1")]);
    let (status, reason, message) = compatible(&observed);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "BreakingChange"));
    assert_eq!(
        message,
        "since the document before, of version 1: t.x: the type was integer, and is string; it concerns growth/agreed (by version 1), growth/any (by version 1)"
    );
    assert_eq!(
        events.iter().map(|it| (it.kind, it.reason)).collect::<Vec<_>>(),
        [(EventType::Warning, "BreakingChange")]
    );
    // Each of them says it itself, and no other does.
    let said = |pipeline: &MLPipeline| {
        of_pipeline(pipeline, std::slice::from_ref(&observed.contract), &observed.revisions).unwrap()
    };
    let reasons: Vec<&str> = pipelines.iter().map(|pipeline| said(pipeline).1).collect();
    assert_eq!(reasons, ["BreakingChange", "BreakingChange", "Compatible", "Compatible"]);
    assert!(said(&pipelines[0]).2.contains("the data are checked by version 1 until the input names another"));
    assert!(said(&pipelines[1]).2.contains("the next run is checked by the document"), "{}", said(&pipelines[1]).2);
    // What does not serve the namespace is none of its business.
    let mut closed = observed.contract.as_ref().clone();
    closed.spec.serves.clear();
    assert_eq!(of_pipeline(&pipelines[0], &[Arc::new(closed)], &observed.revisions), None);
}

#[test]
fn what_a_change_means_is_told_by_the_worst_of_it() {
    let (any, integer, nothing) = (json!({}), json!({"logicalType": "integer"}), Value::Null);
    let required = |severity: &str| json!({"quality": [{"metric": "nullValues", "mustBe": 0, "severity": severity}]});
    let table = [
        (any.clone(), any.clone(), ("True", "Compatible")),
        (integer.clone(), nothing.clone(), ("False", "BreakingChange")),
        (nothing, integer.clone(), ("Unknown", "StricterRules")),
        (any.clone(), integer.clone(), ("Unknown", "StricterRules")),
        (any.clone(), json!({"required": true}), ("Unknown", "StricterRules")),
        (any.clone(), required("error"), ("Unknown", "StricterRules")),
        (any.clone(), required("warning"), ("True", "Compatible")),
        (required("warning"), required("error"), ("Unknown", "StricterRules")),
        (required("error"), any, ("False", "BreakingChange")),
    ];
    for (old, new, is) in table {
        let (observed, events) = after(&[published("1", old.clone()), published("2", new.clone())], &[]);
        let (status, reason, message) = compatible(&observed);
        assert_eq!((status.as_str(), reason.as_str()), is, "{old} to {new}: {message}");
        assert_eq!(events.len(), usize::from(is.0 == "False"), "{old} to {new}");
        assert_eq!(breaking(&observed).is_none(), is.0 == "True");
    }
}

/// What a pipeline agreed on is compared with what there is now, however many documents came between, and only with the one
/// before where it agreed on nothing.
#[test]
fn what_came_between_counts_for_who_agreed_on_a_version() {
    let [integer, text] = ["integer", "string"].map(|kind| json!({"logicalType": kind}));
    let pipelines = [reader("agreed", Some("1"), "t"), reader("any", None, "t")];
    let of = |version: &str, x: &Value| published(version, x.clone());
    let specs = [of("1", &integer), of("2", &text), of("3", &text)];
    let names = |observed: &ContractObserved| -> Vec<String> {
        breaking(observed).into_iter().flat_map(|it| it.pipelines).map(|it| it.name).collect()
    };
    let (observed, events) = after(&specs, &pipelines);
    assert_eq!((names(&observed), events.len()), (vec!["agreed".to_owned()], 2));
    assert!(
        compatible(&observed).2.starts_with("the document is not what pipelines agreed on; it concerns growth/agreed")
    );
    // A document to which its producer went back is the one before the next.
    let specs = [of("1", &integer), of("2", &text), of("1", &integer), of("3", &text)];
    let (observed, _) = after(&specs, &pipelines);
    assert_eq!((breaking(&observed).unwrap().since.as_deref(), names(&observed).len()), (Some("1"), 2));
    // The same version again, with another document: who named it agreed on no such thing.
    let (observed, _) = after(&[of("1", &integer), of("1", &text)], &pipelines);
    assert_eq!(names(&observed), ["agreed", "any"]);
}

#[test]
fn what_a_status_names_is_bounded() {
    let columns = |count: usize| {
        let columns: Vec<Value> =
            (0..count).map(|number| json!({"name": format!("{number:0>60}-{}", "ä".repeat(20))})).collect();
        let mut document = document(json!({"name": "t", "properties": columns}));
        document["version"] = json!(count.to_string());
        spec(&document)
    };
    let pipelines: Vec<_> = (0..200).map(|number| reader(&format!("p{number:0>49}"), None, "t")).collect();
    let (observed, _) = after(&[columns(100), columns(1)], &pipelines);
    let found = breaking(&observed).unwrap();
    assert_eq!((found.change_count, found.pipeline_count), (99, 200));
    assert_eq!((found.changes.len(), found.pipelines.len()), (16, 32));
    let size = serde_json::to_vec(&found).unwrap().len();
    assert!(size < 32 << 10, "{size}");
    assert!(compatible(&observed).2.contains("and 96 more in status.breaking"), "{}", compatible(&observed).2);
}

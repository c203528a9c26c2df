//! What becomes of a contract that its producer publishes: its status, and the documents that are kept.

use serde_json::json;

use super::*;

pub(super) fn object(spec: DataContractSpec) -> DataContract {
    let mut contract = DataContract::new("customers", spec);
    contract.metadata.namespace = Some("billing".into());
    contract.metadata.uid = Some("contract-uid".into());
    contract
}

/// A contract that nothing is known of but itself.
pub(super) fn alone(contract: DataContract) -> ContractObserved {
    ContractObserved {
        contract: Arc::new(contract),
        revisions: vec![],
        pipelines: vec![],
        jobs: vec![],
        pods: vec![],
        stores: vec![],
        expectations: BTreeMap::new(),
        leading_for: Duration::ZERO,
        live_reads: BTreeMap::new(),
        blocked: vec![],
        platform: Arc::new(crate::platform::Platform::default()),
    }
}

/// What the contract kept after a plan was carried out.
pub(super) fn carried_out(
    observed: &ContractObserved,
    plan: &crate::plan::Plan<DataContractStatus>,
) -> ContractObserved {
    let mut next = observed.clone();
    if let Some(status) = &plan.status {
        Arc::make_mut(&mut next.contract).status = Some(status.clone());
    }
    for write in plan.writes().cloned() {
        match write {
            Write::Create(Object::ControllerRevision(mut revision)) => {
                revision.metadata.uid = Some(format!("uid of {}", revision.name_any()));
                next.revisions.push(Arc::new((*revision).into()));
            }
            Write::Replace(Object::ControllerRevision(revision)) => {
                next.revisions.retain(|it| it.metadata.name != revision.metadata.name);
                next.revisions.push(Arc::new((*revision).into()));
            }
            Write::Delete { uid, .. } => next.revisions.retain(|it| it.metadata.uid.as_ref() != Some(&uid)),
            other => panic!("{other:?}"),
        }
    }
    next
}

/// The status that a new contract with this spec gets.
pub(super) fn planned(spec: DataContractSpec) -> DataContractStatus {
    let observed = alone(object(spec));
    let first = plan(&observed, Timestamp::UNIX_EPOCH);
    let next = carried_out(&observed, &first);
    assert!(plan(&next, Timestamp::UNIX_EPOCH).is_quiet(), "a settled contract is written again");
    first.status.unwrap()
}

/// A contract after each of these versions was published.
fn published(versions: &[&str]) -> ContractObserved {
    let of = |version: &&str| {
        let mut document = document(json!({"name": "t", "properties": [{"name": "x"}]}));
        document["version"] = json!(version);
        spec(&document)
    };
    let mut observed = alone(object(of(&versions[0])));
    for version in versions {
        Arc::make_mut(&mut observed.contract).spec = of(version);
        observed = carried_out(&observed, &plan(&observed, Timestamp::UNIX_EPOCH));
    }
    observed
}

#[test]
fn the_version_that_was_agreed_on_goes_on_judging() {
    let mut observed = published(&["1", "2"]);
    Arc::make_mut(&mut observed.contract).spec.serves = vec!["growth".into()];
    let reference = |version: Option<&str>| ContractReference {
        namespace: Some("billing".into()),
        name: "customers".into(),
        version: version.map(str::to_owned),
        schema: None,
    };
    let found = |version: Option<&str>, observed: &ContractObserved| {
        resolve(&reference(version), "growth", std::slice::from_ref(&observed.contract), &observed.revisions)
    };
    let version = |asked| found(asked, &observed).unwrap().version;
    assert_eq!([version(None), version(Some("1")), version(Some("2"))], ["2", "1", "2"]);
    assert_ne!(found(Some("1"), &observed).unwrap().revision, found(None, &observed).unwrap().revision);
    assert_eq!(found(Some("3"), &observed).unwrap_err().reason, "ContractMismatch");
    // Also while what is published now is not understood.
    let mut broken = observed.clone();
    Arc::make_mut(&mut broken.contract).spec.contract.remove("id");
    assert_eq!(found(Some("1"), &broken).unwrap().version, "1");
    assert_eq!(found(None, &broken).unwrap_err().reason, "InvalidContract");
    // Whom it serves is what it says now.
    let mut closed = observed.clone();
    Arc::make_mut(&mut closed.contract).spec.serves.clear();
    assert_eq!(found(Some("1"), &closed).unwrap_err().reason, "ContractNotFound");
    // What another object kept under the same name is not its own.
    let mut anew = observed.clone();
    Arc::make_mut(&mut anew.contract).metadata.uid = Some("another".into());
    assert_eq!(found(Some("1"), &anew).unwrap_err().reason, "ContractMismatch");
}

#[test]
fn the_newest_documents_of_a_contract_are_kept() {
    let versions: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let observed = published(&versions);
    let settled = carried_out(&observed, &plan(&observed, Timestamp::UNIX_EPOCH));
    let mut numbers: Vec<i64> = settled.revisions.iter().map(|revision| revision.revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (6..=15).collect::<Vec<_>>());
    assert!(plan(&settled, Timestamp::UNIX_EPOCH).is_quiet());
}

#[test]
fn the_status_says_what_is_checked_and_what_is_not() {
    let whole = document(
        json!({"name": "t", "properties": [{"name": "x", "logicalType": "string", "quality": [{"type": "text"}]}]}),
    );
    let status = planned(spec(&whole));
    assert_eq!(
        (status.rule_count, status.not_checked_count, status.version.as_deref()),
        (Some(2), Some(1), Some("1.2.0"))
    );
    assert_eq!((status.conditions[0].type_.as_str(), status.conditions[0].status.as_str()), ("Ready", "True"));
    assert_eq!(status.rules[1].message, "each value of x is of its type");
    let status = planned(spec(&json!({})));
    let kinds: Vec<_> =
        status.conditions.iter().map(|it| (it.type_.as_str(), it.status.as_str(), it.reason.as_str())).collect();
    assert_eq!(kinds, [("Ready", "False", "InvalidContract"), ("Stalled", "True", "InvalidContract")]);
    assert_eq!(status.revision, None);
}

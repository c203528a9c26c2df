//! The versions that a contract had: each is kept in a ControllerRevision of the contract's own, so that a pipeline that names
//! the version it agreed on is checked by that, whatever the producer publishes meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::names::{COMPONENT_LABEL, CONTRACT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, components};
use seatrial_crds::{DataContract, DataContractSpec};
use serde_json::json;

use super::{Contract, read};
use crate::names;
use crate::plan::{Kind, Object, Stage, Write};
use crate::revision::Revision;

/// How many documents of a contract are kept, the newest.
const KEPT: usize = 10;

/// Keeps the document of a contract that is understood, and lets the oldest go.
pub(super) fn keep(contract: &DataContract, read: &Contract, known: &[Arc<Revision>]) -> Vec<Stage> {
    let mut own: Vec<&Revision> = known.iter().map(AsRef::as_ref).filter(|it| is_of(it, contract)).collect();
    own.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    let name = names::contract_revision(&contract.name_any(), &read.revision);
    let mut writes = vec![];
    if own.iter().all(|revision| revision.name_any() != name) {
        let number = own.first().map_or(0, |newest| newest.revision) + 1;
        writes.push(Write::Create(Object::ControllerRevision(Box::new(build(contract, name, number)))));
    }
    let old = own.iter().skip(KEPT).map(|revision| Write::Delete {
        kind: Kind::ControllerRevision,
        name: revision.name_any(),
        uid: revision.metadata.uid.clone().unwrap_or_default(),
    });
    writes.extend(old);
    if writes.is_empty() { vec![] } else { vec![Stage::proceed(writes)] }
}

fn build(contract: &DataContract, name: String, number: i64) -> ControllerRevision {
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: contract.namespace(),
            labels: Some(BTreeMap::from([
                (COMPONENT_LABEL.to_owned(), components::CONTRACT.to_owned()),
                (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                (CONTRACT_LABEL.to_owned(), contract.name_any()),
            ])),
            owner_references: contract.controller_owner_ref(&()).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        revision: number,
        // Whom it serves is what the contract says now.
        data: Some(RawExtension(json!({"spec": DataContractSpec { serves: vec![], ..contract.spec.clone() }}))),
    }
}

/// Whether a revision is a contract's: by the UID of its controller, never by its name.
fn is_of(revision: &Revision, contract: &DataContract) -> bool {
    let uid = contract.metadata.uid.as_deref();
    uid.is_some()
        && revision.metadata.namespace == contract.metadata.namespace
        && revision
            .owner_references()
            .iter()
            .any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

/// The newest document of a version that the contract had, with its spec.
pub(super) fn earlier(
    contract: &DataContract,
    version: &str,
    known: &[Arc<Revision>],
) -> Option<(Contract, DataContractSpec)> {
    let mut own: Vec<&Revision> = known.iter().map(AsRef::as_ref).filter(|it| is_of(it, contract)).collect();
    own.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    own.into_iter().find_map(|revision| {
        let spec: DataContractSpec = serde_json::from_value(revision.data()?.get_mut("spec")?.take()).ok()?;
        let read = read(&spec).ok()?;
        (read.version == version).then_some((read, spec))
    })
}

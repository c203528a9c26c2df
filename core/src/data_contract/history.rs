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
    let own = newest_first(contract, known);
    let name = names::contract_revision(&contract.name_any(), &read.revision);
    let mut writes = vec![];
    let number = own.first().map_or(0, |newest| newest.revision) + 1;
    match own.iter().find(|revision| revision.name_any() == name) {
        None => writes.push(Write::Create(Object::ControllerRevision(Box::new(build(contract, name, number))))),
        // The producer went back to it: it is the newest again, and what was in between came before it.
        Some(known) if known.revision + 1 != number => {
            let mut again = known.to_object();
            again.revision = number;
            writes.push(Write::Replace(Object::ControllerRevision(Box::new(again))));
        }
        Some(_) => {}
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

fn newest_first<'a>(contract: &DataContract, known: &'a [Arc<Revision>]) -> Vec<&'a Revision> {
    let mut own: Vec<&Revision> = known.iter().map(AsRef::as_ref).filter(|it| is_of(it, contract)).collect();
    own.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    own
}

/// The documents that the contract had, the newest first, with their specs.
fn documents(
    contract: &DataContract,
    known: &[Arc<Revision>],
    without: Option<&str>,
) -> impl Iterator<Item = (Contract, DataContractSpec)> {
    let own = newest_first(contract, known).into_iter();
    let others = own.filter(move |revision| Some(revision.name_any().as_str()) != without);
    others.filter_map(|revision| {
        let spec: DataContractSpec = serde_json::from_value(revision.data()?.get_mut("spec")?.take()).ok()?;
        Some((read(&spec).ok()?, spec))
    })
}

/// The newest document of a version that the contract had, with its spec.
pub(super) fn earlier(
    contract: &DataContract,
    version: &str,
    known: &[Arc<Revision>],
) -> Option<(Contract, DataContractSpec)> {
    documents(contract, known, None).find(|(read, _)| read.version == version)
}

/// The newest document that the contract had before the one that it has now, or the newest other one of a version.
pub(super) fn before(
    contract: &DataContract,
    now: &Contract,
    version: Option<&str>,
    known: &[Arc<Revision>],
) -> Option<(Contract, DataContractSpec)> {
    let own = names::contract_revision(&contract.name_any(), &now.revision);
    let mut documents = documents(contract, known, Some(&own));
    documents.find(|(read, _)| version.is_none_or(|version| read.version == version))
}

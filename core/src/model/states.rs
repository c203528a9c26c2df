//! The states of a Model's gates and answers. Each state is a ControllerRevision, so that a judgement can be read beside the
//! gates that it was made by, even when the Model has changed or is gone.
//!
//! The name derives from the state's digest: to write it twice changes nothing, and a Model that goes back to an earlier state
//! has its revision already. It has no owner, so that it is not deleted with the Model.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_core::ResourceExt;
use seatrial_crds::names::{COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MODEL_LABEL, components};
use seatrial_crds::{ModelSpec, limits};
use serde_json::json;

use crate::observed::ModelObserved;
use crate::plan::{Kind, Object, Stage, Write};
use crate::revision::Revision;
use crate::{gates, names};

/// The version of the data's form.
const PROJECTION: u32 = 1;

/// The name of a Model's present state.
pub(super) fn current(model: &str, spec: &ModelSpec) -> String {
    names::gates(model, &gates::digest(spec))
}

/// Writes the present state if it has no revision yet, and deletes those that nothing names, beyond the newest few.
pub(super) fn keep(observed: &ModelObserved) -> Vec<Stage> {
    let is_state = |revision: &&Revision| {
        revision.labels().get(COMPONENT_LABEL).is_some_and(|component| component == components::GATES)
    };
    let states: Vec<&Revision> = observed.revisions.iter().map(AsRef::as_ref).filter(is_state).collect();
    let current = current(&observed.model.name_any(), &observed.model.spec);
    let mut writes = vec![];
    if !states.iter().any(|state| state.name_any() == current) {
        let newest = states.iter().map(|state| state.revision).max().unwrap_or_default();
        let state = build(observed, current.clone(), newest.saturating_add(1));
        writes.push(Write::Create(Object::ControllerRevision(Box::new(state))));
    }
    let judgements = observed.versions.iter().filter_map(|version| version.status.as_ref());
    let named: BTreeSet<&str> = judgements
        .flat_map(|status| &status.judgements)
        .flat_map(|judgement| {
            [Some(judgement.gates_revision.as_ref()), judgement.overrules.as_ref().map(|it| it.gates_revision.as_ref())]
        })
        .flatten()
        .flatten()
        .map(String::as_str)
        .collect();
    let is_free = |state: &&Revision| state.name_any() != current && !named.contains(state.name_any().as_str());
    let mut free: Vec<&Revision> = states.into_iter().filter(is_free).collect();
    free.sort_unstable_by_key(|state| Reverse(state.revision));
    writes.extend(free.into_iter().skip(limits::GATES_HISTORY).map(|state| Write::Delete {
        kind: Kind::ControllerRevision,
        name: state.name_any(),
        uid: state.metadata.uid.clone().unwrap_or_default(),
    }));
    if writes.is_empty() { vec![] } else { vec![Stage::proceed(writes)] }
}

fn build(observed: &ModelObserved, name: String, revision: i64) -> ControllerRevision {
    let model = &observed.model;
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: model.namespace(),
            labels: Some(BTreeMap::from([
                (COMPONENT_LABEL.to_owned(), components::GATES.to_owned()),
                (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
                (MODEL_LABEL.to_owned(), model.name_any()),
            ])),
            ..ObjectMeta::default()
        },
        revision,
        data: Some(RawExtension(json!({"projection": PROJECTION, "judging": gates::judging(&model.spec)}))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seatrial_crds::{Model, ModelVersion};
    use serde_json::from_value;

    use super::*;

    fn observed(min: &str) -> ModelObserved {
        let gate = json!({"name": "auc", "type": "Metric", "metric": {"name": "auc", "min": min}});
        let owner = json!({"team": "growth", "contact": "x"});
        let spec = json!({"owner": owner, "objective": "x", "uses": ["Batch"], "gates": [gate]});
        let model = Arc::new(Model::new("churn", from_value(spec).unwrap()));
        ModelObserved { model, versions: vec![], deployments: vec![], revisions: vec![], blocked: vec![] }
    }

    /// A version with a judgement that names a state, and one that it overrules.
    fn judged(revision: &str, overruled: &str) -> Arc<ModelVersion> {
        let digest = format!("sha256:{}", "a".repeat(64));
        let spec = json!({
            "model": "churn", "number": 1, "purpose": "Release",
            "artifact": {"uri": "s3://growth/x", "digest": digest, "size": 1},
        });
        let mut version = ModelVersion::new("churn-v1", from_value(spec).unwrap());
        let at = "2026-01-01T00:00:00Z";
        let overrules = json!({"judgedAt": at, "verdict": "Failed", "gatesRevision": overruled, "gates": ["auc"]});
        let judgement = json!({
            "judgedAt": at, "gatesDigest": "x", "verdict": "Held", "gatesRevision": revision, "overrules": overrules,
        });
        version.status = Some(from_value(json!({"judgements": [judgement]})).unwrap());
        Arc::new(version)
    }

    /// Carries out what is planned; returns how many were created and which deleted.
    fn apply(observed: &mut ModelObserved) -> (usize, Vec<String>) {
        let (mut created, mut deleted) = (0, vec![]);
        for write in keep(observed).into_iter().flat_map(|stage| stage.writes) {
            match write {
                Write::Create(Object::ControllerRevision(revision)) => {
                    created += 1;
                    observed.revisions.push(Arc::new((*revision).into()));
                }
                Write::Delete { name, .. } => {
                    observed.revisions.retain(|revision| revision.name_any() != name);
                    deleted.push(name);
                }
                other => assert_eq!(format!("{other:?}"), "", "nothing else is written"),
            }
        }
        (created, deleted)
    }

    #[test]
    fn each_state_is_kept_once_and_what_is_not_judged_by_is_none() {
        let mut observed = observed("0.9");
        assert_eq!(apply(&mut observed), (1, vec![]));
        assert_eq!(observed.revisions[0].data().unwrap()["judging"]["gates"][0]["metric"]["min"], "0.9");
        Arc::make_mut(&mut observed.model).spec.owner.contact = "another".into();
        assert_eq!(apply(&mut observed), (0, vec![]), "steady state writes nothing");
        observed.model = self::observed("0.8").model;
        assert_eq!(apply(&mut observed), (1, vec![]));
        observed.model = self::observed("0.9").model;
        assert_eq!(apply(&mut observed), (0, vec![]), "it has its revision already");
        let numbers: Vec<i64> = observed.revisions.iter().map(|revision| revision.revision).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn the_oldest_states_go_but_never_those_that_a_judgement_names() {
        let mut observed = observed("0.10");
        apply(&mut observed);
        let first = observed.revisions[0].name_any();
        observed.model = self::observed("0.11").model;
        apply(&mut observed);
        let second = observed.revisions[1].name_any();
        observed.versions = vec![judged(&second, &first)];
        let mut deleted = vec![];
        for n in 0..limits::GATES_HISTORY + 3 {
            observed.model = self::observed(&format!("0.2{n}")).model;
            deleted.extend(apply(&mut observed).1);
        }
        deleted.extend(apply(&mut observed).1);
        assert_eq!((observed.revisions.len(), deleted.len()), (limits::GATES_HISTORY + 3, 2));
        assert!(!deleted.contains(&first) && !deleted.contains(&second));
        observed.versions.clear();
        assert_eq!(apply(&mut observed).1.len(), 2, "nothing names them any more");
        // A counter bears the same label.
        let labels = observed.revisions[0].metadata.labels.clone().map(|mut labels| {
            labels.insert(COMPONENT_LABEL.into(), components::COUNTER.into());
            labels
        });
        Arc::make_mut(&mut observed.revisions[0]).metadata.labels = labels;
        observed.model = self::observed("0.99").model;
        assert_eq!(apply(&mut observed), (1, vec![]));
    }
}

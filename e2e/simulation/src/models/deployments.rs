//! The Deployment controller, without ReplicaSets between: pods of the newest template come, and those of older ones go
//! once the new ones are ready.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Model, has_condition, is_controlled_by};
use crate::api::{Api, Deletion, Key, Store, by_kind, seconds};

/// The annotation of a pod that says which generation of its Deployment it is of.
const GENERATION: &str = "simulation/generation";

/// The controller.
#[derive(Debug, Default)]
pub struct Deployments;

impl Model for Deployments {
    fn act(&mut self, api: &Api, _: Instant) -> Option<Instant> {
        let all = |kind| {
            api.look(|store| {
                store
                    .of_kind(kind)
                    .map(|(key, object)| (key.clone(), object.clone()))
                    .collect::<Vec<(Key, Arc<Value>)>>()
            })
        };
        let pods = all("Pod");
        for (key, deployment) in all("Deployment") {
            if deployment["metadata"]["deletionTimestamp"].is_null() {
                let uid = deployment["metadata"]["uid"].as_str().unwrap_or_default();
                let own: Vec<_> = pods.iter().filter(|(_, pod)| is_controlled_by(pod, uid)).collect();
                api.change("deployment-controller", |store| sync(store, &key, &deployment, &own));
            }
        }
        None
    }
}

fn sync(store: &mut Store, key: &Key, deployment: &Value, pods: &[&(Key, Arc<Value>)]) {
    let (Some(resource), Some(of_pods)) = (by_kind("Deployment"), by_kind("Pod")) else { return };
    // The template alone makes new pods: a change of replicas is no change of it.
    let template = seatrial_core::contract::Digest::of(deployment["spec"]["template"].to_string().as_bytes());
    let is_current = |pod: &Value| pod["metadata"]["annotations"][GENERATION] == template.hex();
    let wanted = usize::try_from(deployment["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    let alive: Vec<&(Key, Arc<Value>)> =
        pods.iter().copied().filter(|(_, pod)| pod["metadata"]["deletionTimestamp"].is_null()).collect();
    let (current, old): (Vec<&(Key, Arc<Value>)>, Vec<_>) = alive.into_iter().partition(|one| is_current(&one.1));
    let ready = current.iter().filter(|(_, pod)| has_condition(pod, "Ready")).count();
    let old_ready = old.iter().filter(|(_, pod)| has_condition(pod, "Ready")).count();
    for _ in current.len()..wanted {
        let mut pod = deployment["spec"]["template"].clone();
        pod["metadata"]["generateName"] = format!("{}-", key.name).into();
        pod["metadata"]["annotations"][GENERATION] = template.hex().into();
        pod["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": key.name, "uid": deployment["metadata"]["uid"], "controller": true,
        }]);
        let _ = store.create(of_pods, &key.namespace, pod);
    }
    let surplus = current.iter().skip(wanted).chain(old.iter().filter(|_| ready >= wanted));
    for (key, _) in surplus {
        let _ = store.delete(of_pods, key, &Deletion::default());
    }
    let total = current.len() + old.len();
    let status = json!({
        "observedGeneration": deployment["metadata"]["generation"], "replicas": total, "updatedReplicas": current.len(),
        "readyReplicas": ready + old_ready, "availableReplicas": ready + old_ready,
        "conditions": deployment["status"]["conditions"].as_array().cloned().unwrap_or_else(|| vec![
            json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastTransitionTime": seconds(store.now)})
        ]),
    });
    if status != deployment["status"] {
        let mut new = deployment.clone();
        new["status"] = status;
        let _ = store.replace(resource, key, new, true);
    }
}

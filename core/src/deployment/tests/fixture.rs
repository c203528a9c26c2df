//! A ModelDeployment and the cluster around it, in memory: what the tests act on.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentStatus;
use seatrial_crds::{Model, ModelSpec, ModelVersionStatus, Verdict};
use serde_json::{Value, from_value, json};

use super::*;
use crate::contract::{Digest, layout};
use crate::gates;
use crate::plan::Object;
use crate::platform::{DefaultStore, Platform};

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn version(number: i64, purpose: &str, verdict: Verdict) -> Arc<ModelVersion> {
    let digest = Digest::of(number.to_string().as_bytes());
    let uri = format!("s3://growth/{}", layout::artifact(&digest));
    let mut version: ModelVersion = from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": format!("churn-v{number}"), "namespace": "growth", "uid": format!("v{number}")},
        "spec": {
            "model": "churn", "number": number, "purpose": purpose,
            "artifact": {"uri": uri, "digest": digest, "size": 10},
            "lineage": {"pipeline": "churn", "run": "churn-c1", "runUID": "u", "revision": 1},
        },
    }))
    .unwrap();
    version.status = Some(judged(verdict, &owner()));
    Arc::new(version)
}

/// The spec of the Model around it.
pub(super) fn owner() -> ModelSpec {
    let owner = json!({"team": "growth", "contact": "growth@example.com"});
    from_value(json!({"owner": owner, "objective": "x", "uses": ["Realtime"]})).unwrap()
}

/// The status of a version that a Model judged.
pub(super) fn judged(verdict: Verdict, model: &ModelSpec) -> ModelVersionStatus {
    let gate = json!({"name": "auc", "verdict": verdict, "message": "auc is 0.8, at least 0.9 is asked"});
    let judgement =
        json!({"judgedAt": now(), "gatesDigest": gates::digest(model), "verdict": verdict, "gates": [gate]});
    let judgements = if verdict == Verdict::Unjudged { json!([]) } else { json!([judgement]) };
    from_value(json!({"verdict": verdict, "judgements": judgements})).unwrap()
}

pub(super) fn passed(number: i64) -> Arc<ModelVersion> {
    version(number, "Release", Verdict::Passed)
}

/// A deployment and the cluster around it, in which Deployments become ready when they are told to.
pub(super) struct Cluster(pub(super) DeploymentObserved, pub(super) Timestamp);

impl Cluster {
    pub(super) fn new(spec: Value, versions: &[Arc<ModelVersion>]) -> Self {
        let mut whole = json!({"model": "churn", "server": {"image": "server:1", "port": 8080}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let mut deployment = ModelDeployment::new("churn", from_value(whole).unwrap());
        deployment.metadata.namespace = Some("growth".into());
        deployment.metadata.uid = Some("md-uid".into());
        deployment.metadata.generation = Some(1);
        let platform = Platform {
            agent_image: "agent:1".into(),
            default_store: Some(DefaultStore::example()),
            ..Platform::default()
        };
        Self(
            DeploymentObserved {
                deployment: Arc::new(deployment),
                model: Some(Arc::new(Model::new("churn", owner()))),
                versions: versions.to_vec(),
                children: vec![],
                service: None,
                pods: vec![],
                probes: BTreeMap::new(),
                live_reads: BTreeMap::new(),
                stores: vec![],
                blocked: vec![],
                platform: Arc::new(platform),
            },
            now(),
        )
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, seconds: i64) {
        self.1 = self.1.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    }

    /// Plans and carries out until nothing is left to do. Returns what was written.
    pub(super) fn settle(&mut self) -> Vec<String> {
        let mut written = vec![];
        for _ in 0..10 {
            let plan = plan(&self.0, self.1);
            if plan.is_quiet() {
                return written;
            }
            // The caches never lag behind here: the answer is what they have.
            for read in &plan.live_reads {
                if let LiveRead::Deployment(name) = read {
                    self.0.live_reads.insert(name.clone(), self.1);
                }
            }
            if let Some(status) = plan.status {
                Arc::make_mut(&mut self.0.deployment).status = Some(status);
            }
            plan.stages.into_iter().flat_map(|stage| stage.writes).for_each(|action| written.push(self.apply(action)));
        }
        panic!("it does not settle: {written:?}");
    }

    pub(super) fn apply(&mut self, action: Write) -> String {
        match action {
            Write::Create(Object::Deployment(mut child)) => {
                child.metadata.uid = Some(format!("uid of {}", child.name_any()));
                let name = child.name_any();
                self.0.children.push(Arc::new(*child));
                format!("create {name}")
            }
            Write::Replace(Object::Deployment(mut child)) => {
                child.metadata.generation = Some(child.metadata.generation.unwrap_or(1) + 1);
                let name = child.name_any();
                self.0.children.retain(|old| old.name_any() != name);
                self.0.children.push(Arc::new(*child));
                format!("replace {name}")
            }
            Write::Create(Object::Service(service)) | Write::Replace(Object::Service(service)) => {
                let version = service.labels()[VERSION_LABEL].clone();
                self.0.service = Some(Arc::new(*service));
                format!("route to {version}")
            }
            Write::Delete { name, uid, .. } => {
                self.0.children.retain(|child| child.metadata.uid.as_ref() != Some(&uid));
                format!("delete {name}")
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Lets the servers of a version become ready.
    pub(super) fn make_ready(&mut self, version: &str) {
        let child = self.0.children.iter_mut().find(|child| child.labels()[VERSION_LABEL] == version).unwrap();
        let child = Arc::make_mut(child);
        let replicas = Some(desired(child));
        child.status = Some(DeploymentStatus {
            observed_generation: child.metadata.generation,
            replicas,
            updated_replicas: replicas,
            available_replicas: replicas,
            ..DeploymentStatus::default()
        });
    }

    /// Settles and lets everything become ready.
    pub(super) fn run_until_ready(&mut self) -> Vec<String> {
        let mut written = self.settle();
        for _ in 0..3 {
            let versions: Vec<String> =
                self.0.children.iter().map(|child| child.labels()[VERSION_LABEL].clone()).collect();
            versions.iter().for_each(|version| self.make_ready(version));
            written.extend(self.settle());
        }
        written
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut ModelDeployment)) {
        change(Arc::make_mut(&mut self.0.deployment));
    }

    /// Lets the Model warn where it would block.
    pub(super) fn warn_only(&mut self) {
        Arc::make_mut(self.0.model.as_mut().unwrap()).spec.enforcement = Some(seatrial_crds::Enforcement::Warn);
    }

    pub(super) fn status(&self) -> &ModelDeploymentStatus {
        self.0.deployment.status.as_ref().unwrap()
    }

    pub(super) fn served(&self) -> Option<&str> {
        self.status().served_version.as_deref()
    }

    pub(super) fn reason(&self, kind: &str) -> Option<&str> {
        conditions::find(&self.status().conditions, kind).map(|condition| condition.reason.as_str())
    }

    /// The versions with servers.
    pub(super) fn children(&self) -> Vec<&str> {
        self.0.children.iter().map(|child| child.labels()[VERSION_LABEL].as_str()).collect()
    }

    pub(super) fn pod(&mut self, version: &str, status: Value) {
        let known = self.0.versions.iter().find(|known| known.name_any() == version).unwrap();
        let labels = json!({ARTIFACT_LABEL: server::artifact(known, None), "pod-template-hash": "a"});
        let name = format!("pod-{}", self.0.pods.len());
        let created = self.1.checked_add(jiff::SignedDuration::from_secs(self.0.pods.len() as i64)).unwrap();
        let metadata = json!({"name": name, "uid": name, "labels": labels, "creationTimestamp": created});
        self.0.pods.push(Arc::new(from_value(json!({"metadata": metadata, "status": status})).unwrap()));
    }
}

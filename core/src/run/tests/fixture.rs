//! A run and the cluster around it, in memory: what the tests of a run act on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::names::{ATTEMPT_LABEL, REVISION_LABEL, STEP_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun};
use serde_json::{Value, from_value, json};

use super::*;
use crate::contract::{Digest, Message, ReportedInput, ReportedMetric, ReportedOutput};
use crate::observed::{Expectation, ProbeReport, RefusalReport};
use crate::plan::{Kind, LiveRead, Object};
use crate::platform::{DefaultStore, Platform};
use crate::pods::RECOVER;
use crate::revision;

const START: i64 = 1_800_000_000;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

/// What a pipeline's plan puts on the runs that changes start.
pub(super) fn owner_of_runs() -> Value {
    json!([{"apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "name": "churn", "uid": "pipeline-uid", "controller": true}])
}

pub(super) fn plain() -> Value {
    json!({"image": "churn:1", "steps": [
        {"name": "one", "command": ["one"]},
        {"name": "two", "command": ["two"]},
    ]})
}

pub(super) fn training() -> Value {
    json!({
        "image": "churn:1",
        "parameters": [{"name": "learning-rate", "type": "Number", "default": "0.1"}],
        "steps": [
            {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": "s3://growth/raw/"}],
             "outputs": [{"name": "train", "type": "Dataset"}]},
            {"name": "train", "command": ["train"], "inputs": [{"name": "train", "from": {"step": "prepare", "output": "train"}}],
             "outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}], "retry": {"limit": 2}, "timeout": "1h"},
        ],
        "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                       "evidence": [{"step": "train", "output": "metrics"}]}],
    })
}

/// A run and the cluster around it.
#[derive(Clone)]
pub(super) struct Fixture {
    pub(super) observed: RunObserved,
    pub(super) now: i64,
    /// The names of all Jobs that were ever created, in order.
    pub(super) jobs_created: Vec<String>,
    pub(super) status_writes: usize,
    /// The records in the store: step and attempt.
    pub(super) records: BTreeSet<(String, u32)>,
}

impl Fixture {
    pub(super) fn new(spec: Value) -> Self {
        let mut pipeline = MLPipeline::new("churn", from_value(spec).unwrap());
        pipeline.metadata.namespace = Some("growth".into());
        pipeline.metadata.uid = Some("pipeline-uid".into());
        let revision = Arc::new(revision::build(&pipeline, 1).into());
        let run: MLPipelineRun = from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": "churn-c1", "namespace": "growth", "uid": "run-uid", "generation": 1,
                         "labels": {REVISION_LABEL: "1"}, "ownerReferences": owner_of_runs()},
            "spec": {"pipeline": "churn"},
        }))
        .unwrap();
        let platform = Platform {
            agent_image: "agent:1".into(),
            default_store: Some(DefaultStore::example()),
            run_as_non_root: true,
            ..Platform::default()
        };
        let run = Arc::new(run);
        let observed = RunObserved {
            siblings: vec![run.clone()],
            run,
            pipeline: Some(Arc::new(pipeline)),
            revision: Some(revision),
            jobs: vec![],
            pods: vec![],
            contracts: vec![],
            contract_revisions: vec![],
            pinned: None,
            stores: vec![],
            counters: BTreeMap::new(),
            versions: vec![],
            expectations: BTreeMap::new(),
            leading_for: Duration::from_secs(3600),
            without_pod_for: BTreeMap::new(),
            ending: BTreeMap::new(),
            deleted_pods: vec![],
            begun: BTreeSet::new(),
            live_reads: BTreeMap::new(),
            refusals: BTreeMap::new(),
            probes: BTreeMap::new(),
            blocked: vec![],
            platform: Arc::new(platform),
        };
        Self { observed, now: 0, jobs_created: vec![], status_writes: 0, records: BTreeSet::new() }
    }

    /// Undoes the run's end, as if the operator had died before it was written.
    pub(super) fn reopen(&mut self) {
        let status = Arc::make_mut(&mut self.observed.run).status.as_mut().unwrap();
        status.finished_at = None;
        status.conditions.clear();
    }

    /// One pass, carried out up to `writes` actions after the status.
    pub(super) fn pass(&mut self, writes: usize) -> bool {
        let plan = plan(&self.observed, at(self.now));
        if plan.is_quiet() {
            return false;
        }
        // The caches of a fixture never lag behind: the answer is what they have.
        for read in plan.live_reads.clone() {
            match read {
                LiveRead::Job(job) => drop(self.observed.live_reads.insert(job, at(self.now))),
                LiveRead::JobEvents { uid, .. } => {
                    let nothing = RefusalReport { read_at: at(self.now), message: None };
                    self.observed.refusals.insert(uid, nothing);
                }
                LiveRead::PodEvents { uid, .. } => {
                    let said = self.observed.probes.get(&uid).and_then(|report| report.last.clone());
                    self.observed.probes.insert(uid, ProbeReport { read_at: at(self.now), last: said });
                }
                read @ LiveRead::Deployment(_) => panic!("{read:?}"),
            }
        }
        for action in plan.writes() {
            if let Write::Create(Object::Job(job)) = action {
                self.observed.expectations.entry(job.name_any()).or_insert(Expectation::Recorded);
            }
        }
        if let Some(status) = plan.status {
            self.status_writes += 1;
            Arc::make_mut(&mut self.observed.run).status = Some(status);
        }
        plan.stages.into_iter().flat_map(|stage| stage.writes).take(writes).for_each(|action| self.execute(action));
        true
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            if !self.pass(usize::MAX) {
                return;
            }
        }
        panic!("it does not settle: {:#?}", plan(&self.observed, at(self.now)));
    }

    pub(super) fn execute(&mut self, action: Write) {
        match action {
            Write::Create(Object::Job(mut job)) => {
                let name = job.name_any();
                if self.observed.jobs.iter().any(|known| known.name_any() == name) {
                    return;
                }
                job.metadata.uid = Some(format!("uid of {name}"));
                self.jobs_created.push(name.clone());
                self.observed.expectations.insert(name, Expectation::Observed);
                self.observed.jobs.push(Arc::new(*job));
            }
            Write::Create(Object::ControllerRevision(mut pinned)) if pinned.name_any().ends_with("-contracts") => {
                pinned.metadata.uid = Some("uid of what is pinned".to_owned());
                self.observed.pinned = Some(Arc::new((*pinned).into()));
            }
            Write::Replace(Object::ControllerRevision(pinned)) if pinned.name_any().ends_with("-contracts") => {
                panic!("the API server lets nobody change its data");
            }
            Write::Delete { kind: Kind::ControllerRevision, uid, .. } => {
                let pinned = self.observed.pinned.take();
                assert_eq!(pinned.unwrap().metadata.uid.as_ref(), Some(&uid));
            }
            Write::Create(Object::ControllerRevision(counter))
            | Write::Replace(Object::ControllerRevision(counter)) => {
                self.observed.counters.insert("churn".into(), Arc::new((*counter).into()));
            }
            Write::Create(Object::Version(version)) => self.observed.versions.push(Arc::new(*version)),
            Write::Delete { kind: Kind::Job, uid, .. } => {
                self.observed.jobs.retain(|job| job.metadata.uid.as_ref() != Some(&uid));
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Another operator leads from now on: it remembers nothing, and starts from a fresh list.
    pub(super) fn change_leader(&mut self) {
        let seen = self.observed.jobs.iter().map(|job| (job.name_any(), Expectation::Observed));
        self.observed.expectations = seen.collect();
        self.observed.live_reads.clear();
    }

    /// The steps whose Job exists and has not ended.
    pub(super) fn live(&self) -> Vec<String> {
        let Some(status) = self.observed.run.status.as_ref() else { return vec![] };
        let lives = |step: &&StepStatus| {
            step.state == StepState::Running
                && self.observed.jobs.iter().any(|job| Some(job.name_any()) == step.job && job.status.is_none())
        };
        status.steps.iter().filter(lives).map(|step| step.name.clone()).collect()
    }

    pub(super) fn status(&self) -> &MLPipelineRunStatus {
        self.observed.run.status.as_ref().unwrap()
    }

    pub(super) fn step(&self, name: &str) -> &StepStatus {
        step_status(&self.status().steps, name).unwrap()
    }

    /// Reason and message of how the run stands.
    pub(super) fn stands(&self) -> (&str, &str) {
        let condition = conditions::find(&self.status().conditions, types::SUCCEEDED).unwrap();
        (&condition.reason, &condition.message)
    }

    pub(super) fn job(&self, step: &str) -> Arc<Job> {
        let name = self.step(step).job.clone().unwrap();
        self.observed.jobs.iter().find(|job| job.name_any() == name).unwrap().clone()
    }

    pub(super) fn end_job(&mut self, step: &str, condition: Value) {
        let name = self.step(step).job.clone().unwrap();
        let job = self.observed.jobs.iter_mut().find(|job| job.name_any() == name).unwrap();
        Arc::make_mut(job).status = Some(from_value(json!({"conditions": [condition]})).unwrap());
    }

    pub(super) fn pod(&mut self, step: &str, status: Value) {
        let job = self.job(step);
        let pod: Pod = from_value(json!({
            "metadata": {
                "name": format!("pod-{}", self.observed.pods.len()), "uid": format!("pod-{}", self.observed.pods.len()),
                "creationTimestamp": at(self.now).to_string(), "labels": {STEP_LABEL: step, ATTEMPT_LABEL: self.step(step).attempt.unwrap_or(1).to_string()},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.metadata.uid, "controller": true}],
            },
            "status": status,
        }))
        .unwrap();
        self.observed.pods.push(Arc::new(pod));
    }

    /// Lets the record of a step's attempt be in the store.
    pub(super) fn keep_record(&mut self, step: &str) {
        let attempt = self.step(step).attempt.unwrap();
        self.records.insert((step.to_owned(), attempt));
    }

    /// Lets the Jobs that ask the store get their answers.
    pub(super) fn answer_questions(&mut self) {
        for step in self.observed.run.status.clone().unwrap_or_default().steps {
            let Some(recovery) = &step.recovery else { continue };
            let Some(job) = self.observed.jobs.iter().find(|job| job.name_any() == recovery.job) else { continue };
            if job.status.is_some() {
                continue;
            }
            let (uid, found) =
                (job.metadata.uid.clone(), self.records.contains(&(step.name.clone(), step.attempt.unwrap())));
            let (_, published) = messages();
            let end = if found { ended(RECOVER, 0, &published.to_json()) } else { ended(RECOVER, 66, "") };
            let pod: Pod = from_value(json!({
                "metadata": {"name": recovery.job, "uid": recovery.job, "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": recovery.job, "uid": uid, "controller": true}]},
                "status": {"phase": if found { "Succeeded" } else { "Failed" }, "containerStatuses": [end]},
            }))
            .unwrap();
            self.observed.pods.push(Arc::new(pod));
            let condition = json!({"type": if found { "Complete" } else { "Failed" }, "status": "True"});
            let job = self.observed.jobs.iter_mut().find(|job| job.name_any() == recovery.job).unwrap();
            Arc::make_mut(job).status = Some(from_value(json!({"conditions": [condition]})).unwrap());
        }
    }

    /// Lets a step end well, with what its containers report.
    pub(super) fn succeed(&mut self, step: &str) {
        self.keep_record(step);
        let (fetched, published) = messages();
        self.pod(
            step,
            json!({
                "phase": "Succeeded",
                "initContainerStatuses": [ended("seatrial-fetch", 0, &fetched.to_json())],
                "containerStatuses": [ended("step", 0, ""), ended("seatrial-publish", 0, &published.to_json())],
            }),
        );
        self.end_job(step, json!({"type": "Complete", "status": "True"}));
    }
}

/// What the agent's containers say of a step that ended well.
pub(super) fn messages() -> (Message, Message) {
    let mut fetched = Message::new();
    fetched.inputs = vec![
        ReportedInput { name: "raw".into(), digest: Digest::of(b"raw"), size: 3 },
        ReportedInput { name: "train".into(), digest: Digest::of(b"train"), size: 5 },
    ];
    let mut published = Message::new();
    for output in ["train", "model", "metrics"] {
        published.outputs.push(ReportedOutput {
            name: output.into(),
            digest: Digest::of(output.as_bytes()),
            size: 7,
            files: 1,
        });
    }
    published.metrics.push(ReportedMetric { output: "metrics".into(), name: "auc".into(), value: "0.8".into() });
    (fetched, published)
}

pub(super) fn ended(container: &str, code: i32, message: &str) -> Value {
    let reason = if code == 137 { "OOMKilled" } else { "Error" };
    json!({"name": container, "image": "churn:1", "imageID": "churn@sha256:1", "ready": false, "restartCount": 0,
           "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}})
}

pub(super) fn waiting(container: &str, reason: &str) -> Value {
    json!({"name": container, "image": "churn:nope", "imageID": "", "ready": false, "restartCount": 0,
           "state": {"waiting": {"reason": reason, "message": "no such thing"}}})
}

/// A run of the same pipeline.
pub(super) fn sibling(name: &str, label: &str, owners: Value, status: Value) -> Arc<MLPipelineRun> {
    Arc::new(
        from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": name, "namespace": "growth", "uid": name, "labels": {REVISION_LABEL: label},
                         "ownerReferences": owners},
            "spec": {"pipeline": "churn"}, "status": status,
        }))
        .unwrap(),
    )
}

/// The run of a newer change.
pub(super) fn newer_change() -> Arc<MLPipelineRun> {
    sibling("churn-c2", "2", owner_of_runs(), json!({}))
}

/// Lets the API server refuse the Job of the step `one`.
pub(super) fn refuse(fixture: &mut Fixture, reason: BlockedReason) {
    let name = fixture.step("one").job.clone().unwrap();
    fixture.observed.jobs.retain(|job| job.name_any() != name);
    fixture.jobs_created.retain(|job| *job != name);
    fixture.observed.expectations.insert(name.clone(), Expectation::Recorded);
    let message = "quantities must match".to_owned();
    fixture.observed.blocked = vec![Blocked { kind: Kind::Job, name, reason, message, until: at(0) }];
}

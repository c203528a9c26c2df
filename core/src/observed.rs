//! What plans are made from: plain data, which the operator gathers from its caches.
//!
//! Objects are as Kubernetes has them, pruned of what no decision reads: managed fields and the last-applied
//! annotation; of pods all but metadata (name, namespace, uid, labels, owner references, deletion timestamp) and of
//! `status` the phase, reason, conditions and (init) container statuses; of Jobs the pod template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use seatrial_crds::{Approval, DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

use crate::plan::Blocked;
use crate::platform::Platform;
use crate::revision::Revision;

/// For [`crate::pipeline::plan`].
#[derive(Clone, Debug)]
pub struct PipelineObserved {
    /// The pipeline.
    pub pipeline: Arc<MLPipeline>,
    /// The revisions with the pipeline's name in [`seatrial_crds::names::PIPELINE_LABEL`].
    pub revisions: Vec<Arc<Revision>>,
    /// The runs whose `spec.pipeline` is the pipeline.
    pub runs: Vec<Arc<MLPipelineRun>>,
    /// The versions that runs of the pipeline made.
    pub versions: Vec<Arc<ModelVersion>>,
    /// The contracts that the pipeline's inputs name, as far as there are any.
    pub contracts: Vec<Arc<DataContract>>,
    /// The documents that these contracts had.
    pub contract_revisions: Vec<Arc<Revision>>,
    /// The Models that the pipeline publishes to, as far as there are any.
    pub models: Vec<Arc<Model>>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
}

/// For [`crate::data_contract::plan`].
#[derive(Clone, Debug)]
pub struct ContractObserved {
    /// The contract.
    pub contract: Arc<DataContract>,
    /// The documents with the contract's name in [`seatrial_crds::names::CONTRACT_LABEL`].
    pub revisions: Vec<Arc<Revision>>,
    /// The pipelines whose inputs name the contract, of its own namespace and of those that it serves.
    pub pipelines: Vec<Arc<MLPipeline>>,
    /// The Jobs with the contract's name in the same label.
    pub jobs: Vec<Arc<Job>>,
    /// The pods with the contract's name in the same label.
    pub pods: Vec<Arc<Pod>>,
    /// The namespace's stores.
    pub stores: Vec<Arc<Store>>,
    /// What this leader did about Jobs, by name.
    pub expectations: BTreeMap<String, Expectation>,
    /// For how long this leader has led.
    pub leading_for: Duration,
    /// When the API server was asked about a Job last.
    pub live_reads: BTreeMap<String, Timestamp>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
    /// What the platform team configured.
    pub platform: Arc<Platform>,
}

/// For [`crate::stores::plan`].
#[derive(Clone, Debug)]
pub struct StoreObserved {
    /// The Store.
    pub store: Arc<Store>,
    /// All Stores of its namespace.
    pub stores: Vec<Arc<Store>>,
}

/// What this leader knows of a pod that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When it saw that first, by the time of day.
    pub first_seen: Timestamp,
    /// For how long it has seen it. A time of day that is set does not change it.
    pub seen_for: Duration,
}

/// For [`crate::run::plan`].
#[derive(Clone, Debug)]
pub struct RunObserved {
    /// The run.
    pub run: Arc<MLPipelineRun>,
    /// The pipeline of its name, if there is one.
    pub pipeline: Option<Arc<MLPipeline>>,
    /// The runs of the same pipeline that have not ended, with or without this one.
    pub siblings: Vec<Arc<MLPipelineRun>>,
    /// The revision that the run executes: of a run that pinned none yet and was made by hand, the pipeline's newest.
    pub revision: Option<Arc<Revision>>,
    /// The Jobs with the run's name in [`seatrial_crds::names::RUN_LABEL`].
    pub jobs: Vec<Arc<Job>>,
    /// The pods with the run's name in the same label.
    pub pods: Vec<Arc<Pod>>,
    /// Those of them that failed and were deleted lately, in their last states.
    pub deleted_pods: Vec<Arc<Pod>>,
    /// The contracts that the run's inputs name, of a run that has not begun.
    pub contracts: Vec<Arc<DataContract>>,
    /// The documents that these contracts had.
    pub contract_revisions: Vec<Arc<Revision>>,
    /// The object of the name that the run's pinned contracts have.
    pub pinned: Option<Arc<Revision>>,
    /// The namespace's stores.
    pub stores: Vec<Arc<Store>>,
    /// The counters (ControllerRevisions with [`seatrial_crds::names::MODEL_LABEL`]) of the namespace, by model.
    pub counters: BTreeMap<String, Arc<Revision>>,
    /// The versions of the models that the run may publish, all versions of the namespace will do.
    pub versions: Vec<Arc<ModelVersion>>,
    /// What this leader did about Jobs, by name.
    pub expectations: BTreeMap<String, Expectation>,
    /// For how long this leader has led. Until a minute (`LATE_WRITE` of `attempt`), a Job that an earlier leader asked for may
    /// still come to be.
    pub leading_for: Duration,
    /// For how long this leader has seen each Job that has no pod, by the Job's UID.
    pub without_pod_for: BTreeMap<String, Duration>,
    /// The pods that were told to end, by UID.
    pub ending: BTreeMap<String, Ending>,
    /// The siblings that this leader let begin, by name, though the caches may not show it yet.
    pub begun: BTreeSet<String>,
    /// When the API server was last asked about a Job and its pods, by this leader, by name.
    pub live_reads: BTreeMap<String, Timestamp>,
    /// What was read of pods that could not be created, by the Job's UID.
    pub refusals: BTreeMap<String, RefusalReport>,
    /// What was read of the probes of pods whose upload takes long, by the pod's UID.
    pub probes: BTreeMap<String, ProbeReport>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
    /// What the platform team configured.
    pub platform: Arc<Platform>,
}

/// What the Job controller said about the pods of a Job that it could not create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalReport {
    /// When the API server was asked.
    pub read_at: Timestamp,
    /// The API server's words, as the Job controller passed them on; `None` where it said nothing.
    pub message: Option<String>,
}

/// What a leader did about a Job, and what the caches must show because of it. A Job that is recorded in a run's
/// status, is not in the cache and has no expectation was recorded by an earlier leader: once its creation can no longer
/// be on its way, it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Its attempt was about to be recorded: whether it was created is unknown, creating it (again) is right.
    /// Noted before the status is written, for each Job that the plan creates.
    Recorded,
    /// The API server confirmed its creation at this time; the cache may lag behind.
    Created(Timestamp),
    /// The cache has shown it.
    Observed,
    /// The cache showed it, and shows since this time that it is deleted, or being deleted.
    Gone(Timestamp),
}

/// For [`crate::version::plan`].
#[derive(Clone, Debug)]
pub struct VersionObserved {
    /// The version.
    pub version: Arc<ModelVersion>,
    /// The Model of its name, if there is one.
    pub model: Option<Arc<Model>>,
    /// The Approvals that name it.
    pub approvals: Vec<Arc<Approval>>,
    /// The policy that proves who writes Approvals, if there is one of the configured name.
    pub approval_policy: Option<Arc<ValidatingAdmissionPolicy>>,
    /// Its binding, if there is one.
    pub approval_binding: Option<Arc<ValidatingAdmissionPolicyBinding>>,
    /// The run of its lineage, if there is one of that name.
    pub run: Option<Arc<MLPipelineRun>>,
    /// The revision of its lineage, which has the spec that the run executed.
    pub revision: Option<Arc<Revision>>,
    /// The versions of its model, of a version whose champion is to be pinned.
    pub versions: Vec<Arc<ModelVersion>>,
    /// The ModelDeployments that serve its model, of such a version.
    pub deployments: Vec<Arc<ModelDeployment>>,
    /// The Jobs with the version's name in [`seatrial_crds::names::VERSION_LABEL`].
    pub jobs: Vec<Arc<Job>>,
    /// The pods with the version's name in the same label.
    pub pods: Vec<Arc<Pod>>,
    /// The pods that were told to end, by UID.
    pub ending: BTreeMap<String, Ending>,
    /// The namespace's stores.
    pub stores: Vec<Arc<Store>>,
    /// What this leader did about Jobs, by name.
    pub expectations: BTreeMap<String, Expectation>,
    /// For how long this leader has led.
    pub leading_for: Duration,
    /// When the API server was last asked about a Job and its pods, by this leader, by name.
    pub live_reads: BTreeMap<String, Timestamp>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
    /// What the platform team configured.
    pub platform: Arc<Platform>,
}

impl VersionObserved {
    /// A version of which nothing else is known.
    pub fn alone(version: Arc<ModelVersion>) -> Self {
        Self {
            version,
            model: None,
            approvals: vec![],
            approval_policy: None,
            approval_binding: None,
            run: None,
            revision: None,
            versions: vec![],
            deployments: vec![],
            jobs: vec![],
            pods: vec![],
            ending: BTreeMap::new(),
            stores: vec![],
            expectations: BTreeMap::new(),
            leading_for: Duration::ZERO,
            live_reads: BTreeMap::new(),
            blocked: vec![],
            platform: Arc::default(),
        }
    }
}

/// For [`crate::model::plan`].
#[derive(Clone, Debug)]
pub struct ModelObserved {
    /// The model.
    pub model: Arc<Model>,
    /// Its versions.
    pub versions: Vec<Arc<ModelVersion>>,
    /// The ModelDeployments that serve it.
    pub deployments: Vec<Arc<ModelDeployment>>,
    /// The ControllerRevisions with the model's name in [`seatrial_crds::names::MODEL_LABEL`].
    pub revisions: Vec<Arc<Revision>>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
}

/// For [`crate::deployment::plan`].
#[derive(Clone, Debug)]
pub struct DeploymentObserved {
    /// The deployment.
    pub deployment: Arc<ModelDeployment>,
    /// The Model of its model's name, if there is one.
    pub model: Option<Arc<Model>>,
    /// The versions of its model.
    pub versions: Vec<Arc<ModelVersion>>,
    /// The Deployments with its name in [`seatrial_crds::names::DEPLOYMENT_LABEL`].
    pub children: Vec<Arc<Deployment>>,
    /// The Service of its name, where it has the same label.
    pub service: Option<Arc<Service>>,
    /// The pods with its name in the same label.
    pub pods: Vec<Arc<Pod>>,
    /// What was read of the pods' readiness probes, by the pod's UID.
    pub probes: BTreeMap<String, ProbeReport>,
    /// When the API server was last asked about a child, by this leader, by name.
    pub live_reads: BTreeMap<String, Timestamp>,
    /// The namespace's stores.
    pub stores: Vec<Arc<Store>>,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
    /// What the platform team configured.
    pub platform: Arc<Platform>,
}

/// What the kubelet said about a probe of a pod's main container: the readiness of a server, or the upload of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// When the API server was asked.
    pub read_at: Timestamp,
    /// What the kubelet said last; `None` where it said nothing.
    pub last: Option<ProbeEvent>,
}

/// An event about a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeEvent {
    /// `Unhealthy` for a failed probe, `ProbeWarning` for one that counts as good though it is odd.
    pub reason: String,
    /// The kubelet's words.
    pub message: String,
    /// When it said so last, by its own clock.
    pub seen_at: Option<Timestamp>,
}

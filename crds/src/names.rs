//! The labels and annotations that Seatrial puts on objects, and the names it is known by.

/// The API group.
pub const GROUP: &str = "seatrial.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The field manager of every write of the operator.
pub const FIELD_MANAGER: &str = "seatrial";

/// What an object is for: on every Job, pod, Deployment, Service and ControllerRevision that the operator makes. Its
/// watches select by it, since no other tool writes it.
pub const COMPONENT_LABEL: &str = "seatrial.dev/component";
/// The values of [`COMPONENT_LABEL`].
pub mod components {
    /// A Job of a step, and its pods.
    pub const STEP: &str = "step";
    /// A Job that asks the store for the record of a lost attempt, and its pods.
    pub const RECOVER: &str = "recover";
    /// A Job that measures a version's predictions, and its pods.
    pub const JUDGE: &str = "judge";
    /// A Job that lets a version's evaluation step evaluate the champion, and its pods.
    pub const DUEL: &str = "duel";
    /// A Job that checks data on a contract's own schedule, and its pods.
    pub const CHECK: &str = "check";
    /// A pod by which a person reads logs and artifacts.
    pub const READER: &str = "reader";
    /// A model's servers: Deployment, pods and Service.
    pub const SERVER: &str = "server";
    /// The spec of a pipeline's change.
    pub const REVISION: &str = "revision";
    /// The last number of a model's versions.
    pub const COUNTER: &str = "counter";
    /// A document that a DataContract had.
    pub const CONTRACT: &str = "contract";
    /// The contracts that a run pinned.
    pub const CONTRACTS: &str = "contracts";
    /// One state of what a Model judges by.
    pub const GATES: &str = "gates";
    /// The ConfigMap with the authorities that agents trust.
    pub const TRUST_BUNDLE: &str = "trust-bundle";
}
/// `app.kubernetes.io/managed-by`: on every object the operator makes, for people. Helm and others write it, too.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "seatrial";
/// The pipeline that an object belongs to.
pub const PIPELINE_LABEL: &str = "seatrial.dev/pipeline";
/// The run that an object belongs to.
pub const RUN_LABEL: &str = "seatrial.dev/run";
/// The step of a Job or pod.
pub const STEP_LABEL: &str = "seatrial.dev/step";
/// The attempt of a Job or pod, as the operator counts them.
pub const ATTEMPT_LABEL: &str = "seatrial.dev/attempt";
/// The number of the revision that a run was started by.
pub const REVISION_LABEL: &str = "seatrial.dev/revision";
/// The model of a version, counter or server.
pub const MODEL_LABEL: &str = "seatrial.dev/model";
/// The DataContract of a document that is kept, or of a Job that checks its data.
pub const CONTRACT_LABEL: &str = "seatrial.dev/contract";
/// The ModelDeployment of a server's pods.
pub const DEPLOYMENT_LABEL: &str = "seatrial.dev/deployment";
/// The ModelVersion that a Deployment's servers serve, or that a judge's Job measures. Not on their pods: a version with the same files takes the servers
/// over as they are.
pub const VERSION_LABEL: &str = "seatrial.dev/version";
/// What a server's pods serve: the beginning of their files' digest, and a hash of the threshold where they are told one.
pub const ARTIFACT_LABEL: &str = "seatrial.dev/artifact";

/// The ConfigMap of a namespace with the certificate authorities that agents trust.
pub const TRUST_BUNDLE: &str = "seatrial-trust-bundle";
/// The key of it, and of what the embedded store publishes, with the authorities (PEM) of the cluster's default store.
pub const TRUST_BUNDLE_KEY: &str = "ca.crt";
/// The key of it with the authorities (PEM) that the platform team lets agents trust besides the public ones.
pub const TRUST_BUNDLE_SITE_KEY: &str = "site.crt";

/// The digest of the people's inputs that a pod template was rendered from.
pub const INPUTS_DIGEST_ANNOTATION: &str = "seatrial.dev/inputs-digest";
/// What the operator last wrote of a Deployment or Service, as JSON: what differs from it now was changed by somebody else.
pub const APPLIED_ANNOTATION: &str = "seatrial.dev/applied";
/// The UID of the pipeline that a revision belongs to. Not an owner reference, since a revision outlives its
/// pipeline while a version names it.
pub const PIPELINE_UID_ANNOTATION: &str = "seatrial.dev/pipeline-uid";
/// On a revision that nobody was seen to need: since when, RFC 3339.
pub const UNUSED_SINCE_ANNOTATION: &str = "seatrial.dev/unused-since";
/// On a model's counter: the runs that took the newest numbers, as a JSON object from number to run UID.
pub const HOLDERS_ANNOTATION: &str = "seatrial.dev/holders";
/// On a revision: the data that its change was made for, as a JSON object from the name of a trigger to a digest.
pub const DATA_ANNOTATION: &str = "seatrial.dev/data";
/// On a run that new data started: the name of the trigger.
pub const TRIGGER_ANNOTATION: &str = "seatrial.dev/trigger";
/// On a run that a trigger started: when, RFC 3339. A copy of the run that is created much later is known by it.
pub const TRIGGERED_AT_ANNOTATION: &str = "seatrial.dev/triggered-at";

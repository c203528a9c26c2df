//! Seatrial's API types (group `seatrial.dev`, version `v1alpha1`) and the manifests generated from them.
//!
//! A field's documentation begins with its name, since `kubectl explain` shows it. What the schema can refuse it
//! refuses at apply; the rest is decided in `seatrial-core` and shown as a condition.

pub mod limits;
pub mod manifests;
pub mod names;
pub mod patterns;
pub mod reference;

mod affinity;
mod approval;
mod artifact;
mod contract;
mod counts;
mod deployment;
mod judgement;
mod measurement;
mod metadata;
mod model;
mod objectives;
mod pipeline;
mod pod;
mod run;
mod schema;
mod store;
mod version;
mod volume;
mod workload;

pub use affinity::{
    Affinity, LabelExpression, LabelOperator, LabelSelector, NodeAffinity, NodeExpression, NodeOperator, NodeSelector,
    NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredNodes, PreferredPods, TopologySpreadConstraint,
    UnsatisfiableAction,
};
pub use approval::{Approval, ApprovalGate, ApprovalSpec, Approver, Decision};
pub use artifact::Artifact;
pub use contract::{
    AffectedPipeline, BreakingChange, CheckSchedule, CheckedData, CheckedTable, Checking, ContractChange,
    ContractChangeEffect, ContractCheck, ContractRule, ContractSchema, CsvDialect, CsvHeader, DataContract,
    DataContractSpec, DataContractStatus, DecimalSeparator, NotChecked, ObservedSchedule, RuleSeverity, ScheduledCheck,
};
pub use deployment::{
    Correction, DeployedRole, DeployedVersion, Follow, ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus,
    Server,
};
pub use judgement::{
    Champion, Duel, GateJudgement, Judgement, MeasurementState, Measuring, Overruled, Threshold, Verdict,
};
pub use measurement::{
    ClassCounts, CurvePoint, DuelFold, DuelMeasurement, FlaggedCounts, Fold, FoldPoint, LabelSource, MeasuredGroup,
    MeasuredMetric, Measurement,
};
pub use metadata::ObjectMetadata;
pub use model::{
    Budget, Enforcement, Gate, GateType, MetricGate, Model, ModelSpec, ModelStatus, Owner, ServedVersion, Use,
    WaitingVersion, Waiver,
};
pub use objectives::{
    ChampionGate, ChampionMetric, Consumer, CostGate, ErrorCosts, Evaluation, Fairness, FairnessRule, Favourable,
    NotApplicable, RateMetric, SmallGroups, StatusQuo, Task, TaskType,
};
pub use pipeline::{
    ArtifactReference, Concurrency, ConcurrencyPolicy, ContractReference, DataTrigger, HistoryLimits, Input, LastRun,
    MLPipeline, MLPipelineSpec, MLPipelineStatus, Output, OutputReference, OutputType, Parameter, ParameterType,
    Publication, Retry, Step, Trigger, TriggerType, TriggeredData, WatchedContract,
};
pub use pod::{LocalReference, PodOptions, PodSecurity, Toleration, TolerationEffect, TolerationOperator};
pub use run::{
    CheckVerdict, Interruption, MLPipelineRun, MLPipelineRunSpec, MLPipelineRunStatus, ParameterValue,
    PublishedVersion, Purpose, StepCheck, StepInput, StepMetric, StepOutput, StepRecovery, StepState, StepStatus,
};
pub use store::{Credentials, Store, StoreSpec, StoreStatus, WebIdentity};
pub use version::{
    Evidence, Lineage, LineageContract, LineageImage, LineageInput, Metric, ModelVersion, ModelVersionSpec,
    ModelVersionStatus,
};
pub use volume::{
    ConfigMapVolume, EmptyDirMedium, EmptyDirVolume, KeyToPath, PersistentVolumeClaimVolume, SecretVolume, Volume,
    VolumeMount,
};
pub use workload::{
    EnvFromReference, EnvFromSource, EnvVar, EnvVarSource, FieldReference, KeyReference, Resources, WorkloadOptions,
};

pub use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

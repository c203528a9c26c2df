//! The kinds that are watched, one row each in the table below: the field of [`Caches`], the type, how it is read, which
//! objects of it are watched, by which groups they are indexed, what of them no plan reads, and which keys depend on them.

use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Pod, PodStatus, Service};
use kube::{Resource, ResourceExt};
use seatrial_core::data_contract::{checked_tables, is_scheduled, references};
use seatrial_core::revision::Revision;
use seatrial_core::run::{has_ended, triggered_revision};
use seatrial_crds::names::{
    COMPONENT_LABEL, CONTRACT_LABEL, DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL, TRUST_BUNDLE,
    VERSION_LABEL, components,
};
use seatrial_crds::{
    Approval, DataContract, MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store, Time,
};
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::cache::arrival::Arrives;
use crate::cache::caches::{ALL, MEASURED, Shared, group, readers, unfinished};
use crate::cache::forms::{JobForm, Own, PodForm, Whole};
use crate::queue::object_key::{ObjectKey, Primary};

/// Which objects of a kind are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All objects: people write them.
    All,
    /// The objects that the operator made.
    Ours,
    /// The one of the name that the platform's `approval_policy` has; none where there is no name.
    ProofOfApprovals,
    /// The objects of one name: the operator has no right to read others.
    Named(&'static str),
}

/// A kind that is watched.
pub(crate) trait WatchedKind:
    Arrives + PartialEq + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The kind's cache.
    fn cache(caches: &Caches) -> &Cache<Self>;
    /// Drops what no plan reads.
    fn prune(&mut self);
    /// The keys whose plans read this object, as far as they read what changed since `before`. Without it, the object
    /// is new, or gone.
    fn dependents(&self, before: Option<&Self>, caches: &Caches) -> Vec<ObjectKey>;
}

/// An operation on each kind.
pub(crate) trait ForEachKind {
    /// Runs the operation for one kind.
    fn kind<K: WatchedKind>(&mut self, selection: Selection);
}

macro_rules! watched_kinds {
    ($($field:ident: $kind:ty, $form:ty, $selection:expr, $groups:expr, $prune:expr, $dependents:expr;)*) => {
        impl Caches {
            /// Empty caches.
            pub(super) fn of(shared: Shared) -> Self {
                Self { $($field: Cache::new($groups),)* shared }
            }

            /// The kinds that have not been listed yet.
            pub(super) fn unlisted_kinds(&self) -> Vec<&'static str> {
                let listed = [$((stringify!($kind), self.$field.is_synced()),)*];
                listed.into_iter().filter_map(|(kind, listed)| (!listed).then_some(kind)).collect()
            }

            /// Marks all kinds as listed, for tests.
            #[cfg(test)]
            pub(crate) fn list_all(&self) {
                $(self.$field.list_ends();)*
            }
        }

        /// The caches, one for each kind.
        pub(crate) struct Caches {
            $(pub(crate) $field: Cache<$kind>,)*
            pub(super) shared: Shared,
        }

        $(impl Arrives for $kind {
            type Form = $form;
        }

        impl WatchedKind for $kind {
            fn cache(caches: &Caches) -> &Cache<Self> {
                &caches.$field
            }

            fn prune(&mut self) {
                prune_metadata(self);
                let prune: fn(&mut Self) = $prune;
                prune(self);
            }

            fn dependents(&self, before: Option<&Self>, caches: &Caches) -> Vec<ObjectKey> {
                let dependents: fn(&Self, Option<&Self>, &Caches) -> Vec<ObjectKey> = $dependents;
                dependents(self, before, caches)
            }
        })*

        /// Does something with each kind.
        pub(crate) fn for_each(what: &mut impl ForEachKind) {
            $(what.kind::<$kind>($selection);)*
        }
    };
}

watched_kinds! {
    stores: Store, Own, Selection::All, |_| vec![ALL.to_owned()], keep, of_store;
    contracts: DataContract, Own, Selection::All, groups_of_contract, keep, of_contract;
    models: Model, Own, Selection::All, |_| vec![], keep, of_model;
    pipelines: MLPipeline, Own, Selection::All, groups_of_pipeline, keep, of_pipeline;
    runs: MLPipelineRun, Own, Selection::All, groups_of_run, keep, of_run;
    versions: ModelVersion, Own, Selection::All, groups_of_version, keep, of_version;
    approvals: Approval, Own, Selection::All, groups_of_approval, keep, of_approval;
    approval_policies: ValidatingAdmissionPolicy, Whole<ValidatingAdmissionPolicy>, Selection::ProofOfApprovals, |_| vec![], keep, of_proof;
    approval_bindings: ValidatingAdmissionPolicyBinding, Whole<ValidatingAdmissionPolicyBinding>, Selection::ProofOfApprovals, |_| vec![], keep, of_proof;
    model_deployments: ModelDeployment, Own, Selection::All, groups_of_deployment, keep, of_deployment;
    jobs: Job, JobForm, Selection::Ours, by_labels, prune_job, of_job_or_pod;
    pods: Pod, PodForm, Selection::Ours, by_labels, prune_pod, of_job_or_pod;
    services: Service, Whole<Service>, Selection::Ours, by_labels, keep, owners_by_label;
    deployments: Deployment, Whole<Deployment>, Selection::Ours, by_labels, keep, owners_by_label;
    revisions: Revision, Whole<Revision>, Selection::Ours, by_labels, keep, of_revision;
    trust_bundles: ConfigMap, Whole<ConfigMap>, Selection::Named(TRUST_BUNDLE), |_| vec![], keep, of_trust_bundle;
}

fn keep<K>(_: &mut K) {}

/// Metadata without what is large and never read.
fn prune_metadata(object: &mut impl ResourceExt) {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    if object.annotations().is_empty() {
        object.meta_mut().annotations = None;
    }
}

fn prune_job(job: &mut Job) {
    job.spec = None;
    if let Some(status) = &mut job.status {
        // The Job controller's bookkeeping, which changes with each pod.
        (status.uncounted_terminated_pods, status.ready, status.terminating) = (None, None, None);
    }
}

fn prune_pod(pod: &mut Pod) {
    pod.metadata.annotations = None;
    pod.spec = None;
    let containers = |statuses: Option<Vec<ContainerStatus>>| {
        let prune = |status: ContainerStatus| ContainerStatus {
            name: status.name,
            image: status.image,
            image_id: status.image_id,
            ready: status.ready,
            restart_count: status.restart_count,
            state: status.state,
            last_state: status.last_state,
            ..ContainerStatus::default()
        };
        statuses.map(|statuses| statuses.into_iter().map(prune).collect())
    };
    pod.status = pod.status.take().map(|status| PodStatus {
        phase: status.phase,
        reason: status.reason,
        message: status.message,
        conditions: status.conditions,
        container_statuses: containers(status.container_statuses),
        init_container_statuses: containers(status.init_container_statuses),
        ..PodStatus::default()
    });
}

/// The groups of an object that bears our labels.
fn by_labels<K: ResourceExt>(object: &K) -> Vec<String> {
    [PIPELINE_LABEL, RUN_LABEL, DEPLOYMENT_LABEL, MODEL_LABEL, VERSION_LABEL, CONTRACT_LABEL]
        .into_iter()
        .filter_map(|label| object.labels().get(label).map(|value| group(label, value)))
        .collect()
}

/// The groups of a run, for runs that have not ended also the namespace's and those of its pipeline.
fn groups_of_run(run: &MLPipelineRun) -> Vec<String> {
    let mut groups = vec![group(PIPELINE_LABEL, &run.spec.pipeline)];
    if !has_ended(run.status.as_ref()) {
        groups.extend([ALL.to_owned(), unfinished(&run.spec.pipeline)]);
    }
    groups
}

fn groups_of_version(version: &ModelVersion) -> Vec<String> {
    let spec = &version.spec;
    let mut groups = vec![group(MODEL_LABEL, &spec.model)];
    groups.extend(spec.run().map(|run| group(RUN_LABEL, run)));
    groups.extend(spec.pipeline().map(|pipeline| group(PIPELINE_LABEL, pipeline)));
    groups.extend(is_measured(version).then(|| MEASURED.to_owned()));
    groups
}

/// Whether a Job measures the version.
fn is_measured(version: &ModelVersion) -> bool {
    version.status.as_ref().is_some_and(|status| status.measuring.is_some())
}

fn groups_of_deployment(deployment: &ModelDeployment) -> Vec<String> {
    vec![ALL.to_owned(), group(MODEL_LABEL, &deployment.spec.model)]
}

/// The Store; of its namespace the other Stores, which may have the same prefix, and whoever uses them.
fn of_store(store: &Store, before: Option<&Store>, caches: &Caches) -> Vec<ObjectKey> {
    let mut keys = vec![ObjectKey::of(Primary::Store, store)];
    if before.is_none_or(|before| before.spec != store.spec || before.uid() != store.uid()) {
        let namespace = store.namespace().unwrap_or_default();
        let others = caches.stores.group(&namespace, ALL);
        let others = others.iter().filter(|other| other.name_any() != store.name_any());
        keys.extend(others.map(|other| ObjectKey::of(Primary::Store, other.as_ref())));
        keys.extend(caches.store_users(Some(&namespace)));
    }
    keys
}

/// The group of a namespace's contracts whose data are checked on a schedule of their own.
fn groups_of_contract(contract: &DataContract) -> Vec<String> {
    if is_scheduled(&contract.spec) { vec![ALL.to_owned()] } else { vec![] }
}

/// The contract; the pipelines that name it and may use it, or might before, and their runs that have not begun.
fn of_contract(contract: &DataContract, before: Option<&DataContract>, caches: &Caches) -> Vec<ObjectKey> {
    let mut keys = vec![ObjectKey::of(Primary::Contract, contract)];
    if is_scheduled(&contract.spec) && !before.is_some_and(|before| is_scheduled(&before.spec)) {
        keys.push(ObjectKey::trust_bundle(&contract.namespace().unwrap_or_default()));
    }
    if before.is_none_or(|before| before.spec != contract.spec) {
        let mut pipelines = caches.readers_of(contract);
        for lost in before.into_iter().flat_map(|before| caches.readers_of(before)) {
            if pipelines.iter().all(|known| known.uid() != lost.uid()) {
                pipelines.push(lost);
            }
        }
        for pipeline in pipelines {
            keys.push(ObjectKey::of(Primary::Pipeline, pipeline.as_ref()));
            keys.extend(caches.next_in_line(&pipeline.namespace().unwrap_or_default(), &pipeline.name_any()));
        }
    } else if before.is_some_and(|before| checked_tables(before) != checked_tables(contract)) {
        // What its schedule found may start runs.
        let readers = caches.readers_of(contract);
        let triggered = readers.iter().filter(|pipeline| !pipeline.spec.triggers.is_empty());
        keys.extend(triggered.map(|pipeline| ObjectKey::of(Primary::Pipeline, pipeline.as_ref())));
    }
    keys
}

fn groups_of_pipeline(pipeline: &MLPipeline) -> Vec<String> {
    let references = references(&pipeline.spec, &pipeline.namespace().unwrap_or_default());
    let mut groups: Vec<String> = references
        .iter()
        .map(|reference| {
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            readers(namespace, &reference.name)
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn of_model(model: &Model, before: Option<&Model>, caches: &Caches) -> Vec<ObjectKey> {
    let mut keys = vec![ObjectKey::of(Primary::Model, model)];
    if before.is_none_or(|before| before.spec != model.spec) {
        let namespace = model.namespace().unwrap_or_default();
        let versions = caches.versions.group(&namespace, &group(MODEL_LABEL, &model.name_any()));
        keys.extend(caches.deployments_of(&namespace, &model.name_any()));
        keys.extend(versions.iter().map(|version| ObjectKey::of(Primary::Version, version.as_ref())));
    }
    // Each of several pipelines that publish to a model says so.
    let publishers = |model: &Model| model.status.as_ref().map(|status| status.publishers.clone()).unwrap_or_default();
    let before = before.map(publishers);
    let now = publishers(model);
    if before.as_ref() != Some(&now) {
        let mut names: Vec<String> = before.into_iter().flatten().chain(now).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > 1 {
            keys.extend(names.iter().map(|name| ObjectKey::beside(Primary::Pipeline, model, name)));
        }
    }
    keys
}

fn of_pipeline(pipeline: &MLPipeline, before: Option<&MLPipeline>, caches: &Caches) -> Vec<ObjectKey> {
    let mut keys = vec![ObjectKey::of(Primary::Pipeline, pipeline)];
    if before.is_none_or(|before| before.spec != pipeline.spec || before.uid() != pipeline.uid()) {
        keys.extend(caches.unfinished_runs(&pipeline.namespace().unwrap_or_default(), &pipeline.name_any()));
    }
    // A contract names the pipelines that its changes concern. Where this one is gone, there is nothing before.
    let named = |pipeline: &MLPipeline| references(&pipeline.spec, &pipeline.namespace().unwrap_or_default());
    if before.is_none_or(|before| before.spec != pipeline.spec) {
        let mut contracts: Vec<ObjectKey> = before
            .into_iter()
            .chain([pipeline])
            .flat_map(named)
            .map(|reference| ObjectKey {
                kind: Primary::Contract,
                namespace: reference.namespace.unwrap_or_default(),
                name: reference.name,
            })
            .collect();
        contracts.sort_unstable();
        contracts.dedup();
        keys.extend(contracts);
    }
    keys
}

fn of_run(run: &MLPipelineRun, before: Option<&MLPipelineRun>, caches: &Caches) -> Vec<ObjectKey> {
    let namespace = run.namespace().unwrap_or_default();
    let mut keys =
        vec![ObjectKey::of(Primary::Run, run), ObjectKey::beside(Primary::Pipeline, run, &run.spec.pipeline)];
    if before.is_none() {
        keys.push(ObjectKey::trust_bundle(&namespace));
    }
    let is_over = |run: &MLPipelineRun| has_ended(run.status.as_ref()) || run.metadata.deletion_timestamp.is_some();
    if before.is_none() && !is_over(run) && triggered_revision(run).is_some() {
        // A newer change makes the runs of older ones pointless.
        keys.extend(caches.superseded_by(&namespace, run));
    }
    let is_gone = || caches.runs.get(&namespace, &run.name_any()).is_none();
    if before.is_none_or(|before| !is_over(before)) && (is_over(run) || is_gone()) {
        // The run has ended, or is gone: the next ones may begin.
        keys.extend(caches.next_in_line(&namespace, &run.spec.pipeline));
    }
    if run.status.as_ref().is_some_and(|status| !status.versions.is_empty()) {
        // Versions may have arrived before their run: their judgement waits for it.
        keys.extend(caches.unvouched_versions(&namespace, &run.name_any()));
    }
    keys
}

fn of_version(version: &ModelVersion, before: Option<&ModelVersion>, caches: &Caches) -> Vec<ObjectKey> {
    let namespace = version.namespace().unwrap_or_default();
    let mut keys = caches.deployments_of(&namespace, &version.spec.model);
    keys.push(ObjectKey::of(Primary::Version, version));
    if is_measured(version) && !before.is_some_and(is_measured) {
        keys.push(ObjectKey::trust_bundle(&namespace));
    }
    keys.push(ObjectKey::beside(Primary::Model, version, &version.spec.model));
    if let Some(run) = version.spec.run().and_then(|run| caches.runs.get(&namespace, run))
        && !has_ended(run.status.as_ref())
    {
        keys.push(ObjectKey::of(Primary::Run, run.as_ref()));
    }
    keys
}

fn groups_of_approval(approval: &Approval) -> Vec<String> {
    vec![group(VERSION_LABEL, &approval.spec.version)]
}

fn of_approval(approval: &Approval, _: Option<&Approval>, _: &Caches) -> Vec<ObjectKey> {
    vec![ObjectKey::beside(Primary::Version, approval, &approval.spec.version)]
}

/// Every version that somebody said something of: whether it counts may have changed.
fn of_proof<K>(_: &K, _: Option<&K>, caches: &Caches) -> Vec<ObjectKey> {
    let approvals = caches.approvals.all();
    let mut keys: Vec<ObjectKey> = approvals.iter().flat_map(|approval| of_approval(approval, None, caches)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The deployment; its Model where another version serves, or none.
fn of_deployment(deployment: &ModelDeployment, before: Option<&ModelDeployment>, _: &Caches) -> Vec<ObjectKey> {
    fn serves(deployment: &ModelDeployment) -> Option<(Option<&str>, Option<&Time>)> {
        let status = deployment.status.as_ref()?;
        Some((status.served_version.as_deref(), status.served_since.as_ref()))
    }
    let mut keys = vec![ObjectKey::of(Primary::Deployment, deployment)];
    if before.is_none() {
        keys.push(ObjectKey::trust_bundle(&deployment.namespace().unwrap_or_default()));
    }
    if before.is_none_or(|before| serves(before) != serves(deployment)) {
        keys.push(ObjectKey::beside(Primary::Model, deployment, &deployment.spec.model));
    }
    keys
}

/// The run or deployment that an object's labels name.
fn owners_by_label<K: Resource>(object: &K, _: Option<&K>, _: &Caches) -> Vec<ObjectKey> {
    let by = |label: &str, kind| object.labels().get(label).map(|name| ObjectKey::beside(kind, object, name));
    by(RUN_LABEL, Primary::Run).into_iter().chain(by(DEPLOYMENT_LABEL, Primary::Deployment)).collect()
}

/// The same, or the version that it measures, or whose champion it evaluates, or the contract whose data it checks.
fn of_job_or_pod<K: Resource>(object: &K, before: Option<&K>, caches: &Caches) -> Vec<ObjectKey> {
    let mut keys = owners_by_label(object, before, caches);
    let of_version = |component: &String| component == components::JUDGE || component == components::DUEL;
    if object.labels().get(COMPONENT_LABEL).is_some_and(of_version) {
        let version = object.labels().get(VERSION_LABEL);
        keys.extend(version.map(|name| ObjectKey::beside(Primary::Version, object, name)));
    }
    if object.labels().get(COMPONENT_LABEL).is_some_and(|component| component == components::CHECK) {
        let contract = object.labels().get(CONTRACT_LABEL);
        keys.extend(contract.map(|name| ObjectKey::beside(Primary::Contract, object, name)));
    }
    keys
}

fn of_trust_bundle(bundle: &ConfigMap, _: Option<&ConfigMap>, _: &Caches) -> Vec<ObjectKey> {
    vec![ObjectKey::trust_bundle(&bundle.namespace().unwrap_or_default())]
}

fn of_revision(revision: &Revision, before: Option<&Revision>, caches: &Caches) -> Vec<ObjectKey> {
    let namespace = revision.namespace().unwrap_or_default();
    let labels = revision.labels();
    if let Some(pipeline) = labels.get(PIPELINE_LABEL) {
        let mut keys = vec![ObjectKey::beside(Primary::Pipeline, revision, pipeline)];
        if before.is_none() {
            keys.extend(caches.unfinished_runs(&namespace, pipeline));
        }
        return keys;
    }
    if labels.get(COMPONENT_LABEL).is_some_and(|component| component == components::GATES) {
        let model = labels.get(MODEL_LABEL);
        return model.map(|model| ObjectKey::beside(Primary::Model, revision, model)).into_iter().collect();
    }
    if labels.get(COMPONENT_LABEL).is_some_and(|component| component == components::CONTRACTS) {
        return owners_by_label(revision, before, caches);
    }
    if let Some(contract) = labels.get(CONTRACT_LABEL) {
        return vec![ObjectKey::beside(Primary::Contract, revision, contract)];
    }
    // A counter: a run that lost a race for its number takes another.
    labels.get(MODEL_LABEL).map(|model| caches.publishers(&namespace, model)).unwrap_or_default()
}

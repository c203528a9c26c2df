//! Queries that need the caches of several kinds, and the store's authority, which is watched beside the kinds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kube::ResourceExt;
use seatrial_core::conditions::{self, types};
use seatrial_core::data_contract::is_scheduled;
use seatrial_core::platform::Platform;
use seatrial_core::run::{has_ended, triggered_revision};
use seatrial_crds::names::{MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{DataContract, MLPipeline, MLPipelineRun, ModelVersion};

use crate::cache::Cache;
pub(crate) use crate::cache::kinds::Caches;
use crate::queue::object_key::{ObjectKey, Primary};

/// How many waiting runs of a pipeline are planned again when one ends. More than one, since the first may wait for
/// something else.
const IN_LINE: usize = 8;

/// The group of all objects of a namespace.
pub(crate) const ALL: &str = "";

/// The group of a namespace's versions that are being measured.
pub(crate) const MEASURED: &str = "measured";

/// The reason of a version's condition where no run of this cluster vouches for it.
const UNKNOWN_ORIGIN: &str = "UnknownOrigin";

/// What is watched beside the kinds.
pub(crate) struct Shared {
    platform: RwLock<Arc<Platform>>,
    /// Whether the store's authority is published where it is watched, and has not been looked for yet.
    awaits_authority: AtomicBool,
}

/// The name of a group: a label and its value.
pub(crate) fn group(label: &str, value: &str) -> String {
    format!("{label}={value}")
}

/// The name of the group of a pipeline's runs that have not ended: a plan of one reads the others, and none of those that have.
pub(crate) fn unfinished(pipeline: &str) -> String {
    group("unfinished", pipeline)
}

/// The name of the group of the pipelines whose inputs name a contract.
pub(crate) fn readers(namespace: &str, contract: &str) -> String {
    group("contract", &format!("{namespace}/{contract}"))
}

impl Caches {
    /// Empty caches. With `awaits_authority`, the store's authority is watched, too.
    pub(crate) fn new(platform: Platform, awaits_authority: bool) -> Self {
        let caches = Self::of(Shared {
            platform: RwLock::new(Arc::new(platform)),
            awaits_authority: AtomicBool::new(awaits_authority),
        });
        // An interrupted pod is counted even if it is deleted before its run is planned.
        caches
            .pods
            .keep_deleted(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed"));
        caches
    }

    /// The kinds that have not been listed yet. Nothing is planned before: an object that is not known would be taken
    /// for gone.
    pub(crate) fn unlisted(&self) -> Vec<&'static str> {
        let mut kinds = self.unlisted_kinds();
        kinds.extend(self.shared.awaits_authority.load(Ordering::Acquire).then_some("the store's authority"));
        kinds
    }

    /// The object of a kind that proves who writes Approvals, if there is one.
    pub(crate) fn proof_of_approvals<K: ResourceExt + PartialEq>(&self, cache: &Cache<K>) -> Option<Arc<K>> {
        cache.get("", self.platform().approval_policy.as_deref()?)
    }

    /// The store's authority has been looked for: it is known, or not published yet.
    pub(crate) fn authority_is_listed(&self) {
        self.shared.awaits_authority.store(false, Ordering::Release);
    }

    /// What the platform team configured, with the authority that the store published.
    pub(crate) fn platform(&self) -> Arc<Platform> {
        self.shared.platform.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the authority that the store published. Returns whether it is another one than before.
    pub(crate) fn set_certificate_authority(&self, authority: String) -> bool {
        let mut platform = self.shared.platform.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = platform.as_ref().clone();
        let Some(store) = &mut changed.default_store else { return false };
        store.certificate_authority = Some(authority);
        let is_news = changed != **platform;
        *platform = Arc::new(changed);
        is_news
    }

    /// Every key that waits for a store: unfinished runs, deployments, and contracts with a schedule, of one namespace or of all.
    pub(crate) fn store_users(&self, namespace: Option<&str>) -> Vec<ObjectKey> {
        match namespace {
            Some(namespace) => {
                let runs = self.runs.group(namespace, ALL);
                let deployments = self.model_deployments.group(namespace, ALL);
                let contracts = self.contracts.group(namespace, ALL);
                runs.iter()
                    .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
                    .chain(deployments.iter().map(|deployment| ObjectKey::of(Primary::Deployment, deployment.as_ref())))
                    .chain(contracts.iter().map(|contract| ObjectKey::of(Primary::Contract, contract.as_ref())))
                    .collect()
            }
            None => {
                let runs = self.runs.all();
                let contracts = self.contracts.all();
                let scheduled = contracts.iter().filter(|contract| is_scheduled(&contract.spec));
                let unfinished = runs.iter().filter(|run| !has_ended(run.status.as_ref()));
                unfinished
                    .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
                    .chain(self.model_deployments.all().iter().map(|d| ObjectKey::of(Primary::Deployment, d.as_ref())))
                    .chain(scheduled.map(|contract| ObjectKey::of(Primary::Contract, contract.as_ref())))
                    .collect()
            }
        }
    }

    /// Whether anything in a namespace may start pods.
    pub(crate) fn starts_pods(&self, namespace: &str) -> bool {
        !self.store_users(Some(namespace)).is_empty() || !self.versions.group(namespace, MEASURED).is_empty()
    }

    /// The keys of the trust bundles of all namespaces in which anything may start pods.
    pub(crate) fn trust_bundles(&self) -> BTreeSet<ObjectKey> {
        self.store_users(None).iter().map(|user| ObjectKey::trust_bundle(&user.namespace)).collect()
    }

    /// What a key belongs to, for keys that take turns: a run to its pipeline, a version to its model.
    pub(crate) fn lane(&self, key: &ObjectKey) -> String {
        let (namespace, name) = (&key.namespace, &key.name);
        match key.kind {
            Primary::Run => self.runs.get(namespace, name).map(|run| group(PIPELINE_LABEL, &run.spec.pipeline)),
            Primary::Version => self.versions.get(namespace, name).map(|it| group(MODEL_LABEL, &it.spec.model)),
            Primary::Pipeline => Some(group(PIPELINE_LABEL, name)),
            Primary::Model | Primary::Deployment | Primary::Contract | Primary::Store | Primary::TrustBundle => None,
        }
        .unwrap_or_else(|| name.clone())
    }

    /// The runs of older changes that this run of a change supersedes.
    pub(crate) fn superseded_by(&self, namespace: &str, newest: &MLPipelineRun) -> Vec<ObjectKey> {
        let mut runs = self.unfinished(namespace, &newest.spec.pipeline);
        runs.retain(|run| triggered_revision(run).is_some_and(|number| Some(number) < triggered_revision(newest)));
        runs.iter().map(|run| ObjectKey::of(Primary::Run, run.as_ref())).collect()
    }

    /// The first runs of a pipeline that wait to begin: some of those that changes started, and some made by hand.
    pub(crate) fn next_in_line(&self, namespace: &str, pipeline: &str) -> Vec<ObjectKey> {
        let mut waiting = self.unfinished(namespace, pipeline);
        waiting.retain(|run| run.status.as_ref().is_none_or(|status| status.started_at.is_none()));
        waiting.sort_by_cached_key(|run| (run.creation_timestamp(), triggered_revision(run), run.name_any()));
        let (of_changes, by_hand): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|run| triggered_revision(run).is_some());
        let first = of_changes.into_iter().take(IN_LINE).chain(by_hand.into_iter().take(IN_LINE));
        first.map(|run| ObjectKey::of(Primary::Run, run.as_ref())).collect()
    }

    /// The runs that are about to publish a version of a model.
    pub(crate) fn publishers(&self, namespace: &str, model: &str) -> Vec<ObjectKey> {
        let runs = self.runs.group(namespace, ALL);
        let publishes = |run: &MLPipelineRun| {
            run.status.as_ref().is_some_and(|status| status.versions.iter().any(|version| version.model == model))
        };
        let publishers = runs.iter().filter(|run| publishes(run));
        publishers.map(|run| ObjectKey::of(Primary::Run, run.as_ref())).collect()
    }

    fn unfinished(&self, namespace: &str, pipeline: &str) -> Vec<Arc<MLPipelineRun>> {
        self.runs.group(namespace, &unfinished(pipeline))
    }

    /// The unfinished runs of a pipeline.
    pub(crate) fn unfinished_runs(&self, namespace: &str, pipeline: &str) -> Vec<ObjectKey> {
        self.unfinished(namespace, pipeline).iter().map(|run| ObjectKey::of(Primary::Run, run.as_ref())).collect()
    }

    /// The versions that a run made, as far as no run has vouched for them yet: their judgement waits for it.
    pub(crate) fn unvouched_versions(&self, namespace: &str, run: &str) -> Vec<ObjectKey> {
        let unvouched = |version: &ModelVersion| {
            let status = version.status.as_ref();
            let ready = status.and_then(|status| conditions::find(&status.conditions, types::READY));
            ready.is_none_or(|ready| ready.reason == UNKNOWN_ORIGIN)
        };
        let versions = self.versions.group(namespace, &group(RUN_LABEL, run));
        let unvouched = versions.iter().filter(|version| unvouched(version));
        unvouched.map(|version| ObjectKey::of(Primary::Version, version.as_ref())).collect()
    }

    /// The pipelines whose inputs name a contract, of its own namespace and of those that it serves.
    pub(crate) fn readers_of(&self, contract: &DataContract) -> Vec<Arc<MLPipeline>> {
        let own = contract.namespace().unwrap_or_default();
        let named = readers(&own, &contract.name_any());
        let mut namespaces = contract.spec.serves.clone();
        namespaces.push(own);
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces.iter().flat_map(|namespace| self.pipelines.group(namespace, &named)).collect()
    }

    /// The deployments of a model.
    pub(crate) fn deployments_of(&self, namespace: &str, model: &str) -> Vec<ObjectKey> {
        let deployments = self.model_deployments.group(namespace, &group(MODEL_LABEL, model));
        deployments.iter().map(|deployment| ObjectKey::of(Primary::Deployment, deployment.as_ref())).collect()
    }
}

//! Everything that is watched: a cache for each kind, and the questions that cross kinds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use seatrial_core::conditions::{self, types};
use seatrial_core::plan::{Object, Write};
use seatrial_core::platform::Platform;
use seatrial_core::run::has_ended;
use seatrial_crds::names::{DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL};
use seatrial_crds::{MLPipeline, MLPipelineRun, Model, ModelDeployment, ModelVersion, Store};

use crate::cache::Cache;
use crate::cache::kinds::WatchedKind;
use crate::queue::object_key::{ObjectKey, Primary};

/// The group of all objects of a namespace.
pub(crate) const ALL: &str = "";

/// The reason of a version's condition where no run of this cluster vouches for it.
const UNKNOWN_ORIGIN: &str = "UnknownOrigin";

/// The caches.
pub(crate) struct Caches {
    pub(crate) pipelines: Cache<MLPipeline>,
    pub(crate) runs: Cache<MLPipelineRun>,
    pub(crate) models: Cache<Model>,
    pub(crate) versions: Cache<ModelVersion>,
    pub(crate) model_deployments: Cache<ModelDeployment>,
    pub(crate) stores: Cache<Store>,
    pub(crate) jobs: Cache<Job>,
    pub(crate) pods: Cache<Pod>,
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) services: Cache<Service>,
    pub(crate) revisions: Cache<ControllerRevision>,
    platform: RwLock<Arc<Platform>>,
    /// Whether the store's authority is published where it is watched, and has not been looked for yet.
    awaits_authority: AtomicBool,
}

/// The groups of a run, for runs that have not ended also the namespace's.
fn run_groups(run: &MLPipelineRun) -> Vec<String> {
    let mut groups = vec![group(PIPELINE_LABEL, &run.spec.pipeline)];
    if !has_ended(run.status.as_ref()) {
        groups.push(ALL.to_owned());
    }
    groups
}

/// The name of a group: a label and its value.
pub(crate) fn group(label: &str, value: &str) -> String {
    format!("{label}={value}")
}

fn by_labels<K: ResourceExt>(object: &K) -> Vec<String> {
    [PIPELINE_LABEL, RUN_LABEL, DEPLOYMENT_LABEL, MODEL_LABEL]
        .into_iter()
        .filter_map(|label| object.labels().get(label).map(|value| group(label, value)))
        .collect()
}

impl Caches {
    /// Empty caches. With `awaits_authority`, the store's authority is watched, too.
    pub(crate) fn new(platform: Platform, awaits_authority: bool) -> Self {
        Self {
            pipelines: Cache::new(|_| vec![]),
            runs: Cache::new(run_groups),
            models: Cache::new(|_| vec![]),
            versions: Cache::new(|version| {
                let lineage = &version.spec.lineage;
                vec![
                    group(MODEL_LABEL, &version.spec.model),
                    group(RUN_LABEL, &lineage.run),
                    group(PIPELINE_LABEL, &lineage.pipeline),
                ]
            }),
            model_deployments: Cache::new(|deployment| {
                vec![ALL.to_owned(), group(MODEL_LABEL, &deployment.spec.model)]
            }),
            stores: Cache::new(|_| vec![ALL.to_owned()]),
            jobs: Cache::new(by_labels),
            pods: Cache::new(by_labels),
            deployments: Cache::new(by_labels),
            services: Cache::new(by_labels),
            revisions: Cache::new(by_labels),
            platform: RwLock::new(Arc::new(platform)),
            awaits_authority: AtomicBool::new(awaits_authority),
        }
    }

    /// What has not been listed yet. Nothing is planned before: what is not known would be taken for gone.
    pub(crate) fn unlisted(&self) -> Vec<&'static str> {
        let kinds = [
            ("Store", self.stores.is_synced()),
            ("Model", self.models.is_synced()),
            ("MLPipeline", self.pipelines.is_synced()),
            ("MLPipelineRun", self.runs.is_synced()),
            ("ModelVersion", self.versions.is_synced()),
            ("ModelDeployment", self.model_deployments.is_synced()),
            ("Job", self.jobs.is_synced()),
            ("Pod", self.pods.is_synced()),
            ("Service", self.services.is_synced()),
            ("Deployment", self.deployments.is_synced()),
            ("ControllerRevision", self.revisions.is_synced()),
            ("ConfigMap", !self.awaits_authority.load(Ordering::Acquire)),
        ];
        kinds.into_iter().filter_map(|(kind, listed)| (!listed).then_some(kind)).collect()
    }

    /// The store's authority has been looked for: it is known, or not published yet.
    pub(crate) fn authority_is_listed(&self) {
        self.awaits_authority.store(false, Ordering::Release);
    }

    /// What the platform team configured, with the authority that the store published.
    pub(crate) fn platform(&self) -> Arc<Platform> {
        self.platform.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the authority that the store published; true where it is news.
    pub(crate) fn set_certificate_authority(&self, authority: String) -> bool {
        let mut platform = self.platform.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = platform.as_ref().clone();
        let Some(store) = &mut changed.default_store else { return false };
        store.certificate_authority = Some(authority);
        let is_news = changed != **platform;
        *platform = Arc::new(changed);
        is_news
    }

    /// Lets the caches have what a replacement was answered with, so that the next plan does not replace it again.
    pub(crate) fn learn(&self, write: &Write, answer: Object) {
        fn keep<K: WatchedKind + ResourceExt>(cache: &Cache<K>, sent: &K, mut answer: K) {
            answer.prune();
            cache.replace_observed(sent, Arc::new(answer));
        }
        let Write::Replace(sent) = write else { return };
        match (sent, answer) {
            (Object::Deployment(sent), Object::Deployment(answer)) => keep(&self.deployments, sent, *answer),
            (Object::Service(sent), Object::Service(answer)) => keep(&self.services, sent, *answer),
            (Object::ControllerRevision(sent), Object::ControllerRevision(answer)) => {
                keep(&self.revisions, sent, *answer);
            }
            _ => {}
        }
    }

    /// Every key that waits for a store: unfinished runs and deployments, of one namespace or of all.
    pub(crate) fn store_users(&self, namespace: Option<&str>) -> Vec<ObjectKey> {
        match namespace {
            Some(namespace) => {
                let runs = self.runs.group(namespace, ALL);
                let deployments = self.model_deployments.group(namespace, ALL);
                runs.iter()
                    .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
                    .chain(deployments.iter().map(|deployment| ObjectKey::of(Primary::Deployment, deployment.as_ref())))
                    .collect()
            }
            None => {
                let runs = self.runs.all();
                let unfinished = runs.iter().filter(|run| !has_ended(run.status.as_ref()));
                unfinished
                    .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
                    .chain(self.model_deployments.all().iter().map(|d| ObjectKey::of(Primary::Deployment, d.as_ref())))
                    .collect()
            }
        }
    }

    /// The unfinished runs of a pipeline.
    pub(crate) fn unfinished_runs(&self, namespace: &str, pipeline: &str) -> Vec<ObjectKey> {
        let runs = self.runs.group(namespace, &group(PIPELINE_LABEL, pipeline));
        runs.iter()
            .filter(|run| !has_ended(run.status.as_ref()))
            .map(|run| ObjectKey::of(Primary::Run, run.as_ref()))
            .collect()
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

    /// The deployments of a model.
    pub(crate) fn deployments_of(&self, namespace: &str, model: &str) -> Vec<ObjectKey> {
        let deployments = self.model_deployments.group(namespace, &group(MODEL_LABEL, model));
        deployments.iter().map(|deployment| ObjectKey::of(Primary::Deployment, deployment.as_ref())).collect()
    }
}

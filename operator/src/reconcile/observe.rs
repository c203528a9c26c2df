//! Gathers what plans are made of from the caches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use seatrial_core::data_contract;
use seatrial_core::gates::asks_for_duel;
use seatrial_core::observed::{
    ContractObserved, DeploymentObserved, Ending, ModelObserved, PipelineObserved, RunObserved, StoreObserved,
    VersionObserved,
};
use seatrial_core::plan::Kind;
use seatrial_core::revision::{self, Revision};
use seatrial_core::run::{has_ended, triggered_revision};
use seatrial_core::trust::TrustObserved;
use seatrial_crds::names::{CONTRACT_LABEL, DEPLOYMENT_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL, VERSION_LABEL};
use seatrial_crds::{
    DataContract, MLPipeline, MLPipelineRun, MLPipelineSpec, Model, ModelDeployment, ModelVersion, Store,
};

use crate::cache::Cache;
use crate::cache::caches::{ALL, group, unfinished};
use crate::queue::object_key::ObjectKey;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// Whether the caches have an object.
    pub(crate) fn shows(&self, namespace: &str, kind: Kind, name: &str) -> bool {
        fn has<K: ResourceExt + PartialEq>(cache: &Cache<K>, namespace: &str, name: &str) -> bool {
            cache.get(namespace, name).is_some()
        }
        match kind {
            Kind::Job => has(&self.caches.jobs, namespace, name),
            Kind::Deployment => has(&self.caches.deployments, namespace, name),
            Kind::Service => has(&self.caches.services, namespace, name),
            Kind::ControllerRevision => has(&self.caches.revisions, namespace, name),
            Kind::Run => has(&self.caches.runs, namespace, name),
            Kind::Version => has(&self.caches.versions, namespace, name),
            Kind::ConfigMap => has(&self.caches.trust_bundles, namespace, name),
        }
    }

    pub(crate) fn observe_pipeline(&self, key: &ObjectKey, pipeline: &Arc<MLPipeline>) -> PipelineObserved {
        let own = group(PIPELINE_LABEL, &key.name);
        PipelineObserved {
            pipeline: pipeline.clone(),
            revisions: self.caches.revisions.group(&key.namespace, &own),
            runs: self.caches.runs.group(&key.namespace, &own),
            versions: self.caches.versions.group(&key.namespace, &own),
            contract_revisions: self.contract_revisions(&self.contracts_of(&pipeline.spec, &key.namespace)),
            contracts: self.contracts_of(&pipeline.spec, &key.namespace),
            models: pipeline
                .spec
                .publishes
                .iter()
                .filter_map(|publication| self.caches.models.get(&key.namespace, &publication.model))
                .collect(),
            blocked: self.expectations.blocked(key),
        }
    }

    pub(crate) fn observe_run(
        &self,
        key: &ObjectKey,
        run: &Arc<MLPipelineRun>,
        begun: BTreeSet<String>,
        now: Timestamp,
    ) -> RunObserved {
        let caches = &self.caches;
        let namespace = &key.namespace;
        let own = group(RUN_LABEL, &key.name);
        let jobs = caches.jobs.group(namespace, &own);
        let expectations = if has_ended(run.status.as_ref()) {
            // What its end left to be deleted may have been refused: the back-off goes on.
            if self.expectations.blocked(key).is_empty() {
                self.expectations.forget(key);
            }
            BTreeMap::new()
        } else {
            // Only Jobs that the run owns are its attempts. Another that bears its label is not lost when it goes.
            let ours = jobs.iter().filter(|job| is_controlled_by(job.as_ref(), run.metadata.uid.as_deref()));
            self.expectations.of_jobs(key, ours.map(AsRef::as_ref), self.clock.now())
        };
        // What has ended executes nothing any more.
        let has_ended = has_ended(run.status.as_ref());
        let revision = if has_ended { None } else { self.revision_of(run, namespace) };
        let spec = revision.as_ref().and_then(|revision| revision.spec().ok());
        let is_under_way = run.status.as_ref().is_some_and(|status| status.revision.is_some());
        let models: Vec<String> = spec
            .filter(|_| is_under_way)
            .iter()
            .flat_map(|spec| spec.publishes.iter().map(|publication| publication.model.clone()))
            .collect();
        let counter = |model: &String| {
            let name = seatrial_core::names::counter(model);
            caches.revisions.get(namespace, &name).map(|counter| (model.clone(), counter))
        };
        let exists = |uid: &str| jobs.iter().any(|job| job.metadata.uid.as_deref() == Some(uid));
        let refusals = self.expectations.refusals(key, exists);
        let pods = caches.pods.group(namespace, &own);
        let is_there = |uid: &str| pods.iter().any(|pod| pod.metadata.uid.as_deref() == Some(uid));
        let probes = self.expectations.probes(key, is_there);
        let ending = self.ending(key, &pods, now);
        let owners = pods.iter().flat_map(|pod| pod.owner_references());
        let with_pod: BTreeSet<&str> = owners.map(|owner| owner.uid.as_str()).collect();
        let uids = jobs.iter().filter_map(|job| job.metadata.uid.as_deref());
        let without_pod: Vec<&str> = uids.filter(|uid| !with_pod.contains(uid)).collect();
        let without_pod_for = self.expectations.without_pod_for(key, &without_pod);
        // A run under way has its contracts pinned.
        let begins = run.status.as_ref().is_none_or(|status| status.started_at.is_none());
        let contracts = spec.filter(|_| begins).map(|spec| self.contracts_of(spec, namespace)).unwrap_or_default();
        RunObserved {
            run: run.clone(),
            pipeline: caches.pipelines.get(namespace, &run.spec.pipeline),
            siblings: caches.runs.group(namespace, &unfinished(&run.spec.pipeline)),
            revision,
            deleted_pods: caches.pods.deleted(namespace, &own),
            pods,
            jobs,
            contract_revisions: self.contract_revisions(&contracts),
            contracts,
            pinned: caches.revisions.get(namespace, &seatrial_core::names::contracts(&key.name)),
            stores: caches.stores.group(namespace, ALL),
            counters: models.iter().filter_map(counter).collect(),
            versions: models
                .iter()
                .flat_map(|model| caches.versions.group(namespace, &group(MODEL_LABEL, model)))
                .collect(),
            expectations,
            leading_for: self.expectations.leading_for(),
            without_pod_for,
            ending,
            begun,
            live_reads: self.expectations.live_reads(key),
            refusals,
            probes,
            blocked: self.expectations.blocked(key),
            platform: caches.platform(),
        }
    }

    /// The pods that were told to end.
    fn ending(&self, key: &ObjectKey, pods: &[Arc<Pod>], now: Timestamp) -> BTreeMap<String, Ending> {
        let ending = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
        let ending: Vec<&str> = ending.filter_map(|pod| pod.metadata.uid.as_deref()).collect();
        self.expectations.ending(key, &ending, now)
    }

    pub(crate) fn observe_version(
        &self,
        key: &ObjectKey,
        version: &Arc<ModelVersion>,
        now: Timestamp,
    ) -> VersionObserved {
        let caches = &self.caches;
        let own = group(VERSION_LABEL, &key.name);
        let jobs = caches.jobs.group(&key.namespace, &own);
        let pods = caches.pods.group(&key.namespace, &own);
        let model = caches.models.get(&key.namespace, &version.spec.model);
        // Only until a champion is pinned: what comes later wakes no version.
        let is_pinned = version.status.as_ref().is_some_and(|status| status.duel.is_some());
        let pins = !is_pinned && model.as_ref().is_some_and(|model| asks_for_duel(&model.spec));
        let of_model = group(MODEL_LABEL, &version.spec.model);
        let is_measured = version.status.as_ref().is_none_or(|status| status.measuring.is_none());
        if is_measured && self.expectations.blocked(key).is_empty() {
            self.expectations.forget(key);
        }
        let ours = jobs.iter().filter(|job| is_controlled_by(job.as_ref(), version.metadata.uid.as_deref()));
        VersionObserved {
            version: version.clone(),
            model,
            versions: if pins { caches.versions.group(&key.namespace, &of_model) } else { vec![] },
            deployments: if pins { caches.model_deployments.group(&key.namespace, &of_model) } else { vec![] },
            approvals: caches.approvals.group(&key.namespace, &own),
            approval_policy: caches.proof_of_approvals(&caches.approval_policies),
            approval_binding: caches.proof_of_approvals(&caches.approval_bindings),
            run: version.spec.run().and_then(|run| caches.runs.get(&key.namespace, run)),
            revision: version.spec.pipeline().zip(version.spec.revision()).and_then(|(pipeline, number)| {
                caches.revisions.get(&key.namespace, &seatrial_core::names::revision(pipeline, number))
            }),
            expectations: self.expectations.of_jobs(key, ours.map(AsRef::as_ref), self.clock.now()),
            jobs,
            ending: self.ending(key, &pods, now),
            pods,
            stores: caches.stores.group(&key.namespace, ALL),
            leading_for: self.expectations.leading_for(),
            live_reads: self.expectations.live_reads(key),
            blocked: self.expectations.blocked(key),
            platform: caches.platform(),
        }
    }

    pub(crate) fn observe_trust(&self, key: &ObjectKey) -> TrustObserved {
        TrustObserved {
            namespace: key.namespace.clone(),
            bundle: self.caches.trust_bundles.get(&key.namespace, &key.name),
            is_used: self.caches.starts_pods(&key.namespace),
            blocked: self.expectations.blocked(key),
            platform: self.caches.platform(),
        }
    }

    /// The revision that a run executes, or, of one that pinned none yet, is to execute.
    fn revision_of(&self, run: &MLPipelineRun, namespace: &str) -> Option<Arc<Revision>> {
        let pipeline = &run.spec.pipeline;
        match run.status.as_ref().and_then(|status| status.revision).or_else(|| triggered_revision(run)) {
            Some(number) => self.caches.revisions.get(namespace, &seatrial_core::names::revision(pipeline, number)),
            None => {
                let revisions = self.caches.revisions.group(namespace, &group(PIPELINE_LABEL, pipeline));
                revision::newest(&revisions).cloned()
            }
        }
    }

    /// The documents that contracts had.
    fn contract_revisions(&self, contracts: &[Arc<DataContract>]) -> Vec<Arc<Revision>> {
        let of = |contract: &Arc<DataContract>| {
            let namespace = contract.namespace().unwrap_or_default();
            self.caches.revisions.group(&namespace, &group(CONTRACT_LABEL, &contract.name_any()))
        };
        contracts.iter().flat_map(of).collect()
    }

    /// The contracts that a pipeline's inputs name, as far as there are any.
    fn contracts_of(&self, spec: &MLPipelineSpec, namespace: &str) -> Vec<Arc<DataContract>> {
        let references = data_contract::references(spec, namespace);
        let found = references.iter().filter_map(|reference| {
            self.caches.contracts.get(reference.namespace.as_deref().unwrap_or(namespace), &reference.name)
        });
        found.collect()
    }

    pub(crate) fn observe_contract(&self, key: &ObjectKey, contract: &Arc<DataContract>) -> ContractObserved {
        let caches = &self.caches;
        let own = group(CONTRACT_LABEL, &key.name);
        let jobs = caches.jobs.group(&key.namespace, &own);
        let is_checked = contract.status.as_ref().is_none_or(|status| status.checking.is_none());
        if is_checked && self.expectations.blocked(key).is_empty() {
            self.expectations.forget(key);
        }
        let ours = jobs.iter().filter(|job| is_controlled_by(job.as_ref(), contract.metadata.uid.as_deref()));
        ContractObserved {
            contract: contract.clone(),
            revisions: caches.revisions.group(&key.namespace, &own),
            pipelines: caches.readers_of(contract),
            expectations: self.expectations.of_jobs(key, ours.map(AsRef::as_ref), self.clock.now()),
            jobs,
            pods: caches.pods.group(&key.namespace, &own),
            stores: caches.stores.group(&key.namespace, ALL),
            leading_for: self.expectations.leading_for(),
            live_reads: self.expectations.live_reads(key),
            blocked: self.expectations.blocked(key),
            platform: caches.platform(),
        }
    }

    pub(crate) fn observe_store(&self, key: &ObjectKey, store: &Arc<Store>) -> StoreObserved {
        StoreObserved { store: store.clone(), stores: self.caches.stores.group(&key.namespace, ALL) }
    }

    pub(crate) fn observe_model(&self, key: &ObjectKey, model: &Arc<Model>) -> ModelObserved {
        let own = group(MODEL_LABEL, &key.name);
        ModelObserved {
            model: model.clone(),
            versions: self.caches.versions.group(&key.namespace, &own),
            deployments: self.caches.model_deployments.group(&key.namespace, &own),
            revisions: self.caches.revisions.group(&key.namespace, &own),
            blocked: self.expectations.blocked(key),
        }
    }

    pub(crate) fn observe_deployment(&self, key: &ObjectKey, deployment: &Arc<ModelDeployment>) -> DeploymentObserved {
        let caches = &self.caches;
        let own = group(DEPLOYMENT_LABEL, &key.name);
        let model = &deployment.spec.model;
        let pods = caches.pods.group(&key.namespace, &own);
        let exists = |uid: &str| pods.iter().any(|pod| pod.metadata.uid.as_deref() == Some(uid));
        let probes = self.expectations.probes(key, exists);
        DeploymentObserved {
            deployment: deployment.clone(),
            model: caches.models.get(&key.namespace, model),
            versions: caches.versions.group(&key.namespace, &group(MODEL_LABEL, model)),
            children: caches.deployments.group(&key.namespace, &own),
            service: caches.services.get(&key.namespace, &key.name),
            pods,
            probes,
            live_reads: self.expectations.live_reads(key),
            stores: caches.stores.group(&key.namespace, ALL),
            blocked: self.expectations.blocked(key),
            platform: caches.platform(),
        }
    }
}

fn is_controlled_by(object: &impl ResourceExt, uid: Option<&str>) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

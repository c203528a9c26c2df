//! The Job that checks a contract's data: built once, created once, never patched.
//!
//! Its pod is that of a step without the step: `fetch` brings the data, `check` reads them without access to any store and
//! without a token, and `report`, the agent, reads what that found, uploads it and says it. No code of users runs in it.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use seatrial_crds::WorkloadOptions;
use seatrial_crds::names::{CONTRACT_LABEL, components};

use crate::attempt::evidence_job::{DEADLINE, EvidenceJob};
use crate::attempt::step_job::ReadyInput;
use crate::contract::check::CheckConfig;
use crate::contract::{self, AdmitConfig, ExitCode, InputConfig, KnownInput, LOG_SECONDS, PodConfig, StepConfig};
use crate::platform::{Judge, Platform};
use crate::pods::{self, CHECK, FETCH, FETCH_OUTAGE, REPORT};
use crate::stores::{self, ResolvedStore};

/// How long a Job is kept at most after it has ended, in seconds. What it found stands in the status by then, and a schedule
/// of each minute makes 60 in this time.
const KEPT: i32 = 3600;

/// A Job that checks.
#[derive(Clone, Debug)]
pub(super) struct CheckJob<'a> {
    /// The Job's name.
    pub(super) name: String,
    /// The contract, as the Job's owner.
    pub(super) owner: OwnerReference,
    /// The contract's namespace.
    pub(super) namespace: String,
    /// Which attempt it is, from 1.
    pub(super) attempt: i64,
    /// The tables.
    pub(super) inputs: Vec<ReadyInput>,
    /// The data that need not be read again.
    pub(super) known: Vec<KnownInput>,
    /// What the program that checks is told.
    pub(super) config: CheckConfig,
    /// The store that takes the namespace's artifacts; without one, reports are not kept.
    pub(super) artifacts: Option<ResolvedStore>,
    /// What the platform team configured of what checks.
    pub(super) judge: &'a Judge,
    /// What the platform team configured.
    pub(super) platform: &'a Platform,
}

impl CheckJob<'_> {
    /// The Job.
    pub(super) fn job(&self) -> Job {
        // Beside the check itself, it may wait for a node and for the store.
        let seconds = i64::try_from(self.config.limits.seconds).unwrap_or(DEADLINE);
        let job = EvidenceJob {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            owner: self.owner.clone(),
            component: components::CHECK,
            attempt: self.attempt,
            labels: BTreeMap::from([(CONTRACT_LABEL.to_owned(), self.owner.name.clone())]),
            deadline: DEADLINE.saturating_add(seconds),
            ttl: Some(self.platform.ttl().map_or(KEPT, |ttl| ttl.min(KEPT))),
            rules: vec![
                ("FailJob", CHECK, &[ExitCode::BadConfiguration]),
                ("Ignore", REPORT, &[ExitCode::Stopped]),
                ("FailJob", REPORT, &[ExitCode::BadConfiguration]),
            ],
            pod: self.pod_spec(),
        };
        job.job()
    }

    fn pod_spec(&self) -> PodSpec {
        let read = stores::each_once(self.inputs.iter().map(|input| &input.store));
        let stores = stores::each_once(read.iter().chain(&self.artifacts));
        let config = PodConfig {
            version: contract::VERSION,
            stores: stores.iter().map(|store| store.config.clone()).collect(),
            inputs: self.inputs.iter().map(|input| InputConfig::new(&input.name, input.source.clone())).collect(),
            known: self.known.clone(),
            // It says where reports go.
            step: Some(StepConfig {
                run_uid: self.owner.uid.clone(),
                name: components::CHECK.to_owned(),
                attempt: u32::try_from(self.attempt).unwrap_or(1),
                image: String::new(),
                outputs: vec![],
                store: self.artifacts.as_ref().map(|store| store.config.prefix.clone()),
                outage_seconds: FETCH_OUTAGE,
                log_seconds: LOG_SECONDS,
            }),
            outage_seconds: FETCH_OUTAGE,
        };
        let agent = |name, command, env, stores: &[ResolvedStore]| {
            pods::agent_container(name, command, env, stores, &self.platform.agent_image, self.platform)
        };
        let own: Vec<ResolvedStore> = self.artifacts.iter().cloned().collect();
        let fetch = agent(FETCH, "fetch", vec![pods::config_variable(&config)], &read);
        let check = pods::check_container(&self.config, self.judge, self.platform);
        let reported = vec![pods::config_variable(&AdmitConfig::of(&self.config, FETCH_OUTAGE))];
        let report = agent(REPORT, "report", reported, &own);
        let options = WorkloadOptions::default();
        let containers = vec![pods::with_reports(report)];
        let pod = pods::pod_spec(&options, vec![fetch, check], containers, &stores, self.platform);
        pods::with_reports_volume(pod, true)
    }
}

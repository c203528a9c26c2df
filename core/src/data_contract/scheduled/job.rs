//! The Job that checks a contract's data: built once, created once, never patched.
//!
//! Its pod is that of a step without the step: `fetch` brings the data, `check` reads them without access to any store and
//! without a token, and `report`, the agent, reads what that found, uploads it and says it. No code of users runs in it.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use seatrial_crds::WorkloadOptions;
use seatrial_crds::names::{ATTEMPT_LABEL, COMPONENT_LABEL, CONTRACT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, components};

use crate::contract::check::{CheckConfig, InputCheck};
use crate::contract::{
    self, AdmitConfig, AdmittedInput, ExitCode, InputConfig, InputSource, KnownInput, LOG_SECONDS, PodConfig,
    StepConfig, paths,
};
use crate::platform::{Judge, Platform};
use crate::pods::{self, CHECK, FETCH, REPORT};
use crate::stores::ResolvedStore;

/// How long a Job may take beside the check itself, in seconds: waiting for a node and for the store.
const DEADLINE: i64 = 6 * 3600;
/// How long `fetch` waits an outage out by itself, in seconds: then the pod ends and says so, and the Job tries again.
const FETCH_OUTAGE: u32 = 120;
/// How often a container may fail before the attempt has failed.
const RETRIES: i32 = 2;
/// How long a Job is kept after it has ended, in seconds, where the platform does not say: a schedule makes one after the other.
const KEPT: i32 = 24 * 3600;

/// A table as it is known when the Job is built.
#[derive(Clone, Debug)]
pub(super) struct CheckedInput {
    /// What it is called in the pod.
    pub(super) name: String,
    /// Where it is.
    pub(super) source: InputSource,
    /// The store that it is in.
    pub(super) store: ResolvedStore,
    /// What is agreed about it.
    pub(super) check: InputCheck,
}

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
    pub(super) inputs: Vec<CheckedInput>,
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
        let labels = BTreeMap::from([
            (COMPONENT_LABEL.to_owned(), components::CHECK.to_owned()),
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            (CONTRACT_LABEL.to_owned(), self.owner.name.clone()),
            (ATTEMPT_LABEL.to_owned(), self.attempt.to_string()),
        ]);
        let ttl = self.platform.ttl_seconds_after_finished.and_then(|seconds| i32::try_from(seconds).ok());
        let seconds = i64::try_from(self.config.limits.seconds).unwrap_or(DEADLINE);
        Job {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels.clone()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(RETRIES),
                active_deadline_seconds: Some(DEADLINE.saturating_add(seconds)),
                ttl_seconds_after_finished: Some(ttl.unwrap_or(KEPT)),
                pod_failure_policy: Some(failure_policy()),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                    spec: Some(self.pod_spec()),
                },
                ..JobSpec::default()
            }),
            status: None,
        }
    }

    fn pod_spec(&self) -> PodSpec {
        let each_once = |stores: &mut Vec<ResolvedStore>, store: &ResolvedStore| {
            if stores.iter().all(|known| known.config.prefix != store.config.prefix) {
                stores.push(store.clone());
            }
        };
        let mut read = vec![];
        self.inputs.iter().for_each(|input| each_once(&mut read, &input.store));
        let mut stores = read.clone();
        self.artifacts.iter().for_each(|store| each_once(&mut stores, store));
        let config = PodConfig {
            version: contract::VERSION,
            stores: stores.iter().map(|store| store.config.clone()).collect(),
            inputs: self.inputs.iter().map(input_config).collect(),
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
        let report = agent(REPORT, "report", vec![pods::config_variable(&self.reported())], &own);
        let options = WorkloadOptions::default();
        let containers = vec![pods::with_reports(report)];
        let pod = pods::pod_spec(&options, vec![fetch, check], containers, &stores, self.platform);
        PodSpec { restart_policy: Some("Never".into()), ..pods::with_reports_volume(pod, true) }
    }

    /// Which reports there must be.
    fn reported(&self) -> AdmitConfig {
        let check = |input: &CheckedInput| AdmittedInput {
            input: input.name.clone(),
            contract: input.check.contract.clone(),
            revision: input.check.revision.clone(),
        };
        AdmitConfig {
            version: contract::VERSION,
            reports: self.config.reports.clone(),
            inputs: self.inputs.iter().map(check).collect(),
            outage_seconds: FETCH_OUTAGE,
        }
    }
}

fn input_config(input: &CheckedInput) -> InputConfig {
    InputConfig {
        name: input.name.clone(),
        folder: format!("{}/{}", paths::INPUTS, input.name),
        source: input.source.clone(),
    }
}

/// What the Job controller makes of a pod's end. The first rule that fits counts; where none does, the failure spends one
/// of the retries.
fn failure_policy() -> PodFailurePolicy {
    let on_codes = |action: &str, container: &str, codes: &[ExitCode]| {
        let mut values: Vec<i32> = codes.iter().map(|code| i32::from(code.number())).collect();
        // The API server insists on their order.
        values.sort_unstable();
        PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(container.into()),
                operator: "In".into(),
                values,
            }),
            ..PodFailurePolicyRule::default()
        }
    };
    let disruption = PodFailurePolicyRule {
        action: "Ignore".into(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
        }]),
        ..PodFailurePolicyRule::default()
    };
    let lasting =
        [ExitCode::BadConfiguration, ExitCode::CorruptArtifact, ExitCode::InputNotFound, ExitCode::InputTooLarge];
    PodFailurePolicy {
        rules: vec![
            disruption,
            on_codes("Ignore", FETCH, &[ExitCode::Stopped, ExitCode::StoreUnavailable]),
            on_codes("FailJob", FETCH, &lasting),
            on_codes("FailJob", CHECK, &[ExitCode::BadConfiguration]),
            on_codes("Ignore", REPORT, &[ExitCode::Stopped]),
            on_codes("FailJob", REPORT, &[ExitCode::BadConfiguration]),
        ],
    }
}

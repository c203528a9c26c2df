//! The Job that asks the store for the record of a lost attempt: built once, created once, never patched.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use seatrial_crds::names::components;
use seatrial_crds::{MLPipelineSpec, PodOptions, Step, WorkloadOptions};

use crate::attempt::job::AttemptJob;
use crate::contract::{self, AttemptKey, RecoverConfig};
use crate::names;
use crate::platform::Platform;
use crate::pods::{self, RECOVER};
use crate::stores::ResolvedStore;

/// How long a Job that asks for a record may take, in seconds, waiting for a node and an image included.
const RECOVER_DEADLINE: i64 = 900;

/// A Job that asks the store what an attempt made whose report is lost.
#[derive(Clone, Debug)]
pub(super) struct RecoverJob<'a> {
    /// The run, as the Job's owner.
    pub(super) owner: OwnerReference,
    /// The run's namespace.
    pub(super) namespace: &'a str,
    /// The pinned spec.
    pub(super) pipeline: &'a MLPipelineSpec,
    /// The pipeline's name.
    pub(super) pipeline_name: &'a str,
    /// The step.
    pub(super) step: &'a Step,
    /// The lost attempt.
    pub(super) attempt: u32,
    /// How often the store was asked, this time included.
    pub(super) number: u32,
    /// The store that takes the run's artifacts.
    pub(super) store: &'a ResolvedStore,
    /// The agent's image that the run pinned.
    pub(super) agent_image: &'a str,
    /// What the platform team configured.
    pub(super) platform: &'a Platform,
}

impl RecoverJob<'_> {
    /// The Job's name.
    pub(super) fn name(&self) -> String {
        names::recovery(&self.owner.name, &self.owner.uid, &self.step.name, self.attempt, self.number)
    }

    /// The Job.
    pub(super) fn job(&self) -> Job {
        let config = RecoverConfig {
            version: contract::VERSION,
            store: self.store.config.clone(),
            attempt: AttemptKey {
                run_uid: self.owner.uid.clone(),
                step: self.step.name.clone(),
                attempt: self.attempt,
                index: 0,
            },
            outputs: self.step.outputs.iter().map(|output| output.name.clone()).collect(),
        };
        let stores = std::slice::from_ref(self.store);
        let env = vec![pods::config_variable(&config)];
        let container = pods::agent_container(RECOVER, "recover", env, stores, self.agent_image, self.platform);
        // Where the step's pods run is where the store can be reached from. The user's own container is not there.
        let merged = pods::merge(&self.step.options, &self.pipeline.options);
        let pod = PodOptions { volumes: vec![], volume_mounts: vec![], shared_memory: None, ..merged.pod };
        let options = WorkloadOptions { pod, ..WorkloadOptions::default() };
        let pod = pods::pod_spec(&options, vec![], vec![container], stores, self.platform);
        let spec =
            JobSpec { backoff_limit: Some(0), active_deadline_seconds: Some(RECOVER_DEADLINE), ..JobSpec::default() };
        let frame = AttemptJob {
            name: self.name(),
            component: components::RECOVER,
            owner: &self.owner,
            namespace: self.namespace,
            pipeline: self.pipeline,
            pipeline_name: self.pipeline_name,
            step: self.step,
            attempt: self.attempt,
            platform: self.platform,
        };
        frame.build(&options, pod, spec)
    }
}

//! The Job that asks the store for the record of a lost attempt: built once, created once, never patched.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use seatrial_crds::names::components;
use seatrial_crds::{PodOptions, WorkloadOptions};

use crate::attempt::job::Attempt;
use crate::contract::{self, AttemptKey, RecoverConfig};
use crate::names;
use crate::pods::{self, RECOVER};
use crate::stores::ResolvedStore;

/// How long a Job that asks for a record may take, in seconds, waiting for a node and an image included.
const RECOVER_DEADLINE: i64 = 900;

/// A Job that asks the store what an attempt made whose report is lost.
#[derive(Clone, Debug)]
pub(super) struct RecoverJob<'a> {
    /// The lost attempt.
    pub(super) attempt: Attempt<'a>,
    /// How often the store was asked, this time included.
    pub(super) number: u32,
    /// The store that takes the run's artifacts.
    pub(super) store: &'a ResolvedStore,
}

impl RecoverJob<'_> {
    /// The Job's name.
    pub(super) fn name(&self) -> String {
        names::recovery(
            &self.attempt.owner.name,
            &self.attempt.owner.uid,
            &self.attempt.step.name,
            self.attempt.number,
            self.number,
        )
    }

    /// The Job.
    pub(super) fn job(&self) -> Job {
        let config = RecoverConfig {
            version: contract::VERSION,
            store: self.store.config.clone(),
            attempt: AttemptKey {
                run_uid: self.attempt.owner.uid.clone(),
                step: self.attempt.step.name.clone(),
                attempt: self.attempt.number,
                index: 0,
            },
            outputs: self.attempt.step.outputs.iter().map(|output| output.name.clone()).collect(),
        };
        let stores = std::slice::from_ref(self.store);
        let env = vec![pods::config_variable(&config)];
        let container =
            pods::agent_container(RECOVER, "recover", env, stores, &self.attempt.agent_image, self.attempt.platform);
        // Where the step's pods run is where the store can be reached from. The user's own container is not there.
        let merged = pods::merge(&self.attempt.step.options, &self.attempt.pipeline.options);
        let pod = PodOptions { volumes: vec![], volume_mounts: vec![], shared_memory: None, ..merged.pod };
        let options = WorkloadOptions { pod, ..WorkloadOptions::default() };
        let pod = pods::pod_spec(&options, vec![], vec![container], stores, self.attempt.platform);
        let spec =
            JobSpec { backoff_limit: Some(0), active_deadline_seconds: Some(RECOVER_DEADLINE), ..JobSpec::default() };
        self.attempt.job(self.name(), components::RECOVER, &options, pod, spec)
    }
}

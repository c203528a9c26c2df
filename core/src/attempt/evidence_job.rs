//! What the Jobs of the evidence program have in common, which measures predictions and checks data: built once, created once,
//! never patched.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use seatrial_crds::names::{ATTEMPT_LABEL, COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL};

use super::failure_policy::{CodeRule, FETCH_AGAIN, FETCH_NEVER, failure_policy};

/// How long such a Job may take, in seconds, waiting for a node and for the store included.
pub(crate) const DEADLINE: i64 = 6 * 3600;
/// How often a container may fail before the attempt has failed.
const RETRIES: i32 = 2;

/// A Job of the evidence program.
#[derive(Clone, Debug)]
pub(crate) struct EvidenceJob {
    /// The Job's name.
    pub(crate) name: String,
    /// The namespace of the owner and the Job.
    pub(crate) namespace: String,
    /// For whom it works.
    pub(crate) owner: OwnerReference,
    /// Its role: the value of [`COMPONENT_LABEL`].
    pub(crate) component: &'static str,
    /// Which attempt it is, from 1.
    pub(crate) attempt: i64,
    /// The labels that its role adds.
    pub(crate) labels: BTreeMap<String, String>,
    /// How long it may take, in seconds.
    pub(crate) deadline: i64,
    /// How long it is kept after it has ended, in seconds.
    pub(crate) ttl: Option<i32>,
    /// What becomes of it by the exit codes of other containers than `fetch`.
    pub(crate) rules: Vec<CodeRule>,
    /// Its pod.
    pub(crate) pod: PodSpec,
}

impl EvidenceJob {
    /// The Job.
    pub(crate) fn job(self) -> Job {
        let mut labels = self.labels;
        labels.extend([
            (COMPONENT_LABEL.to_owned(), self.component.to_owned()),
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            (ATTEMPT_LABEL.to_owned(), self.attempt.to_string()),
        ]);
        let rules: Vec<CodeRule> = [FETCH_AGAIN, FETCH_NEVER].into_iter().chain(self.rules).collect();
        Job {
            metadata: ObjectMeta {
                name: Some(self.name),
                namespace: Some(self.namespace),
                labels: Some(labels.clone()),
                owner_references: Some(vec![self.owner]),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                backoff_limit: Some(RETRIES),
                active_deadline_seconds: Some(self.deadline),
                ttl_seconds_after_finished: self.ttl,
                pod_failure_policy: Some(failure_policy(&rules)),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                    spec: Some(PodSpec { restart_policy: Some("Never".into()), ..self.pod }),
                },
                ..JobSpec::default()
            }),
            status: None,
        }
    }
}

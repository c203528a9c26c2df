//! What the Jobs of all roles of an attempt have in common.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use seatrial_crds::names::{
    ATTEMPT_LABEL, COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MODEL_LABEL, PIPELINE_LABEL, RUN_LABEL, STEP_LABEL,
    VERSION_LABEL, components,
};
use seatrial_crds::{MLPipelineSpec, Step, WorkloadOptions};

use crate::platform::Platform;
use crate::pods;

/// For whom a step is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// For a run of the pipeline.
    Step,
    /// For a version, with another model in place of its own.
    Duel {
        /// The model's name.
        model: &'a str,
    },
}

impl Role<'_> {
    /// The value of [`COMPONENT_LABEL`].
    pub(crate) const fn component(self) -> &'static str {
        match self {
            Self::Step => components::STEP,
            Self::Duel { .. } => components::DUEL,
        }
    }
}

/// An attempt at a step, as its Jobs of all roles know it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt<'a> {
    /// For whom the step is run.
    pub(crate) role: Role<'a>,
    /// The run, or the version, as the owner of the Jobs.
    pub(crate) owner: OwnerReference,
    /// The owner's namespace.
    pub(crate) namespace: String,
    /// The pinned spec.
    pub(crate) pipeline: &'a MLPipelineSpec,
    /// The pipeline's name.
    pub(crate) pipeline_name: &'a str,
    /// The step.
    pub(crate) step: &'a Step,
    /// Which attempt it is, from 1.
    pub(crate) number: u32,
    /// The agent's image: of a run, the one that it pinned.
    pub(crate) agent_image: String,
    /// What the platform team configured.
    pub(crate) platform: &'a Platform,
}

impl Attempt<'_> {
    /// A Job of the attempt. `component` is its role (the value of [`COMPONENT_LABEL`]), `options` are what people ask of its
    /// pods, and `spec` is what its role adds.
    pub(crate) fn job(
        &self,
        name: String,
        component: &str,
        options: &WorkloadOptions,
        pod: PodSpec,
        spec: JobSpec,
    ) -> Job {
        let mut labels = BTreeMap::from([
            (COMPONENT_LABEL.to_owned(), component.to_owned()),
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            (PIPELINE_LABEL.to_owned(), self.pipeline_name.to_owned()),
            (STEP_LABEL.to_owned(), self.step.name.clone()),
            (ATTEMPT_LABEL.to_owned(), self.number.to_string()),
        ]);
        match self.role {
            Role::Step => labels.extend([(RUN_LABEL.to_owned(), self.owner.name.clone())]),
            Role::Duel { model } => labels.extend([
                (VERSION_LABEL.to_owned(), self.owner.name.clone()),
                (MODEL_LABEL.to_owned(), model.to_owned()),
            ]),
        }
        let own = pods::merge_metadata(self.step.job.as_ref(), self.pipeline.job.as_ref());
        Job {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.namespace.clone()),
                labels: Some(own.labels.into_iter().chain(labels.clone()).collect()),
                annotations: (!own.annotations.is_empty()).then_some(own.annotations),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(JobSpec {
                ttl_seconds_after_finished: self.platform.ttl(),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(pods::labels(options, &labels)),
                        annotations: pods::annotations(options),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(PodSpec { restart_policy: Some("Never".into()), ..pod }),
                },
                ..spec
            }),
            status: None,
        }
    }
}

//! The Job that measures a version's predictions: built once, created once, never patched.
//!
//! In its pod the agent fetches the tables, and the judge, which has no access to any store and no token, measures. The
//! measurement is in the judge's termination message alone: nothing that the judged team could write into a store reaches a
//! verdict.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use seatrial_crds::names::{MODEL_LABEL, VERSION_LABEL, components};
use seatrial_crds::{OutputType, Task, WorkloadOptions};

use crate::attempt::evidence_job::{DEADLINE, EvidenceJob};
use crate::contract::{
    self, DuelConfig, InputConfig, InputSource, JUDGE_VERSION, JudgeConfig, LabelsConfig, PodConfig, paths,
};
use crate::gates::judged_task;
use crate::platform::{Judge, Platform};
use crate::pods::{self, FETCH, FETCH_OUTAGE, JUDGE};
use crate::stores::{self, ResolvedStore};

/// The name of the input with the predictions.
const PREDICTIONS: &str = "predictions";
/// The name of the input with the champion's predictions.
const CHAMPION: &str = "champion";
/// The name of the input with the owner's labels.
pub(super) const LABELS: &str = "labels";

/// A table as it is known when the Job is built.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    /// Where it is.
    pub(super) source: InputSource,
    /// The store that it is in.
    pub(super) store: ResolvedStore,
}

/// The champion's predictions, and how the two are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChampionTable {
    /// The table.
    pub(super) table: Table,
    /// The score from which the champion takes a row for positive.
    pub(super) threshold: Option<String>,
    /// Those at which the version was measured, by fold.
    pub(super) thresholds: Vec<Vec<String>>,
}

/// The owner's labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    /// The table.
    pub(super) table: Table,
    /// The column whose values name the rows.
    pub(super) id: String,
    /// The column of the labels.
    pub(super) label: String,
}

/// A Job that measures.
#[derive(Clone, Debug)]
pub(super) struct JudgeJob<'a> {
    /// The Job's name.
    pub(super) name: String,
    /// The version, as the Job's owner.
    pub(super) owner: OwnerReference,
    /// The version's namespace.
    pub(super) namespace: String,
    /// The model's name.
    pub(super) model: &'a str,
    /// Which attempt it is, from 1.
    pub(super) attempt: i64,
    /// What the model decides.
    pub(super) task: &'a Task,
    /// The columns that divide the rows into groups.
    pub(super) slices: Vec<String>,
    /// The predictions.
    pub(super) predictions: Table,
    /// The champion's predictions, where the version is compared with it.
    pub(super) champion: Option<ChampionTable>,
    /// The owner's labels; `None` where they stand in the predictions.
    pub(super) labels: Option<Labels>,
    /// What the platform team configured of judges.
    pub(super) judge: &'a Judge,
    /// What the platform team configured.
    pub(super) platform: &'a Platform,
}

impl JudgeJob<'_> {
    /// The Job.
    pub(super) fn job(&self) -> Job {
        let job = EvidenceJob {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            owner: self.owner.clone(),
            component: components::JUDGE,
            attempt: self.attempt,
            labels: BTreeMap::from([
                (MODEL_LABEL.to_owned(), self.model.to_owned()),
                (VERSION_LABEL.to_owned(), self.owner.name.clone()),
            ]),
            deadline: DEADLINE,
            ttl: self.platform.ttl(),
            rules: vec![],
            pod: self.pod_spec(),
        };
        job.job()
    }

    fn pod_spec(&self) -> PodSpec {
        let options = WorkloadOptions::default();
        let champion = self.champion.iter().map(|champion| (CHAMPION, &champion.table));
        let labels = self.labels.iter().map(|labels| (LABELS, &labels.table));
        let tables: Vec<(&str, &Table)> =
            [(PREDICTIONS, &self.predictions)].into_iter().chain(champion).chain(labels).collect();
        let stores = stores::each_once(tables.iter().map(|(_, table)| &table.store));
        let config = PodConfig {
            version: contract::VERSION,
            stores: stores.iter().map(|store| store.config.clone()).collect(),
            inputs: tables.iter().map(|(name, table)| InputConfig::new(name, table.source.clone())).collect(),
            known: vec![],
            step: None,
            outage_seconds: FETCH_OUTAGE,
        };
        let env = vec![pods::config_variable(&config)];
        let fetch = pods::agent_container(FETCH, "fetch", env, &stores, &self.platform.agent_image, self.platform);
        pods::pod_spec(&options, vec![fetch], vec![self.container()], &stores, self.platform)
    }

    fn container(&self) -> Container {
        let config = JudgeConfig {
            version: JUDGE_VERSION,
            task: judged_task(self.task),
            predictions: paths::input(PREDICTIONS, Some(OutputType::Predictions)),
            labels: self.labels.as_ref().map(|labels| LabelsConfig {
                folder: paths::input(LABELS, None),
                id: labels.id.clone(),
                label: labels.label.clone(),
            }),
            slices: self.slices.clone(),
            duel: self.champion.as_ref().map(|champion| DuelConfig {
                predictions: paths::input(CHAMPION, Some(OutputType::Predictions)),
                threshold: champion.threshold.clone(),
                thresholds: champion.thresholds.clone(),
            }),
        };
        Container {
            name: JUDGE.into(),
            image: Some(self.judge.image.clone()),
            image_pull_policy: self.platform.agent_image_pull_policy.clone(),
            command: Some(vec!["/seatrial-evidence".into(), "judge".into()]),
            env: Some(vec![pods::config_variable(&config)]),
            resources: Some(self.judge.resources.clone()),
            security_context: Some(pods::agent_security(self.platform)),
            volume_mounts: Some(vec![VolumeMount { read_only: Some(true), ..pods::shared_mount() }]),
            ..Container::default()
        }
    }
}

//! What the operator observes of an attempt, and the outcomes that it can have.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube_core::{Resource, ResourceExt};
use seatrial_crds::{MLPipelineRun, Resources, Step};

use super::Liveness;
use super::outcome::checks;
use super::report::Report;
use crate::contract::check::CheckVerdict;
use crate::observed::ProbeReport;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It is under way. Reason and message say what holds it up, if anything does.
    Running(Option<(&'static str, String)>),
    /// It succeeded, and its containers reported this.
    Done(Box<Report>),
    /// It succeeded, and the cache has no pod with its report: the API server must be asked whether there is one.
    LiveRead,
    /// It succeeded, but its report is lost.
    ReportLost,
    /// Its pod was told to end, and the pod's node does not answer any more.
    NodeLost,
    /// It failed, with this reason and message.
    Failed(&'static str, String),
}

/// What the operator observes of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The step.
    pub(crate) step: &'a Step,
    /// Which pods may still do something.
    pub(crate) liveness: Liveness<'a>,
    /// What its container may use, by the step or its pipeline.
    pub(crate) resources: Option<&'a Resources>,
    /// The attempt's Job.
    pub(crate) job: &'a Job,
    /// The Job's pods.
    pub(crate) pods: &'a [&'a Pod],
    /// For how long this leader has seen the Job without a pod.
    pub(crate) without_pod_for: Option<Duration>,
    /// The reason and message that the step's status has.
    pub(crate) before: Option<&'a (String, String)>,
    /// When the API server was last asked about Job and pods.
    pub(crate) confirmed: Option<Timestamp>,
    /// Why the API server refused its pods, from the Job controller's event.
    pub(crate) refused: Option<&'a str>,
    /// The kubelet's events about the probe of `publish`, by the pod's UID.
    pub(crate) probes: &'a BTreeMap<String, ProbeReport>,
}

impl Seen<'_> {
    /// The arguments of `kubectl seatrial` that show more of a failure; `None` where there is nothing more, and for attempts of
    /// versions, which the plugin does not read.
    pub(crate) fn see(&self, reason: &str) -> Option<String> {
        let owner = self.job.owner_references().iter().find(|owner| owner.controller == Some(true))?;
        let place = format!("{}/{}", owner.name, self.step.name);
        let is_of_run = owner.kind == MLPipelineRun::kind(&());
        match reason {
            "CommandFailed" => Some(format!("logs {place}")),
            "ContractBroken" | "ContractUnproven" | "CheckFailed" => {
                let checks = checks(self.pods);
                let stopped = checks.iter().find(|check| check.verdict != CheckVerdict::Passed);
                let reported = stopped.filter(|check| check.report.is_some())?;
                Some(format!("artifact get {place}/check.{}", reported.input))
            }
            _ => None,
        }
        .filter(|_| is_of_run)
    }
}

//! What is seen of an attempt, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{Resources, Step};

use super::Liveness;
use super::report::Report;
use crate::observed::ProbeReport;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It is under way; the word and sentence say what it does, where that is more than running.
    Running(Option<(&'static str, String)>),
    /// It is done.
    Done(Box<Report>),
    /// It is done, and what its containers said is not in sight: the API server must say whether there is more to see.
    LiveRead,
    /// It is done, but what its containers said is lost.
    ReportLost,
    /// The node of its pod does not answer any more.
    NodeLost,
    /// It failed, with a word and a sentence.
    Failed(&'static str, String),
}

/// What is seen of an attempt.
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
    /// For how long it has been seen that the Job has no pod.
    pub(crate) without_pod_for: Option<Duration>,
    /// The word and sentence that were last said of it.
    pub(crate) before: Option<&'a (String, String)>,
    /// When the API server was last asked about Job and pods.
    pub(crate) confirmed: Option<Timestamp>,
    /// Why the API server refused its pods, in the words that the Job controller passed on.
    pub(crate) refused: Option<&'a str>,
    /// What the kubelet said of uploads, by the pod's UID.
    pub(crate) probes: &'a BTreeMap<String, ProbeReport>,
}

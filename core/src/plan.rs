//! What a decision is: data that one generic executor carries out.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seatrial_crds::{MLPipelineRun, ModelVersion};

/// What is to be done for one object that people wrote.
///
/// The executor writes `status` first, with the resourceVersion that was observed; only if that succeeded it carries
/// out `actions` in their order. What the API server refuses holds up nothing that does not depend on it; after any
/// failure nothing is deleted. Events are sent last. A failure is remembered as a [`WriteFailure`] for the next plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// The status to write; `None` where the observed one is already right.
    pub status: Option<S>,
    /// The writes, in order.
    pub actions: Vec<Action>,
    /// What people are told.
    pub events: Vec<Event>,
    /// The Jobs that the API server is to be asked about, with their pods, before they are given up: caches may lag
    /// behind for minutes where a watch died in silence. The answers go into the caches.
    pub confirm: Vec<String>,
    /// When to look again even if nothing changes.
    pub again_after: Option<Duration>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { status: None, actions: vec![], events: vec![], confirm: vec![], again_after: None }
    }
}

impl<S> Plan<S> {
    /// True where there is nothing to do but, perhaps, to wait.
    pub fn is_quiet(&self) -> bool {
        self.status.is_none() && self.actions.is_empty() && self.events.is_empty() && self.confirm.is_empty()
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the object. Where one of its name exists: nothing if it is ours (same controlling owner, or, for
    /// objects without owner, the same labels that Seatrial sets), else a [`FailureReason::Clash`].
    Create(Object),
    /// Replace an object of ours, with the resourceVersion in its metadata; a conflict is a failure.
    Replace(Object),
    /// Delete the object of this UID, in the background; one that is gone already is fine.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its UID, a precondition: another object of the name stays.
        uid: String,
    },
}

/// The objects that the operator writes. All live in the namespace of the object that the plan is for.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the kinds")]
pub enum Object {
    Job(Box<Job>),
    Deployment(Box<Deployment>),
    Service(Box<Service>),
    ControllerRevision(Box<ControllerRevision>),
    Run(Box<MLPipelineRun>),
    Version(Box<ModelVersion>),
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are the kinds")]
pub enum Kind {
    Job,
    Deployment,
    Service,
    ControllerRevision,
    Run,
    Version,
}

impl Kind {
    /// The kind's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Job => "Job",
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::ControllerRevision => "ControllerRevision",
            Self::Run => "MLPipelineRun",
            Self::Version => "ModelVersion",
        }
    }
}

impl Object {
    /// The object's kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Job(_) => Kind::Job,
            Self::Deployment(_) => Kind::Deployment,
            Self::Service(_) => Kind::Service,
            Self::ControllerRevision(_) => Kind::ControllerRevision,
            Self::Run(_) => Kind::Run,
            Self::Version(_) => Kind::Version,
        }
    }

    /// The object's metadata.
    pub const fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Job(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::ControllerRevision(object) => &object.metadata,
            Self::Run(object) => &object.metadata,
            Self::Version(object) => &object.metadata,
        }
    }

    /// The object's name; empty where it has none.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }
}

/// An event on the object that the plan is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub kind: EventType,
    /// One word.
    pub reason: &'static str,
    /// What was done, as a verb.
    pub action: &'static str,
    /// A sentence.
    pub message: String,
}

/// The types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kubernetes' own words")]
pub enum EventType {
    Normal,
    Warning,
}

/// A write of an earlier plan for the same object that failed, and has not succeeded since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFailure {
    /// The kind of what was to be written.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Why it failed.
    pub reason: FailureReason,
    /// What the API server said.
    pub message: String,
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// An object of the name exists that is not ours.
    Clash,
    /// The API server refused: a quota, an admission policy, an invalid object, missing rights.
    Refused,
    /// Someone else wrote in between: the next plan sees it.
    Conflict,
    /// The API server could not be reached or failed.
    Unavailable,
}

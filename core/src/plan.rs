//! Plans: what is decided, as data that one executor carries out for all kinds.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seatrial_crds::{MLPipelineRun, ModelVersion};

/// What is to be done for one object that people wrote.
///
/// The executor writes `status` first, with the resourceVersion that was observed. Only if that succeeded, it executes
/// the stages in their order, and then writes the events. It knows no rules about kinds: what depends on what is said
/// by the stages. A write that fails comes back as [`Blocked`] in what the next plan observes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    /// The status to write; `None` where the observed one is already right.
    pub status: Option<S>,
    /// The writes, in stages that follow each other.
    pub stages: Vec<Stage>,
    /// What people are told.
    pub events: Vec<Event>,
    /// What is read from the API server, since no cache has it or the caches may lag behind.
    pub live_reads: Vec<LiveRead>,
    /// When to plan again even if nothing changes.
    pub requeue_after: Option<Duration>,
    /// The writes that [`Plan::defer_blocked`] took out: they are still wanted.
    pub deferred: Vec<(Kind, String)>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { status: None, stages: vec![], events: vec![], live_reads: vec![], requeue_after: None, deferred: vec![] }
    }
}

impl<S> Plan<S> {
    /// True where there is nothing to do but, perhaps, to wait.
    pub fn is_quiet(&self) -> bool {
        self.status.is_none() && self.writes().next().is_none() && self.events.is_empty() && self.live_reads.is_empty()
    }

    /// The writes of all stages.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.stages.iter().flat_map(|stage| &stage.writes)
    }

    /// Takes out the writes that are blocked until later than `now`, and what follows a stage that they stop, and asks
    /// to plan again when the first of them may be tried. However often a plan is made meanwhile, a write that the API
    /// server refused is not sent again.
    #[must_use]
    pub fn defer_blocked(mut self, blocked: &[Blocked], now: Timestamp) -> Self {
        let mut stopped = false;
        for stage in &mut self.stages {
            let mut waits = false;
            let (kept, deferred) = std::mem::take(&mut stage.writes).into_iter().partition(|write| {
                let (kind, name) = write.subject();
                let until = blocked.iter().find(|b| b.kind == kind && b.name == name && b.is_in_force(now));
                if let Some(blocked) = until.filter(|_| !stopped) {
                    waits = true;
                    let wait = Duration::try_from(blocked.until.duration_since(now)).unwrap_or_default();
                    self.requeue_after = Some(self.requeue_after.map_or(wait, |sooner| sooner.min(wait)));
                }
                until.is_none() && !stopped
            });
            stage.writes = kept;
            let deferred: Vec<Write> = deferred;
            self.deferred.extend(deferred.iter().map(|write| {
                let (kind, name) = write.subject();
                (kind, name.to_owned())
            }));
            stopped |= waits && stage.on_failure == OnFailure::Stop;
        }
        self.stages.retain(|stage| !stage.writes.is_empty());
        self
    }
}

/// What a plan may read from the API server. The next plan observes the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveRead {
    /// A Job with its pods, before its attempt counts as lost: the cache may lag behind for minutes where a watch ended
    /// unnoticed. The answer goes into the caches.
    Job(String),
    /// A Deployment, before its servers are taken away though they may have become ready. The answer goes into the caches.
    Deployment(String),
    /// What the Job controller said about pods that it could not create.
    JobEvents {
        /// The Job's name.
        job: String,
        /// The Job's UID.
        uid: String,
    },
    /// What the kubelet said about a pod's readiness probe. Events are not watched: there are too many of them.
    PodEvents {
        /// The pod's name.
        pod: String,
        /// The pod's UID.
        uid: String,
    },
}

/// Writes that do not depend on each other: all of them are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The writes.
    pub writes: Vec<Write>,
    /// What a failure of one of them means for the stages that follow.
    pub on_failure: OnFailure,
}

/// What a failed write of a stage means for the stages that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// They are executed all the same.
    Proceed,
    /// They are not executed: they depend on this stage.
    Stop,
}

impl Stage {
    /// A stage on which nothing that follows depends.
    pub const fn proceed(writes: Vec<Write>) -> Self {
        Self { writes, on_failure: OnFailure::Proceed }
    }

    /// A stage on which all that follows depends.
    pub const fn stop(writes: Vec<Write>) -> Self {
        Self { writes, on_failure: OnFailure::Stop }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Create the object. Where one of its name exists: nothing if it is ours (same controlling owner, or, for
    /// objects without owner, the same labels that Seatrial sets), else a [`BlockedReason::Clash`].
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

impl Write {
    /// Kind and name of the object that is written.
    pub fn subject(&self) -> (Kind, &str) {
        match self {
            Self::Create(object) | Self::Replace(object) => (object.kind(), object.name()),
            Self::Delete { kind, name, .. } => (*kind, name),
        }
    }
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
    ConfigMap(Box<ConfigMap>),
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
    ConfigMap,
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
            Self::ConfigMap => "ConfigMap",
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
            Self::ConfigMap(_) => Kind::ConfigMap,
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
            Self::ConfigMap(object) => &object.metadata,
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
    /// Why, in one word, `UpperCamelCase`.
    pub reason: &'static str,
    /// What was done, as a verb.
    pub action: &'static str,
    /// What people are told: what, where, and what to do next.
    pub message: String,
}

/// The types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kubernetes' own words")]
pub enum EventType {
    Normal,
    Warning,
}

/// How long a write that failed waits at most before it is tried again: what made room for it, such as a quota, is not watched.
pub const LONGEST_BLOCK: Duration = Duration::from_secs(60);

/// A write of an earlier plan for the same object that failed, and has not succeeded since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The kind of the object that was to be written.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Why the write failed.
    pub reason: BlockedReason,
    /// What the API server said.
    pub message: String,
    /// Until when the write waits: longer after each failure, and never longer than [`LONGEST_BLOCK`].
    pub until: Timestamp,
}

impl Blocked {
    /// Whether the write waits. A time that is further ahead than any wait is of a clock that went back since then.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        let left = self.until.duration_since(now);
        left.is_positive() && left <= LONGEST_BLOCK.try_into().unwrap_or_default()
    }
}

/// Why a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedReason {
    /// An object of the name exists that is not ours.
    Clash,
    /// The API server refused: a quota, an admission policy, an invalid object, missing rights.
    Refused,
    /// The API server could not be reached or failed.
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Write {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        Write::Create(Object::Job(Box::new(Job { metadata, ..Job::default() })))
    }

    fn names(plan: &Plan<()>) -> Vec<&str> {
        plan.writes().map(|write| write.subject().1).collect()
    }

    #[test]
    fn a_blocked_write_waits_for_its_time_and_stops_what_depends_on_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let blocked = |name: &str, until| Blocked {
            kind: Kind::Job,
            name: name.into(),
            reason: BlockedReason::Refused,
            message: String::new(),
            until: at(until),
        };
        let blocked = [blocked("b", 30), blocked("c", 20)];
        let plan = |now| {
            let stages = vec![
                Stage::proceed(vec![job("a"), job("b")]),
                Stage::stop(vec![job("c"), job("d")]),
                Stage::proceed(vec![job("e")]),
            ];
            Plan::<()> { stages, ..Plan::default() }.defer_blocked(&blocked, at(now))
        };
        assert_eq!(names(&plan(10)), ["a", "d"]);
        assert_eq!(names(&plan(-3590)), ["a", "b", "c", "d", "e"], "the clock went back");
        assert_eq!(plan(10).requeue_after, Some(Duration::from_secs(10)));
        assert_eq!(plan(10).deferred.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["b", "c", "e"]);
        assert_eq!(names(&plan(20)), ["a", "c", "d", "e"]);
        assert_eq!((names(&plan(30)).len(), plan(30).requeue_after, plan(30).deferred.len()), (5, None, 0));
    }
}

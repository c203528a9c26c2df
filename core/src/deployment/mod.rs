//! Decides for a ModelDeployment: which version serves, which one is brought up beside it, and when they change places.
//!
//! ```text
//! candidate's Deployment created ──► its servers ready ──► status: it serves ──► Service leads to it ──► old one deleted
//! ```
//! Each next step is decided from what is observed, so that a crash at any arrow only delays it.

mod applied;
mod authority;
mod children;
mod correct;
mod probe;
mod problem;
mod report;
mod served;
mod server;
mod target;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube_core::ResourceExt;
use seatrial_crds::names::{ARTIFACT_LABEL, VERSION_LABEL};
use seatrial_crds::{ModelDeployment, ModelDeploymentStatus, ModelVersion, Time};

use crate::authority::Authority;
use crate::conditions;
use crate::names;
use crate::observed::DeploymentObserved;
use crate::plan::{BlockedReason, Event, EventType, Kind, LiveRead, Plan, Stage, Write};
use crate::validation;
use correct::Difference;
use problem::Problem;
use served::Served;
use target::Target;

/// For how long what the API server said of a child counts, in seconds.
const LIVE_READ_HOLDS: i64 = 60;
/// After how long to ask again where it did not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Decides what is done for a ModelDeployment.
pub fn plan(observed: &DeploymentObserved, now: Timestamp) -> Plan<ModelDeploymentStatus> {
    if observed.deployment.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut rollout = Rollout::new(observed, now);
    let served = rollout.served();
    let problems = validation::deployment(&observed.deployment.spec);
    let authority = Authority::new(observed.model.as_deref(), &observed.versions, now);
    let (Target { version, refused }, waits) =
        match target::target(observed, &authority, served.as_ref().map(|served| served.version.as_str())) {
            // What serves goes on as it is.
            _ if !problems.is_empty() => (Target::default(), Some(("InvalidSpec", validation::summary(&problems)))),
            Ok(target) => (target, None),
            Err(none) => (Target::default(), Some((none.reason, none.message))),
        };
    // What serves keeps its threshold when it is judged again: it is no candidate beside itself.
    let is_new = |version: &&ModelVersion| served.as_ref().is_none_or(|served| served.version != version.name_any());
    let candidate = version.filter(is_new).map(|version| (version, Served::begin(version)));
    if served.is_none() && candidate.as_ref().is_some_and(|(_, candidate)| rollout.must_look_before(candidate)) {
        return rollout.plan();
    }
    rollout.begin_corrections();
    let served = rollout.rename(served, candidate.as_ref().map(|(_, candidate)| candidate));
    let candidate = candidate.filter(|(_, candidate)| served.as_ref() != Some(candidate));
    if let Some(served) = &served {
        rollout.ensure_served(served, candidate.is_none() && waits.is_none());
    }
    rollout.promote(served, candidate.as_ref().map(|(_, candidate)| candidate.clone()));
    // What serves comes first: a candidate that the API server refuses must not stand in its way.
    rollout.ensure_service();
    if let Some((version, candidate)) = &candidate {
        rollout.ensure_candidate(version, candidate);
    }
    rollout.prune();
    rollout.end_corrections();
    rollout.set_versions();
    rollout.set_conditions(waits);
    rollout.set_refused(refused);
    rollout.set_serving_meets_gates(&authority);
    rollout.set_threshold_current();
    rollout.plan()
}

/// The plan for a ModelDeployment while it is being made: the next status, and the writes that it needs.
struct Rollout<'a> {
    observed: &'a DeploymentObserved,
    now: Timestamp,
    status: ModelDeploymentStatus,
    /// The version that is started beside the one that serves, once that is decided.
    candidate: Option<Served>,
    writes: Vec<Write>,
    deletions: Vec<Write>,
    events: Vec<Event>,
    live_reads: Vec<LiveRead>,
    requeue_after: Option<Duration>,
    problem: Option<Problem>,
    /// What others changed of our objects.
    differences: Vec<Difference>,
    /// Whether this plan creates servers.
    starts: bool,
    /// Whether people changed servers that are starting, so that their timeout begins again.
    starts_anew: bool,
}

impl<'a> Rollout<'a> {
    fn new(observed: &'a DeploymentObserved, now: Timestamp) -> Self {
        let status = observed.deployment.status.clone().unwrap_or_default();
        Self {
            observed,
            now,
            status,
            candidate: None,
            writes: vec![],
            deletions: vec![],
            events: vec![],
            live_reads: vec![],
            requeue_after: None,
            problem: refused(observed),
            differences: vec![],
            starts: false,
            starts_anew: false,
        }
    }

    fn deployment(&self) -> &'a ModelDeployment {
        &self.observed.deployment
    }

    /// The version in service, as recorded.
    fn recorded(&self) -> Option<Served> {
        let (version, threshold) = (self.status.served_version.clone()?, self.status.served_threshold.clone());
        Some(Served { version, threshold })
    }

    /// The version in service: as recorded, or, should the record be lost, the one that the Service leads to and that
    /// has a server ready.
    fn served(&self) -> Option<Served> {
        self.recorded().or_else(|| {
            let service = self.own_service()?;
            let artifact = service.spec.as_ref()?.selector.as_ref()?.get(ARTIFACT_LABEL)?;
            let mut children = self.children();
            let child = children.find(|child| child.labels().get(ARTIFACT_LABEL) == Some(artifact))?;
            let version = child.labels().get(VERSION_LABEL).cloned()?;
            (available(child) > 0).then(|| Served { version, threshold: served::threshold(child) })
        })
    }

    /// What is waited for: the candidate, else what serves.
    fn awaited(&self) -> Option<Served> {
        self.candidate.clone().or_else(|| self.recorded())
    }

    /// Whether the API server must be asked first: clients are led to the servers of another version than this candidate,
    /// which may have become ready while the caches lagged behind. Then they serve, and are not taken away.
    fn must_look_before(&mut self, candidate: &Served) -> bool {
        let routed =
            self.own_service().and_then(|service| service.spec.as_ref()?.selector.as_ref()?.get(ARTIFACT_LABEL));
        let (Some(routed), wanted) = (routed, self.artifact_of(candidate)) else { return false };
        // The caches need not show it yet.
        let name = names::server(&self.deployment().name_any(), routed);
        let asked = self.observed.live_reads.get(&name);
        let is_known = asked.is_some_and(|asked| self.now.as_second() - asked.as_second() < LIVE_READ_HOLDS);
        if wanted.as_ref() == Some(routed) || is_known {
            return false;
        }
        self.live_reads.push(LiveRead::Deployment(name));
        self.look_again_after(LOOK_AGAIN);
        true
    }

    /// A version with the files and the threshold of the one that serves takes its servers over, as they are.
    fn rename(&mut self, served: Option<Served>, candidate: Option<&Served>) -> Option<Served> {
        let (Some(old), Some(new)) = (&served, candidate) else { return served };
        if self.child(old).is_none() || self.artifact_of(old) != self.artifact_of(new) {
            return served;
        }
        let (new_name, old_name) = (&new.version, &old.version);
        let same = if new.threshold.is_some() { "files and the same threshold" } else { "files" };
        self.record_serving(format!("{new_name} serves; it has the same {same} as {old_name}, whose servers go on"));
        Some(new.clone())
    }

    /// Lets a candidate serve once all its servers have stayed ready.
    fn promote(&mut self, served: Option<Served>, candidate: Option<Served>) {
        let is_ready = candidate.as_ref().is_some_and(|candidate| self.may_serve(candidate));
        if let Some(candidate) = candidate.as_ref().filter(|_| is_ready) {
            let message = match &served {
                Some(old) => format!("{} serves; it took over from {}", candidate.text(), old.version),
                None => format!("{} serves", candidate.text()),
            };
            self.record_serving(message);
        }
        let (served, candidate) = if is_ready { (candidate, None) } else { (served, candidate) };
        (self.status.served_version, self.status.served_threshold) =
            served.map_or((None, None), |served| (Some(served.version), served.threshold));
        self.status.candidate_version = candidate.as_ref().map(|candidate| candidate.version.clone());
        self.candidate = candidate;
        let before = self.deployment().status.as_ref().and_then(|status| status.served_version.as_ref());
        if self.status.served_version.as_ref() != before {
            self.status.served_since =
                self.status.served_version.is_some().then(|| Time(conditions::whole_seconds(self.now)));
        }
    }

    fn record_serving(&mut self, message: String) {
        self.events.push(Event { kind: EventType::Normal, reason: "Serving", action: "Serve", message });
    }

    /// Whether a candidate may serve.
    fn may_serve(&mut self, candidate: &Served) -> bool {
        let seconds = server::min_ready_seconds(self.deployment());
        // What somebody else made shorter counts only when it was put right.
        let stays_ready = |child: &Arc<Deployment>| {
            child.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0) >= seconds
        };
        if !self.child(candidate).is_some_and(|child| is_ready(child) && stays_ready(child)) {
            return false;
        }
        let pods = self.pods_of(candidate);
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        !self.must_ask_before_promotion(&pods) && self.probe_problem(&pods).is_none()
    }

    /// Deletes the servers of versions that neither serve nor are to serve, once the Service was seen to lead elsewhere.
    fn prune(&mut self) {
        // Where the caches show no Service, nobody knows where clients are led.
        let Some(service) = self.own_service() else { return };
        let routed = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()?.get(ARTIFACT_LABEL));
        let wanted = self.recorded().into_iter().chain(self.candidate.clone());
        let kept: Vec<String> = wanted.filter_map(|wanted| self.artifact_of(&wanted)).collect();
        let stray = |child: &&Arc<Deployment>| {
            let artifact = child.labels().get(ARTIFACT_LABEL);
            !artifact.is_some_and(|artifact| kept.contains(artifact) || routed == Some(artifact))
        };
        let delete = |child: &Arc<Deployment>| Write::Delete {
            kind: Kind::Deployment,
            name: child.name_any(),
            uid: child.metadata.uid.clone().unwrap_or_default(),
        };
        self.deletions = self.children().filter(stray).map(delete).collect();
    }

    /// The pods with a version's files and threshold.
    fn pods_of(&self, served: &Served) -> Vec<Arc<Pod>> {
        let artifact = self.artifact_of(served);
        let of_version = |pod: &&Arc<Pod>| artifact.is_some() && pod.labels().get(ARTIFACT_LABEL) == artifact.as_ref();
        self.observed.pods.iter().filter(of_version).cloned().collect()
    }

    fn look_again_after(&mut self, delay: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(delay, |sooner| sooner.min(delay)));
    }

    fn own_service(&self) -> Option<&'a Service> {
        self.observed.service.as_deref().filter(|service| self.is_ours(*service))
    }

    fn is_ours(&self, object: &impl ResourceExt) -> bool {
        let uid = self.deployment().metadata.uid.as_deref();
        object.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
    }

    fn replicas(&self) -> i32 {
        i32::try_from(self.deployment().spec.replicas.unwrap_or(1)).unwrap_or(i32::MAX)
    }

    fn plan(self) -> Plan<ModelDeploymentStatus> {
        let changed = Some(&self.status) != self.deployment().status.as_ref();
        // Servers are deleted only once what replaces them is written.
        let stages = vec![Stage::stop(self.writes), Stage::proceed(self.deletions)];
        let status = changed.then_some(self.status);
        let (events, live_reads, requeue_after) = (self.events, self.live_reads, self.requeue_after);
        Plan { status, stages, events, live_reads, requeue_after, ..Plan::default() }
            .defer_blocked(&self.observed.blocked, self.now)
    }
}

/// Why the API server refused a write.
fn refused(observed: &DeploymentObserved) -> Option<Problem> {
    observed.blocked.iter().find_map(|failure| {
        let (kind, name) = (failure.kind.name(), &failure.name);
        match failure.reason {
            BlockedReason::Clash => {
                let message = format!(
                    "a {kind} named \"{name}\" exists that is not this ModelDeployment's: delete it, or rename the ModelDeployment"
                );
                Some(("NameTaken", message).into())
            }
            BlockedReason::Refused => {
                let message = format!("the API server refused the {kind} \"{name}\": {}", failure.message);
                Some(("WriteRefused", message).into())
            }
            BlockedReason::Unavailable => None,
        }
    })
}

fn desired(child: &Deployment) -> i32 {
    child.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn available(child: &Deployment) -> i32 {
    child.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// True where as many servers as asked for are ready, all of the newest template, and none of an older one is left, as
/// `kubectl rollout status` asks: an old server would otherwise count as available in place of a new one that crashes. Of
/// no servers nothing is known: such a Deployment is never ready.
fn is_ready(child: &Deployment) -> bool {
    let Some(status) = &child.status else { return false };
    desired(child) > 0
        && status.observed_generation >= child.metadata.generation
        && status.updated_replicas.unwrap_or(0) >= desired(child)
        && status.replicas.unwrap_or(0) <= status.updated_replicas.unwrap_or(0)
        && status.available_replicas.unwrap_or(0) >= desired(child)
}

#[cfg(test)]
mod tests;

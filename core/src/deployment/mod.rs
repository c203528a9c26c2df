//! Decides for a ModelDeployment: which version serves, which one is brought up beside it, and when they change places.
//!
//! ```text
//! candidate's Deployment created ──► its servers ready ──► status: it serves ──► Service leads to it ──► old one deleted
//! ```
//! Whatever comes next is decided from what is seen, so that a crash at any arrow only delays it.

mod problem;
mod server;
mod target;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube_core::ResourceExt;
use seatrial_crds::names::{INPUTS_DIGEST_ANNOTATION, VERSION_LABEL};
use seatrial_crds::{ModelDeployment, ModelDeploymentStatus, ModelVersion};

use crate::conditions::{self, Status, types};
use crate::contract::Digest;
use crate::observed::DeploymentObserved;
use crate::plan::{BlockedReason, Event, EventType, Kind, Object, Plan, Stage, Write};

use crate::stores::{self, ResolvedStore};
use crate::{pod_state, validation};
use problem::Problem;
use server::ServerOf;

/// Decides.
pub fn plan(observed: &DeploymentObserved, now: Timestamp) -> Plan<ModelDeploymentStatus> {
    if observed.deployment.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut rollout = Rollout::new(observed, now);
    let served = rollout.served();
    let problems = validation::deployment(&observed.deployment.spec);
    let (candidate, waits) = match target::target(observed, served.as_deref()) {
        // What serves goes on as it is.
        _ if !problems.is_empty() => (None, Some(("InvalidSpec", validation::summary(&problems)))),
        Ok(found) => (found.filter(|version| served.as_ref() != Some(&version.name_any())), None),
        Err(none) => (None, Some((none.reason, none.message))),
    };
    if let Some(served) = &served {
        rollout.ensure_served(served, candidate.is_none() && waits.is_none());
    }
    rollout.promote(served, candidate.map(ResourceExt::name_any));
    // What serves comes first: a candidate that the API server refuses must not stand in its way.
    rollout.ensure_service();
    if let Some(candidate) = candidate {
        rollout.ensure_candidate(candidate);
    }
    rollout.prune();
    rollout.set_conditions(waits);
    rollout.plan()
}

/// A plan in the making.
struct Rollout<'a> {
    observed: &'a DeploymentObserved,
    now: Timestamp,
    status: ModelDeploymentStatus,
    writes: Vec<Write>,
    deletions: Vec<Write>,
    events: Vec<Event>,
    problem: Option<Problem>,
}

impl<'a> Rollout<'a> {
    fn new(observed: &'a DeploymentObserved, now: Timestamp) -> Self {
        let status = observed.deployment.status.clone().unwrap_or_default();
        Self { observed, now, status, writes: vec![], deletions: vec![], events: vec![], problem: refused(observed) }
    }

    fn deployment(&self) -> &'a ModelDeployment {
        &self.observed.deployment
    }

    /// The version in service: as recorded, or, should the record be lost, the one that the Service leads to and that
    /// has a server ready.
    fn served(&self) -> Option<String> {
        self.status.served_version.clone().or_else(|| {
            let service = self.own_service()?;
            let version = service.spec.as_ref()?.selector.as_ref()?.get(VERSION_LABEL)?;
            self.child(version).filter(|child| available(child) > 0).map(|_| version.clone())
        })
    }

    /// Keeps the served version as it is; brings its servers to what people ask for now, unless they are about to be
    /// replaced.
    fn ensure_served(&mut self, name: &str, follow_changes: bool) {
        let version = self.observed.versions.iter().find(|version| version.name_any() == name).cloned();
        match (self.child(name), version) {
            (Some(child), Some(version)) if follow_changes => self.ensure_deployment(&version, Some(child)),
            (Some(child), _) => self.scale(child),
            (None, Some(version)) => self.ensure_deployment(&version, None),
            (None, None) => {
                let message =
                    format!("the servers of {name} are gone, and so is its ModelVersion: name another version");
                self.problem.get_or_insert(("VersionNotFound", message));
            }
        }
    }

    fn ensure_candidate(&mut self, version: &ModelVersion) {
        let child = self.child(&version.name_any());
        self.ensure_deployment(version, child);
    }

    /// Creates a version's Deployment, or gives it a new template where people's inputs changed since it was rendered.
    fn ensure_deployment(&mut self, version: &ModelVersion, child: Option<&Arc<Deployment>>) {
        let (store, artifact) = match self.locate(version) {
            Ok(found) => found,
            // Servers that exist carry what they need: a store that is away is no trouble of theirs.
            Err(problem) => match child {
                Some(child) => return self.scale(child),
                None => {
                    self.problem.get_or_insert(problem);
                    return;
                }
            },
        };
        let platform = &self.observed.platform;
        let server = ServerOf { deployment: self.deployment(), version, store: &store, artifact, platform };
        let Some(child) = child else {
            let built = server.deployment(self.replicas());
            return self.writes.push(Write::Create(Object::Deployment(Box::new(built))));
        };
        if child.annotations().get(INPUTS_DIGEST_ANNOTATION) == Some(&server.inputs_digest()) {
            return self.scale(child);
        }
        let built = server.deployment(self.replicas());
        let mut replacement = child.as_ref().clone();
        replacement.labels_mut().extend(built.labels().clone());
        replacement.annotations_mut().extend(built.annotations().clone());
        replacement.spec = built.spec;
        self.writes.push(Write::Replace(Object::Deployment(Box::new(replacement))));
    }

    fn scale(&mut self, child: &Arc<Deployment>) {
        if desired(child) != self.replicas() {
            let mut replacement = child.as_ref().clone();
            replacement.spec.get_or_insert_default().replicas = Some(self.replicas());
            self.writes.push(Write::Replace(Object::Deployment(Box::new(replacement))));
        }
    }

    /// Where a version's files are.
    fn locate(&self, version: &ModelVersion) -> Result<(ResolvedStore, Digest), Problem> {
        let artifact = &version.spec.artifact;
        let name = version.name_any();
        let digest: Digest =
            artifact.digest.parse().map_err(|error| ("InvalidArtifact", format!("the version {name}: {error}")))?;
        let namespace = self.deployment().namespace().unwrap_or_default();
        let (own, platform) = (&self.observed.stores, &self.observed.platform);
        let store = stores::for_artifact(&artifact.uri, &digest, &namespace, own, platform)
            .map_err(|problem| (problem.reason(), format!("the version {name}: {problem}")))?;
        Ok((store, digest))
    }

    /// Lets a candidate serve once all its servers are ready.
    fn promote(&mut self, served: Option<String>, candidate: Option<String>) {
        let ready = candidate.clone().filter(|name| self.child(name).is_some_and(|child| is_ready(child)));
        if let Some(name) = &ready {
            let message = match &served {
                Some(old) => format!("{name} serves; it took over from {old}"),
                None => format!("{name} serves"),
            };
            self.events.push(Event { kind: EventType::Normal, reason: "Serving", action: "Serve", message });
        }
        (self.status.served_version, self.status.candidate_version) = match ready {
            Some(name) => (Some(name), None),
            None => (served, candidate),
        };
    }

    /// Lets the Service lead to the version that serves; before there is one, to the first candidate.
    fn ensure_service(&mut self) {
        let Some(version) = self.routed_version() else { return };
        let deployment = self.deployment();
        let wanted = server::service(deployment, &version);
        match &self.observed.service {
            None => self.writes.push(Write::Create(Object::Service(Box::new(wanted)))),
            Some(service) if !self.is_ours(service.as_ref()) => {
                let message = format!(
                    "a Service named \"{}\" exists that is not this ModelDeployment's: delete it, or rename the ModelDeployment",
                    service.name_any()
                );
                self.problem.get_or_insert(("NameTaken", message));
            }
            Some(service) if !server::service_matches(service, deployment, &version) => {
                let mut replacement = service.as_ref().clone();
                let spec = replacement.spec.get_or_insert_default();
                let wanted = wanted.spec.unwrap_or_default();
                (spec.selector, spec.ports) = (wanted.selector, wanted.ports);
                self.writes.push(Write::Replace(Object::Service(Box::new(replacement))));
            }
            Some(_) => {}
        }
        let namespace = deployment.namespace().unwrap_or_default();
        self.status.url = Some(format!("http://{}.{namespace}.svc", deployment.name_any()));
        let selector = server::selector(deployment, &version);
        let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.status.selector = Some(selector.join(","));
        let replicas = self.child(&version).and_then(|child| child.status.as_ref()?.replicas);
        self.status.replicas = Some(replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0));
    }

    fn routed_version(&self) -> Option<String> {
        self.status.served_version.clone().or_else(|| self.status.candidate_version.clone())
    }

    /// Deletes the servers of versions that neither serve nor are to serve, once the Service was seen to lead elsewhere.
    fn prune(&mut self) {
        let routed =
            self.own_service().and_then(|service| service.spec.as_ref()?.selector.as_ref()?.get(VERSION_LABEL));
        let kept = |version: &String| {
            [&self.status.served_version, &self.status.candidate_version].contains(&&Some(version.clone()))
        };
        let stray = |child: &&Arc<Deployment>| {
            let version = child.labels().get(VERSION_LABEL);
            let wanted = version.is_some_and(|version| kept(version) || routed == Some(version));
            !wanted && self.is_ours(child.as_ref()) && child.metadata.deletion_timestamp.is_none()
        };
        let delete = |child: &Arc<Deployment>| Write::Delete {
            kind: Kind::Deployment,
            name: child.name_any(),
            uid: child.metadata.uid.clone().unwrap_or_default(),
        };
        let deletions: Vec<Write> = self.observed.children.iter().filter(stray).map(delete).collect();
        self.deletions = deletions;
    }

    /// Says how things stand.
    fn set_conditions(&mut self, waits: Option<Problem>) {
        self.status.observed_generation = self.deployment().metadata.generation;
        let serving = self.status.served_version.clone();
        let child = serving.as_ref().and_then(|version| self.child(version)).cloned();
        let awaited = self.status.candidate_version.clone().or_else(|| serving.clone());
        let found = awaited.as_ref().and_then(|version| self.problem_of(version));
        let problem = self.problem.take().or(found);
        let available = child.as_ref().map_or(0, |child| available(child));
        match &serving {
            Some(version) if available > 0 => {
                self.set_condition(types::AVAILABLE, Status::True, "Serving", format!("{version} serves"));
            }
            Some(_) if self.replicas() == 0 => {
                self.set_condition(types::AVAILABLE, Status::False, "ScaledToZero", "spec.replicas is 0".to_owned());
            }
            Some(version) => {
                self.set_condition(
                    types::AVAILABLE,
                    Status::False,
                    "NoServerReady",
                    format!("no server of {version} is ready"),
                );
            }
            None => {
                self.set_condition(types::AVAILABLE, Status::False, "NotServing", "no version serves yet".to_owned())
            }
        }
        let stands = serving.as_ref().map_or("no version serves yet".to_owned(), |version| format!("{version} serves"));
        let changes = !self.writes.is_empty();
        let settled = child.as_ref().is_some_and(|child| is_ready(child)) && !changes;
        match (problem, waits, &self.status.candidate_version) {
            // What ends by itself, or by the cluster's own doing.
            (Some((reason @ ("Unschedulable" | "StoreNotReady"), message)), ..) => {
                self.set_reconciling(reason, format!("{stands}; {message}"));
            }
            (Some((reason, message)), _, Some(candidate)) => {
                self.set_stalled(reason, format!("{stands}; {candidate} does not: {message}"));
            }
            (Some((reason, message)), ..) => self.set_stalled(reason, message),
            (None, Some((reason @ ("VersionNotFound" | "InvalidSpec"), message)), _) => {
                self.set_stalled(reason, format!("{stands}; {message}"));
            }
            (None, Some((reason, message)), _) => self.set_reconciling(reason, message),
            (None, None, candidate) if self.replicas() == 0 => {
                let message = scaled_to_zero(serving.as_deref(), candidate.as_deref());
                conditions::remove(&mut self.status.conditions, types::RECONCILING);
                conditions::remove(&mut self.status.conditions, types::STALLED);
                self.set_condition(types::READY, Status::False, "ScaledToZero", message);
            }
            (None, None, Some(candidate)) => {
                self.set_reconciling("CandidateStarting", format!("{stands}; {candidate} is being brought up"));
            }
            (None, None, None) if settled => {
                conditions::remove(&mut self.status.conditions, types::RECONCILING);
                conditions::remove(&mut self.status.conditions, types::STALLED);
                self.set_condition(types::READY, Status::True, "Serving", format!("{stands} with {available} servers"));
            }
            (None, None, None) => {
                self.set_reconciling("ServersStarting", format!("{stands}; its servers are being changed"))
            }
        }
    }

    fn problem_of(&self, version: &str) -> Option<Problem> {
        let of_version = |pod: &&Arc<Pod>| pod.labels().get(VERSION_LABEL).is_some_and(|label| label == version);
        let pods = self.observed.pods.iter().filter(of_version).map(AsRef::as_ref);
        let alive = pods.filter(|pod| pod_state::phase(pod) != "Failed");
        let child = self.child(version);
        // Servers that come and go while enough of them are ready are no trouble of the deployment.
        if child.is_some_and(|child| is_ready(child)) { None } else { problem::of(child.map(AsRef::as_ref), alive) }
    }

    fn set_reconciling(&mut self, reason: &str, message: String) {
        conditions::remove(&mut self.status.conditions, types::STALLED);
        self.set_condition(types::RECONCILING, Status::True, reason, message.clone());
        self.set_condition(types::READY, Status::False, reason, message);
    }

    fn set_stalled(&mut self, reason: &str, message: String) {
        let new = !conditions::is(&self.status.conditions, types::STALLED, Status::True);
        if new {
            let event =
                Event { kind: EventType::Warning, reason: "Stalled", action: "Serve", message: message.clone() };
            self.events.push(event);
        }
        conditions::remove(&mut self.status.conditions, types::RECONCILING);
        self.set_condition(types::STALLED, Status::True, reason, message.clone());
        self.set_condition(types::READY, Status::False, reason, message);
    }

    fn set_condition(&mut self, kind: &str, status: Status, reason: &str, message: String) {
        let generation = self.deployment().metadata.generation;
        conditions::set(&mut self.status.conditions, kind, status, reason, message, generation, self.now);
    }

    /// Our Deployment of a version.
    fn child(&self, version: &str) -> Option<&'a Arc<Deployment>> {
        self.observed.children.iter().find(|child| {
            self.is_ours(child.as_ref()) && child.labels().get(VERSION_LABEL).is_some_and(|label| label == version)
        })
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
        Plan { status: changed.then_some(self.status), stages, events: self.events, ..Plan::default() }
            .defer_blocked(&self.observed.blocked, self.now)
    }
}

/// What the API server would not let us write.
fn refused(observed: &DeploymentObserved) -> Option<Problem> {
    observed.blocked.iter().find_map(|failure| {
        let (kind, name) = (failure.kind.name(), &failure.name);
        match failure.reason {
            BlockedReason::Clash => Some((
                "NameTaken",
                format!("a {kind} named \"{name}\" exists that is not this ModelDeployment's: delete it, or rename the ModelDeployment"),
            )),
            BlockedReason::Refused => {
                Some(("WriteRefused", format!("the API server refused the {kind} \"{name}\": {}", failure.message)))
            }
            BlockedReason::Unavailable => None,
        }
    })
}

/// What becomes of the versions once there are servers again. A version without servers was never tried.
fn scaled_to_zero(served: Option<&str>, candidate: Option<&str>) -> String {
    let then = match (served, candidate) {
        (Some(served), Some(candidate)) => {
            format!("once there are servers again, {served} serves, and {candidate} takes over when its own are ready")
        }
        (Some(served), None) => format!("once there are servers again, {served} serves"),
        (None, Some(candidate)) => format!("once there are servers, {candidate} is brought up"),
        (None, None) => "no version serves yet".to_owned(),
    };
    format!("no server runs, since spec.replicas is 0: {then}")
}

fn desired(child: &Deployment) -> i32 {
    child.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn available(child: &Deployment) -> i32 {
    child.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// True where as many servers as asked for are ready, all of the newest template. Of no servers nothing is known: such
/// a Deployment is never ready.
fn is_ready(child: &Deployment) -> bool {
    let Some(status) = &child.status else { return false };
    desired(child) > 0
        && status.observed_generation >= child.metadata.generation
        && status.updated_replicas.unwrap_or(0) >= desired(child)
        && status.available_replicas.unwrap_or(0) >= desired(child)
}

#[cfg(test)]
mod tests;

//! Fills the status of a ModelDeployment: which versions have servers, since when some are starting, and the conditions.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use seatrial_crds::{DeployedRole, DeployedVersion, Time};

use super::problem::{self, Patience, Problem};
use super::served::Served;
use super::{Rollout, available, desired, is_ready, server};
use crate::conditions::{self, Status, types};
use crate::names;
use crate::plan::{Event, EventType};

impl Rollout<'_> {
    /// Sets `status.versions`: the versions that have servers.
    pub(super) fn set_versions(&mut self) {
        let served = self.recorded().map(|served| (served, DeployedRole::Stable, 100));
        // The first candidate gets the requests before it is ready: there is nobody else.
        let weight = if served.is_none() { 100 } else { 0 };
        let candidate = self.candidate.clone().map(|candidate| (candidate, DeployedRole::Candidate, weight));
        let deployed = |(served, role, weight): (Served, DeployedRole, u32)| {
            let child = self.child(&served)?;
            let count = |count: i32| u32::try_from(count).unwrap_or(0);
            let (replicas, ready_replicas) = (count(desired(child)), count(available(child)));
            let Served { version: name, threshold } = served;
            Some(DeployedVersion { name, threshold, role, weight, replicas, ready_replicas })
        };
        let versions: Vec<DeployedVersion> = [served, candidate].into_iter().flatten().filter_map(deployed).collect();
        let routed = self.routed();
        let deployed = routed.as_ref().and_then(|routed| {
            versions.iter().find(|version| version.name == routed.version && version.threshold == routed.threshold)
        });
        self.status.replicas = routed.as_ref().map(|_| deployed.map_or(0, |version| version.replicas));
        self.status.versions = versions;
    }

    /// Sets the conditions.
    pub(super) fn set_conditions(&mut self, waits: Option<(&'static str, String)>) {
        self.status.observed_generation = self.deployment().metadata.generation;
        let serving = self.status.served_version.clone();
        let child = self.recorded().and_then(|served| self.child(&served)).cloned();
        let found = self.awaited().and_then(|awaited| self.problem_of(&awaited));
        let problem = self.problem.take().or(found);
        let timed_out = self.set_clock(waits.is_none());
        let problem = if timed_out { problem.or_else(|| Some(self.not_ready_in_time())) } else { problem };
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
            // A problem that may end without a person.
            (Some(Problem { patience, reason, message }), ..)
                if patience == Patience::Endless || (patience == Patience::UntilTimeout && !timed_out) =>
            {
                self.set_reconciling(reason, format!("{stands}; {message}"));
            }
            (Some(Problem { reason, message, .. }), _, Some(candidate)) => {
                self.set_stalled(reason, format!("{stands}; {candidate} does not: {message}"));
            }
            (Some(Problem { reason, message, .. }), ..) => self.set_stalled(reason, message),
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
                self.set_condition(
                    types::READY,
                    Status::True,
                    "Serving",
                    format!("{stands} with {available} {}", if available == 1 { "server" } else { "servers" }),
                );
            }
            (None, None, None) => {
                self.set_reconciling("ServersStarting", format!("{stands}; its servers are being changed"))
            }
        }
    }

    fn problem_of(&mut self, served: &Served) -> Option<Problem> {
        let is_served = self.recorded().as_ref() == Some(served);
        let child = self.child(served).cloned();
        // While enough servers are ready, a single one that fails is no problem of the deployment.
        if child.as_ref().is_some_and(|child| is_ready(child)) && is_served {
            return None;
        }
        let pods = self.pods_of(served);
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        problem::of(child.as_deref(), &pods).or_else(|| self.probe_problem(&pods))
    }

    /// Keeps the time since which servers are starting. A new pod or a newer version does not begin it again; a change by
    /// people does. Returns whether the servers should have become ready by now.
    fn set_clock(&mut self, has_target: bool) -> bool {
        let child = self.awaited().and_then(|awaited| self.child(&awaited).cloned());
        let starting = self.replicas() > 0
            && has_target
            && child.map_or(self.starts, |child| !is_ready(&child) || self.status.candidate_version.is_some());
        if !starting {
            self.status.starting_since = None;
            return false;
        }
        let now = conditions::whole_seconds(self.now);
        let since = self.status.starting_since.clone().filter(|_| !self.starts_anew).map_or(now, |since| since.0);
        self.status.starting_since = Some(Time(since));
        let timeout = server::start_timeout(self.deployment());
        let remaining = timeout.saturating_sub(Duration::try_from(now.duration_since(since)).unwrap_or_default());
        if !remaining.is_zero() {
            self.look_again_after(remaining);
        }
        remaining.is_zero()
    }

    fn not_ready_in_time(&self) -> Problem {
        let timeout = i64::try_from(server::start_timeout(self.deployment()).as_secs()).unwrap_or(i64::MAX);
        let message = format!(
            "the servers have not become ready within {} (server.startTimeout): look at their logs; raise it where the model takes longer to load",
            names::duration(timeout)
        );
        ("NotReadyInTime", message).into()
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

    pub(super) fn set_condition(&mut self, kind: &str, status: Status, reason: &str, message: String) {
        let generation = self.deployment().metadata.generation;
        conditions::set(&mut self.status.conditions, kind, status, reason, message, generation, self.now);
    }
}

/// The message of a deployment with no replicas: which versions get servers once there are replicas again.
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

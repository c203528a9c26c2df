//! Leader election by a Lease, as client-go does it: of several operators one works, the others wait.
//!
//! Clocks of different machines are never compared. A record counts as expired when it has not *changed* for its
//! duration by this process's own monotonic clock. Every write carries the resourceVersion that was read, so of two
//! that want the lease at once one is refused.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Error};
use seatrial_crds::names::FIELD_MANAGER;
use tokio::time::Instant;

use crate::api_client::{ApiClient, within};
use crate::clock::Clock;

/// How long a lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long a leader tries to renew before it gives up, well before others may take the lease.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The pause between two looks at the lease.
const RETRY: Duration = Duration::from_secs(2);
/// How much longer a process waits that has not seen the holder at work, such as a leader that was killed and started
/// again: a replica that has waited since before is to take over, rather than what may soon be killed once more.
const PRECEDENCE: Duration = Duration::from_secs(4);

/// What to do about a lease that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is ours: renew it.
    Renew,
    /// It is free or expired: take it.
    Take,
    /// Somebody else has it.
    Wait,
}

/// What was last seen of the record, and when it last changed by our own clock.
#[derive(Clone, Debug)]
struct Observation {
    holder: String,
    renewals: Option<MicroTime>,
    transitions: i32,
    changed_at: Instant,
    /// Whether an earlier record was seen, too.
    followed: bool,
}

/// Decides, and notes what was seen.
fn decide(identity: &str, spec: Option<&LeaseSpec>, seen: &mut Option<Observation>, now: Instant) -> Step {
    let Some(spec) = spec else { return Step::Take };
    let holder = spec.holder_identity.clone().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or(0);
    let same = seen.as_ref().is_some_and(|seen| {
        seen.holder == holder && seen.renewals == spec.renew_time && seen.transitions == transitions
    });
    if !same {
        *seen = Some(Observation {
            holder: holder.clone(),
            renewals: spec.renew_time.clone(),
            transitions,
            changed_at: now,
            followed: seen.is_some(),
        });
    }
    let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let promised = promised.map_or(DURATION, Duration::from_secs);
    let followed = seen.as_ref().is_some_and(|seen| seen.followed);
    let patience = promised.saturating_add(if followed { Duration::ZERO } else { PRECEDENCE });
    let unchanged = seen.as_ref().map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen.changed_at));
    match holder.as_str() {
        "" => Step::Take,
        holder if holder == identity => Step::Renew,
        _ if unchanged >= patience => Step::Take,
        _ => Step::Wait,
    }
}

/// A candidate for one lease.
pub(crate) struct Candidate {
    api: Api<Lease>,
    api_client: ApiClient,
    name: String,
    identity: String,
    clock: Clock,
    seen: Option<Observation>,
    /// When the write began that last made the lease ours.
    renewed: Instant,
}

impl Candidate {
    /// `identity` must be this process's alone: a restarted process is another candidate.
    pub(crate) fn new(
        client: Client,
        api_client: ApiClient,
        namespace: &str,
        name: &str,
        identity: &str,
        clock: Clock,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        let (name, identity) = (name.to_owned(), identity.to_owned());
        Self { api, api_client, name, identity, clock, seen: None, renewed: Instant::now() }
    }

    /// Waits until the lease is ours.
    pub(crate) async fn win(&mut self) {
        loop {
            let began = Instant::now();
            match self.attempt(RENEW_DEADLINE).await {
                Ok(true) => {
                    self.renewed = began;
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, lease = self.name, "the lease could not be read or written"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Renews the lease until it is lost; returns then. May be left off and taken up again.
    pub(crate) async fn hold(&mut self) {
        loop {
            let left = RENEW_DEADLINE.saturating_sub(self.renewed.elapsed());
            tokio::time::sleep(RETRY.min(left)).await;
            let left = RENEW_DEADLINE.saturating_sub(self.renewed.elapsed());
            // What began before a renewal must not count as later than it: the time is taken before the write.
            let began = Instant::now();
            match self.attempt(left).await {
                Ok(true) => self.renewed = began,
                Ok(false) => return tracing::error!(lease = self.name, "another process has the lease"),
                Err(error) if self.renewed.elapsed() >= RENEW_DEADLINE => {
                    return tracing::error!(%error, lease = self.name, "the lease could not be renewed in time");
                }
                Err(error) => tracing::warn!(%error, lease = self.name, "the lease could not be renewed; trying again"),
            }
        }
    }

    /// Gives the lease back, so that another takes over at once.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        let Some(mut lease) = within(RENEW_DEADLINE, self.api.get_opt(&self.name)).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        let (name, params) = (&self.name, params());
        self.api_client.write("update", "Lease", RENEW_DEADLINE, self.api.replace(name, &params, &lease)).await?;
        Ok(())
    }

    /// Reads the lease once, and writes it if that is needed, within this time. True where the lease is ours afterwards.
    async fn attempt(&mut self, limit: Duration) -> Result<bool, Error> {
        let began = Instant::now();
        let lease = within(limit, self.api.get_opt(&self.name)).await?;
        let left = limit.saturating_sub(began.elapsed());
        let spec = lease.as_ref().and_then(|lease| lease.spec.as_ref());
        let step = decide(&self.identity, spec, &mut self.seen, Instant::now());
        if step == Step::Wait {
            return Ok(false);
        }
        let now = MicroTime(self.clock.now());
        let written = match lease {
            None => {
                let spec = self.spec(&now, Some(now.clone()), 0);
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(spec) };
                let (api, params) = (&self.api, params());
                self.api_client.write("create", "Lease", left, api.create(&params, &lease)).await
            }
            Some(mut lease) => {
                let old = lease.spec.take().unwrap_or_default();
                let transitions = old.lease_transitions.unwrap_or(0);
                lease.spec = Some(match step {
                    Step::Renew => self.spec(&now, old.acquire_time, transitions),
                    _ => self.spec(&now, Some(now.clone()), transitions.saturating_add(1)),
                });
                let (api, params) = (&self.api, params());
                self.api_client.write("update", "Lease", left, api.replace(&self.name, &params, &lease)).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            // Somebody was faster. A leader reads again in the next round before it believes that it lost.
            Err(Error::Api(status)) if status.code == 409 && step == Step::Take => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, now: &MicroTime, acquired: Option<MicroTime>, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: acquired,
            renew_time: Some(now.clone()),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;

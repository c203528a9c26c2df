//! Faults of the operator itself, made where its requests leave it. Each must be noticed: a simulation that lets one pass
//! looks at too little.

use serde_json::Value;

use crate::api::{Request, Verb};

/// What the operator does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// It writes statuses whatever stands there by now: without the resource version that it observed.
    NoFence,
    /// It creates Jobs without recording them first: a run's status is not written while a step begins.
    NoRecord,
    /// Its Jobs have other names each time.
    NamesByChance,
    /// Its Jobs belong to nobody.
    NoOwner,
    /// What it deletes leaves its children behind.
    OrphanedChildren,
    /// It takes the old servers away though clients are still sent to them.
    ServiceLeftBehind,
    /// It records a step as done as soon as its pod runs.
    DoneTooEarly,
    /// One failure costs two retries.
    RetrySpentTwice,
    /// Its versions have other names each time.
    VersionsByChance,
    /// It never records that a run has ended.
    EndNotRecorded,
    /// It creates Jobs that measure versions without recording them first.
    MeasuringNotRecorded,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoFence,
        Self::NoRecord,
        Self::NamesByChance,
        Self::NoOwner,
        Self::OrphanedChildren,
        Self::ServiceLeftBehind,
        Self::DoneTooEarly,
        Self::RetrySpentTwice,
        Self::VersionsByChance,
        Self::EndNotRecorded,
        Self::MeasuringNotRecorded,
    ];

    /// Does it to a request; `number` says how many writes there were before.
    pub fn rewrite(self, request: &mut Request, number: u64) {
        let Request { key, status, verb, dry_run, .. } = request;
        let remove =
            |object: &mut Value, field: &str| object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
        match (self, key.kind, verb) {
            (Self::NoFence, _, Verb::Replace(object)) if *status => drop(remove(object, "resourceVersion")),
            (Self::NoRecord, "MLPipelineRun", Verb::Replace(object)) if *status && is_running(object) => {
                *dry_run = true
            }
            (Self::NamesByChance, "Job", Verb::Create(object))
            | (Self::VersionsByChance, "ModelVersion", Verb::Create(object)) => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                object["metadata"]["name"] = format!("{name}-{number}").into();
            }
            (Self::NoOwner, "Job", Verb::Create(job)) => drop(remove(job, "ownerReferences")),
            (Self::OrphanedChildren, _, Verb::Delete(how)) => how.propagation = "Orphan".into(),
            (Self::ServiceLeftBehind, "Service", Verb::Replace(_)) => *dry_run = true,
            (Self::DoneTooEarly, "MLPipelineRun", Verb::Replace(object)) if *status => {
                each_step(object, |step| {
                    if step["state"] == "Running" {
                        step["state"] = "Succeeded".into();
                    }
                });
            }
            (Self::RetrySpentTwice, "MLPipelineRun", Verb::Replace(object)) if *status => {
                each_step(object, |step| {
                    if step["attempt"] == 2 {
                        step["attempt"] = 3.into();
                    }
                });
            }
            (Self::EndNotRecorded, "MLPipelineRun", Verb::Replace(object))
                if *status && !object["status"]["finishedAt"].is_null() =>
            {
                *dry_run = true;
            }
            (Self::MeasuringNotRecorded, "ModelVersion", Verb::Replace(object))
                if *status && !object["status"]["measuring"].is_null() =>
            {
                *dry_run = true;
            }
            _ => {}
        }
    }
}

fn each_step(run: &mut Value, change: impl FnMut(&mut Value)) {
    run["status"]["steps"].as_array_mut().into_iter().flatten().for_each(change);
}

fn is_running(run: &Value) -> bool {
    run["status"]["steps"].as_array().is_some_and(|steps| steps.iter().any(|step| step["state"] == "Running"))
}

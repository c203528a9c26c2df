//! The whole operator on a Kubernetes API in memory.
//!
//! [`api`] answers the HTTP requests of a `kube::Client`; [`models`] do what controllers and kubelets do; [`scenario`] says
//! what people do; [`faults`] says which requests fail and how; [`campaign`] plays all of it; [`invariants`] says what must hold all the same. All time
//! is Tokio's paused time, all chance comes from one seed: a seed that failed fails again, with the same trace.
#![allow(clippy::indexing_slicing, reason = "an index into JSON is null where there is nothing")]

pub mod api;
pub mod campaign;
pub mod faults;
pub mod invariants;
pub mod models;
pub mod mutants;
pub mod scenario;
pub mod simulation;
pub mod trace;
pub mod wait;

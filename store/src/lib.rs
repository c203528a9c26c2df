//! The embedded S3 store: a small object store for trying Seatrial out and for small sites.
//!
//! The protocol is a library's; the files are ours. Every namespace has one bucket of its name. Nobody is handed keys:
//! a pod presents its service-account token at the store's own STS endpoint and gets short-lived keys for its
//! namespace's bucket. There is one writer; what it answered with success is on the disk.

pub mod access;
pub mod authority;
pub mod backend;
mod connection;
mod durable;
mod gate;
pub mod health;
pub mod keys;
pub mod limits;
mod listen;
pub mod logging;
pub mod publication;
mod reviewed;
pub mod serve;
mod signatures;
pub mod sts;
mod summed;
#[cfg(feature = "testing")]
pub mod testing;
mod token_error;
pub mod tokens;
pub mod volume;

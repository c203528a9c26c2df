//! Stores: how they are reached, and what their errors mean.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod connector;
pub(crate) mod failure;
pub(crate) mod keys;
pub(crate) mod objects;
pub(crate) mod outage;
pub(crate) mod progress;
pub(crate) mod redirect;
pub(crate) mod refusal;
pub(crate) mod s3;
pub(crate) mod store;
pub(crate) mod web;

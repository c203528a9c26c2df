//! What tells the servers of one version from those of another: the files, and the threshold at which they decide.

use k8s_openapi::api::apps::v1::Deployment;
use kube_core::ResourceExt;
use seatrial_crds::ModelVersion;

use crate::contract::THRESHOLD_VARIABLE;
use crate::pods::SERVER;

/// A version as its servers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The version's name.
    pub(super) version: String,
    /// The threshold that its servers are told, a decimal; `None` where no costs chose one.
    pub(super) threshold: Option<String>,
}

impl Served {
    /// A version as it would be brought up now: with the threshold that the costs of errors choose now. Servers keep the
    /// threshold that they came with, whatever the version is judged to be later.
    pub(super) fn begin(version: &ModelVersion) -> Self {
        Self { version: version.name_any(), threshold: chosen(version) }
    }

    /// The version, and its threshold where it has one.
    pub(super) fn text(&self) -> String {
        match &self.threshold {
            Some(threshold) => format!("{} with the threshold {threshold}", self.version),
            None => self.version.clone(),
        }
    }
}

/// The threshold that the costs of errors choose for a version by now.
pub(super) fn chosen(version: &ModelVersion) -> Option<String> {
    Some(version.status.as_ref()?.threshold.as_ref()?.value.clone())
}

/// The threshold that the servers of a Deployment are told.
pub(super) fn threshold(child: &Deployment) -> Option<String> {
    let pod = child.spec.as_ref()?.template.spec.as_ref()?;
    let server = pod.containers.iter().find(|container| container.name == SERVER)?;
    server.env.iter().flatten().find(|variable| variable.name == THRESHOLD_VARIABLE)?.value.clone()
}

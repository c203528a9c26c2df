//! Which version is a model's champion: the one that the next version is compared with.

use std::sync::Arc;

use kube_core::ResourceExt;
use seatrial_crds::{ModelDeployment, ModelVersion};

use super::newest_passed;
use crate::names;

/// A champion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Champion<'a> {
    /// The version.
    pub(crate) version: &'a ModelVersion,
    /// The score from which it takes somebody for positive: the one that it serves with, else its own.
    pub(crate) threshold: Option<String>,
}

/// The newest version in service, else the newest release that passed; in both cases not the one called `other_than`.
pub(crate) fn champion<'a>(
    model: &str,
    versions: &'a [Arc<ModelVersion>],
    deployments: &[Arc<ModelDeployment>],
    other_than: Option<&str>,
) -> Option<Champion<'a>> {
    let find = |name: &str| versions.iter().map(AsRef::as_ref).find(|version| version.name_any() == name);
    let mut served: Vec<(i64, &str, &str, Option<&str>)> = deployments
        .iter()
        .filter(|deployment| deployment.metadata.deletion_timestamp.is_none())
        .filter_map(|deployment| {
            let status = deployment.status.as_ref()?;
            let version = status.served_version.as_deref().filter(|version| Some(*version) != other_than)?;
            let number = names::version_number(model, version)?;
            Some((-number, deployment.metadata.name.as_deref()?, version, status.served_threshold.as_deref()))
        })
        .collect();
    // The newest; of several places where it serves, the first by name.
    served.sort_unstable();
    let serving = served.into_iter().find_map(|(_, _, version, threshold)| {
        Some(Champion { version: find(version)?, threshold: threshold.map(str::to_owned) })
    });
    serving.or_else(|| {
        let others = versions.iter().map(AsRef::as_ref);
        let others: Vec<&ModelVersion> =
            others.filter(|version| other_than.is_none_or(|other| version.name_any() != other)).collect();
        let version = newest_passed(&others)?;
        let chosen = version.status.as_ref().and_then(|status| status.threshold.as_ref());
        Some(Champion { version, threshold: chosen.map(|threshold| threshold.value.clone()) })
    })
}

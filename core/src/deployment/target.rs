//! Which version a deployment is to serve.

use kube_core::ResourceExt;
use seatrial_crds::{Follow, ModelVersion};

use crate::model::{newest_passed, newest_release};
use crate::names;
use crate::observed::DeploymentObserved;

/// Why there is no version to serve.
pub(super) struct NoTarget {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The version that is to serve. Followers never go back by themselves: a version that serves stays until a newer one
/// may follow it, whatever it is judged to be by now.
pub(super) fn target<'a>(
    observed: &'a DeploymentObserved,
    served: Option<&str>,
) -> Result<Option<&'a ModelVersion>, NoTarget> {
    let spec = &observed.deployment.spec;
    let versions: Vec<&ModelVersion> = observed.versions.iter().map(AsRef::as_ref).collect();
    if let Some(name) = &spec.version {
        let found = versions.into_iter().find(|version| &version.name_any() == name);
        return found.map(Some).ok_or_else(|| NoTarget {
            reason: "VersionNotFound",
            message: format!(
                "there is no ModelVersion \"{name}\" in this namespace: name another, or follow the model"
            ),
        });
    }
    let follow = spec.follow.unwrap_or_default();
    let found = match follow {
        Follow::Passed => newest_passed(&versions),
        Follow::Newest => newest_release(&versions),
    };
    let served_number = served.and_then(|name| names::version_number(&spec.model, name));
    match (found, served_number) {
        (Some(version), Some(number)) if version.spec.number < number => Ok(None),
        (Some(version), _) => Ok(Some(version)),
        (None, Some(_)) => Ok(None),
        (None, None) => Err(nothing_to_follow(observed, follow, &versions)),
    }
}

fn nothing_to_follow(observed: &DeploymentObserved, follow: Follow, versions: &[&ModelVersion]) -> NoTarget {
    let model = &observed.deployment.spec.model;
    let (reason, message) = match (follow, newest_release(versions)) {
        (_, None) if observed.model.is_none() => (
            "ModelNotFound",
            format!(
                "there is neither a Model \"{model}\" nor a version of it in this namespace: apply an MLPipeline that publishes it, or correct spec.model"
            ),
        ),
        (_, None) => (
            "NoVersion",
            format!(
                "the model \"{model}\" has no released version yet: one appears when a pipeline that publishes it has run"
            ),
        ),
        (Follow::Passed, Some(newest)) if observed.model.is_none() => (
            "ModelNotFound",
            format!(
                "no version of \"{model}\" can pass since there is no Model \"{model}\": create it with gates, or set follow: Newest to serve {} unjudged",
                newest.name_any()
            ),
        ),
        (_, Some(newest)) => (
            "NoPassedVersion",
            format!(
                "no version of \"{model}\" has passed yet; the newest is {}: kubectl describe modelversion {} says how it was judged",
                newest.name_any(),
                newest.name_any()
            ),
        ),
    };
    NoTarget { reason, message }
}

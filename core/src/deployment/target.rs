//! Which version a deployment is to serve.

use kube_core::ResourceExt;
use seatrial_crds::{Follow, ModelVersion};

use crate::authority::{Authority, Standing};
use crate::model::{newest, newest_release, passes};
use crate::names;
use crate::observed::DeploymentObserved;

/// What a deployment is to serve.
#[derive(Default)]
pub(super) struct Target<'a> {
    /// The version; `None` where what serves goes on.
    pub(super) version: Option<&'a ModelVersion>,
    /// The version that was asked for and that the Model refuses, if there is one.
    pub(super) refused: Option<Refusal>,
}

/// A version that was asked for, and that its Model does not let through.
pub(super) struct Refusal {
    pub(super) version: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Why there is no version to serve.
pub(super) struct NoTarget {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The version that is to serve. Followers never go back by themselves: a version that serves stays until a newer one
/// may follow it, whatever it is judged to be by now.
pub(super) fn target<'a>(
    observed: &'a DeploymentObserved,
    authority: &Authority<'_>,
    served: Option<&str>,
) -> Result<Target<'a>, NoTarget> {
    let spec = &observed.deployment.spec;
    let versions: Vec<&ModelVersion> = observed.versions.iter().map(AsRef::as_ref).collect();
    let serves = |version: &ModelVersion| served == Some(version.name_any().as_str());
    let permitted = |version: &ModelVersion| serves(version) || authority.permits(version);
    if let Some(name) = &spec.version {
        let found = versions.into_iter().find(|version| &version.name_any() == name).ok_or_else(|| NoTarget {
            reason: "VersionNotFound",
            message: format!(
                "there is no ModelVersion \"{name}\" in this namespace: name another, or follow the model"
            ),
        })?;
        if permitted(found) {
            return Ok(Target { version: Some(found), refused: None });
        }
        return refuse(authority, found, served).map(|refused| Target { version: None, refused });
    }
    let follow = spec.follow.unwrap_or_default();
    let found = match follow {
        Follow::Passed => newest(&versions, |version| passes(version) && permitted(version)),
        Follow::Newest => newest(&versions, permitted),
    };
    let served_number = served.and_then(|name| names::version_number(&spec.model, name));
    let version = match (found, served_number) {
        (Some(version), Some(number)) if version.spec.number < number => None,
        (Some(version), _) => Some(version),
        (None, Some(_)) => None,
        (None, None) => return Err(nothing_to_follow(observed, authority, follow, &versions)),
    };
    // A follower of `Passed` did not ask for versions that failed. And a version that is still being judged needs no message
    // where another one serves.
    let newest = newest_release(&versions).filter(|_| follow == Follow::Newest);
    let newest = newest.filter(|newest| {
        let is_newer = |number| newest.spec.number > number;
        !permitted(newest)
            && served_number.is_none_or(is_newer)
            && version.is_none_or(|version| is_newer(version.spec.number))
            && !matches!(authority.standing(newest), Standing::Open(_))
    });
    let refused = newest.map(|newest| refusal(authority, newest));
    Ok(Target { version, refused })
}

/// The message about a version that was named and that the Model refuses, where nothing serves.
fn refuse(
    authority: &Authority<'_>,
    version: &ModelVersion,
    served: Option<&str>,
) -> Result<Option<Refusal>, NoTarget> {
    let Refusal { version, reason, message } = refusal(authority, version);
    if served.is_some() {
        return Ok(Some(Refusal { version, reason, message }));
    }
    Err(NoTarget { reason, message: format!("{version} is refused: {message}") })
}

fn refusal(authority: &Authority<'_>, version: &ModelVersion) -> Refusal {
    let (reason, message) = match authority.standing(version) {
        Standing::Open(message) => ("VersionNotJudged", message),
        Standing::Fails(message) => ("VersionRefused", message),
        Standing::Held(message) => ("VersionHeld", message),
        // These are let through.
        Standing::Passes | Standing::Waived | Standing::NobodyJudges => ("VersionNotJudged", String::new()),
    };
    Refusal { version: version.name_any(), reason, message }
}

fn nothing_to_follow(
    observed: &DeploymentObserved,
    authority: &Authority<'_>,
    follow: Follow,
    versions: &[&ModelVersion],
) -> NoTarget {
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
        (Follow::Newest, Some(newest)) => {
            let Refusal { version, reason, message } = refusal(authority, newest);
            (reason, format!("{version} is refused: {message}"))
        }
        (Follow::Passed, Some(newest)) if !authority.has_judged() => (
            "ModelNotFound",
            format!(
                "no version of \"{model}\" can pass since there is no Model \"{model}\": create it with gates, or set follow: Newest to serve {} unjudged",
                newest.name_any()
            ),
        ),
        (Follow::Passed, Some(_)) if observed.model.is_none() => (
            "ModelNotFound",
            format!("the Model \"{model}\", which judged the versions of \"{model}\", is gone: create it again"),
        ),
        (Follow::Passed, Some(newest)) => (
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

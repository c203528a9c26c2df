//! What the platform team configured: the chart's values, as far as decisions need them.

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde::{Deserialize, Serialize};

/// The operator's settings, read once from its config file (YAML or JSON), but for the certificate authority, which
/// the store publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// The image of the agent's containers. Runs and servers pin it: a new one affects new pods only.
    pub agent_image: String,
    /// When the agent's image is pulled: Always, IfNotPresent (the default) or Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_image_pull_policy: Option<String>,
    /// Secrets to pull the agent's image with; they must exist in the namespaces of the pods.
    #[serde(default)]
    pub agent_image_pull_secrets: Vec<String>,
    /// Requests and limits of the agent's containers.
    #[serde(default)]
    pub agent_resources: ResourceRequirements,
    /// Further environment variables of the agent's containers: HTTP proxy settings.
    #[serde(default)]
    pub agent_env: Vec<PlainVariable>,
    /// Certificate authorities (PEM) that agents trust besides the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_authorities: Option<String>,
    /// The store for namespaces that have none of their own named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_store: Option<DefaultStore>,
    /// Prefixes of URIs that every namespace may read anonymously, without a Store.
    #[serde(default)]
    pub readable_prefixes: Vec<String>,
    /// Whether user containers must run as another user than root. True fits namespaces of Pod Security level
    /// `restricted`; false allows images that run as root.
    #[serde(default = "yes")]
    pub run_as_non_root: bool,
    /// The user of the agent's containers; absent: the platform's choice, as on OpenShift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_run_as_user: Option<i64>,
    /// The group of the agent's containers; absent: the platform's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_run_as_group: Option<i64>,
    /// Whether the container `seatrial-publish` has a readiness probe, which fails while the store is away.
    #[serde(default)]
    pub agent_readiness_probe: bool,
    /// The judge, which measures predictions; absent: there is none, and gates that need a measurement have the verdict
    /// `Error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
    /// The name of the ValidatingAdmissionPolicy that proves who writes Approvals, and of its binding; absent: nothing does,
    /// and no Approval counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<String>,
    /// How long a Job and its pods are kept after they ended, in seconds. An operator that is away for longer finds what a
    /// step made in the store; a step that failed, or has no outputs, is run again then.
    /// Absent: as long as their run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u32>,
}

impl Platform {
    /// How long a Job is kept after it ended, as its spec has it.
    pub(crate) fn ttl(&self) -> Option<i32> {
        self.ttl_seconds_after_finished.and_then(|seconds| i32::try_from(seconds).ok())
    }
}

/// What measures predictions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judge {
    /// The image of the judge's container.
    pub image: String,
    /// Its requests and limits.
    #[serde(default)]
    pub resources: ResourceRequirements,
}

/// A literal environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlainVariable {
    /// Its name.
    pub name: String,
    /// Its value, as it is to arrive.
    pub value: String,
}

/// The embedded store, or another that speaks its STS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultStore {
    /// The endpoint's URL, `https`, for S3 and STS.
    pub endpoint: String,
    /// The audience of the projected tokens.
    pub audience: String,
    /// The authority that signed the endpoint's certificate, as PEM. Where the store publishes it, the operator fills
    /// it in from the store's ConfigMap; until then nothing that needs the store is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// Whether the endpoint publishes its authority itself, as the embedded store does. False: an absent authority
    /// means that the public ones are trusted.
    #[serde(default)]
    pub authority_is_published: bool,
}

#[cfg(test)]
impl DefaultStore {
    /// One that tests use.
    pub(crate) fn example() -> Self {
        Self {
            endpoint: "https://store".into(),
            audience: "seatrial-store".into(),
            certificate_authority: Some("pem".into()),
            authority_is_published: true,
        }
    }
}

const fn yes() -> bool {
    true
}

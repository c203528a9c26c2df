//! What is reconciled: the objects that people write, and those that are judged.

use std::fmt;

use kube::ResourceExt;
use seatrial_crds::names::TRUST_BUNDLE;

/// The kinds of what has a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Primary {
    Pipeline,
    Run,
    Model,
    Version,
    Deployment,
    Contract,
    Store,
    /// The trust bundle of a namespace, which no object of people's stands for.
    TrustBundle,
}

impl Primary {
    /// The kind's name in the API, as logs and metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "MLPipeline",
            Self::Run => "MLPipelineRun",
            Self::Model => "Model",
            Self::Version => "ModelVersion",
            Self::Deployment => "ModelDeployment",
            Self::Contract => "DataContract",
            Self::Store => "Store",
            Self::TrustBundle => "ConfigMap",
        }
    }
}

/// One object to be reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub(crate) kind: Primary,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub(crate) fn of(kind: Primary, object: &impl ResourceExt) -> Self {
        Self::beside(kind, object, &object.name_any())
    }

    /// The key of the trust bundle of a namespace.
    pub(crate) fn trust_bundle(namespace: &str) -> Self {
        Self { kind: Primary::TrustBundle, namespace: namespace.to_owned(), name: TRUST_BUNDLE.to_owned() }
    }

    /// The key of something else in an object's namespace.
    pub(crate) fn beside(kind: Primary, object: &impl ResourceExt, name: &str) -> Self {
        Self { kind, namespace: object.namespace().unwrap_or_default(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

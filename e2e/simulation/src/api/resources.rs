//! The kinds that the API knows: a row for each.

/// A kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether `status` is a subresource: a write of the object leaves it as it is.
    pub has_status: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub has_generation: bool,
}

const fn row(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    has_status: bool,
    has_generation: bool,
) -> Resource {
    Resource { group, version, kind, plural, namespaced: true, has_status, has_generation }
}

const fn own(kind: &'static str, plural: &'static str, has_status: bool) -> Resource {
    row("seatrial.dev", "v1alpha1", kind, plural, has_status, true)
}

const fn in_cluster(kind: &'static str, plural: &'static str, has_status: bool) -> Resource {
    Resource { namespaced: false, ..row("admissionregistration.k8s.io", "v1", kind, plural, has_status, true) }
}

/// All kinds.
pub static RESOURCES: &[Resource] = &[
    Resource { namespaced: false, ..row("", "v1", "Namespace", "namespaces", true, false) },
    in_cluster("ValidatingAdmissionPolicy", "validatingadmissionpolicies", true),
    in_cluster("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
    row("", "v1", "ConfigMap", "configmaps", false, false),
    row("", "v1", "Pod", "pods", true, true),
    row("", "v1", "Service", "services", true, false),
    row("", "v1", "Event", "events", false, false),
    row("events.k8s.io", "v1", "Event", "events", false, false),
    row("apps", "v1", "Deployment", "deployments", true, true),
    row("apps", "v1", "ReplicaSet", "replicasets", true, true),
    row("apps", "v1", "ControllerRevision", "controllerrevisions", false, false),
    row("batch", "v1", "Job", "jobs", true, true),
    row("coordination.k8s.io", "v1", "Lease", "leases", false, false),
    own("MLPipeline", "mlpipelines", true),
    own("MLPipelineRun", "mlpipelineruns", true),
    own("Model", "models", true),
    own("ModelVersion", "modelversions", true),
    own("ModelDeployment", "modeldeployments", true),
    own("Approval", "approvals", false),
    own("DataContract", "datacontracts", true),
    own("Store", "stores", true),
];

impl Resource {
    /// What `apiVersion` says.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name in messages, such as `jobs.batch`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// The resource of a group, version and plural.
pub(super) fn by_path(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|row| (row.group, row.version, row.plural) == (group, version, plural))
}

/// The resource of a kind; for `Event` the one of `events.k8s.io`.
pub fn by_kind(kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().rev().find(|row| row.kind == kind)
}

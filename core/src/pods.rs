//! What the pods of steps and of model servers have in common.
//!
//! Users choose from an allow-list ([`seatrial_crds::WorkloadOptions`]); everything here fits namespaces of Pod Security
//! level `restricted` (as long as images do not insist on root). Store access goes into the agent's containers alone.

mod access;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar, EnvVarSource, LocalObjectReference,
    ObjectFieldSelector, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use seatrial_crds::names::{MANAGED_BY, MANAGED_BY_LABEL};
use seatrial_crds::{ObjectMetadata, PodOptions, Resources, WorkloadOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contract::check::CheckConfig;
use crate::contract::{CONFIG_VARIABLE, paths};
use crate::platform::{Judge, Platform};
use crate::stores::ResolvedStore;

/// The container that brings the inputs.
pub const FETCH: &str = "seatrial-fetch";
/// The container that uploads the outputs.
pub const PUBLISH: &str = "seatrial-publish";
/// The container that asks the store for a record.
pub const RECOVER: &str = "seatrial-recover";
/// The container that measures a version's predictions.
pub const JUDGE: &str = "seatrial-judge";
/// The container that checks inputs by their contracts.
pub const CHECK: &str = "seatrial-check";
/// The container that decides by what was found whether a step's command starts.
pub const ADMIT: &str = "seatrial-admit";
/// The container that says what a check on a contract's own schedule found.
pub const REPORT: &str = "seatrial-report";
/// The container of a step's command.
pub const STEP: &str = "step";
/// The container of a model server.
pub const SERVER: &str = "server";

/// How long `fetch` waits an outage out by itself, in seconds, or as long as it has worked, if that is longer: then the
/// pod ends and says so, and the Job tries again.
pub(crate) const FETCH_OUTAGE: u32 = 120;

/// The volume that the containers of a pod share.
const SHARED_VOLUME: &str = "seatrial";
/// The volume that the agent's containers share among themselves: the user's code never sees it.
const PRIVATE_VOLUME: &str = "seatrial-private";
/// The volume for reports about checked data: no container of the user's has it.
const CHECKS_VOLUME: &str = "seatrial-checks";
/// What that volume may hold before the kubelet evicts the pod: twice the disk that a check allows itself
/// ([`crate::contract::check::CheckLimits`]), since it looks at it only now and then, and the reports. Temporary files have no names:
/// a kubelet that does not count by quotas of the file system does not see them.
const CHECKS_SIZE: &str = "9Gi";
/// The volume behind `/dev/shm`, where a user asked for a size.
const SHARED_MEMORY_VOLUME: &str = "seatrial-shared-memory";

/// A literal value as it must be written to arrive literally: the kubelet expands `$(NAME)` in values, too, which
/// would read other variables, secrets among them; a doubled `$` stands for one.
pub fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

/// An environment variable with a literal value.
pub fn variable(name: impl Into<String>, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(literal(value)), ..EnvVar::default() }
}

/// The options of a step's or server's container and pod: the first wins over the second. Variables, volumes and mounts
/// win by name, maps by key, everything else whole.
pub fn merge(own: &WorkloadOptions, shared: &WorkloadOptions) -> WorkloadOptions {
    let first = |own: &Option<String>, shared: &Option<String>| own.clone().or_else(|| shared.clone());
    WorkloadOptions {
        image: first(&own.image, &shared.image),
        env: merge_lists(&own.env, &shared.env, |variable| &variable.name),
        env_from: if own.env_from.is_empty() { shared } else { own }.env_from.clone(),
        resources: own.resources.clone().or_else(|| shared.resources.clone()),
        pod: merge_pods(&own.pod, &shared.pod),
    }
}

fn merge_pods(own: &PodOptions, shared: &PodOptions) -> PodOptions {
    fn first<T: Clone>(own: &Option<T>, shared: &Option<T>) -> Option<T> {
        own.clone().or_else(|| shared.clone())
    }
    fn list<T: Clone>(own: &[T], shared: &[T]) -> Vec<T> {
        if own.is_empty() { shared } else { own }.to_vec()
    }
    PodOptions {
        labels: merge_maps(&own.labels, &shared.labels),
        annotations: merge_maps(&own.annotations, &shared.annotations),
        node_selector: merge_maps(&own.node_selector, &shared.node_selector),
        tolerations: list(&own.tolerations, &shared.tolerations),
        affinity: first(&own.affinity, &shared.affinity),
        topology_spread_constraints: list(&own.topology_spread_constraints, &shared.topology_spread_constraints),
        priority_class_name: first(&own.priority_class_name, &shared.priority_class_name),
        runtime_class_name: first(&own.runtime_class_name, &shared.runtime_class_name),
        scheduler_name: first(&own.scheduler_name, &shared.scheduler_name),
        service_account_name: first(&own.service_account_name, &shared.service_account_name),
        image_pull_secrets: list(&own.image_pull_secrets, &shared.image_pull_secrets),
        volumes: merge_lists(&own.volumes, &shared.volumes, |volume| &volume.name),
        volume_mounts: merge_lists(&own.volume_mounts, &shared.volume_mounts, |mount| &mount.mount_path),
        shared_memory: first(&own.shared_memory, &shared.shared_memory),
        security_context: first(&own.security_context, &shared.security_context),
    }
}

/// Labels and annotations of an object that the operator makes: the first win over the second.
pub fn merge_metadata(own: Option<&ObjectMetadata>, shared: Option<&ObjectMetadata>) -> ObjectMetadata {
    let (own, shared) = (own.cloned().unwrap_or_default(), shared.cloned().unwrap_or_default());
    ObjectMetadata {
        labels: merge_maps(&own.labels, &shared.labels),
        annotations: merge_maps(&own.annotations, &shared.annotations),
    }
}

fn merge_maps(own: &BTreeMap<String, String>, shared: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut merged = shared.clone();
    merged.extend(own.clone());
    merged
}

fn merge_lists<T: Clone>(own: &[T], shared: &[T], key: impl Fn(&T) -> &String) -> Vec<T> {
    let mut merged = shared.to_vec();
    merged.retain(|theirs| own.iter().all(|ours| key(ours) != key(theirs)));
    merged.extend(own.iter().cloned());
    merged
}

/// What of ours has Kubernetes' own shape, as Kubernetes has it. A field that it does not know cannot be lost: the types
/// of the API are an allow-list of its fields, and a test compares them.
fn kubernetes<T: Serialize, K: DeserializeOwned + Default>(own: &T) -> K {
    serde_json::to_value(own).and_then(serde_json::from_value).unwrap_or_default()
}

/// The user's variables, as a container has them.
pub fn user_variables(options: &WorkloadOptions) -> Vec<EnvVar> {
    let convert = |variable: &seatrial_crds::EnvVar| EnvVar {
        value: variable.value.as_deref().map(literal),
        ..kubernetes(variable)
    };
    options.env.iter().map(convert).collect()
}

/// The ConfigMaps and Secrets whose keys are variables of the user's container.
pub fn user_variable_sources(options: &WorkloadOptions) -> Option<Vec<EnvFromSource>> {
    some_unless_empty(options.env_from.iter().map(kubernetes).collect())
}

/// The names of the user's variables whose values come from Secrets.
pub fn secret_variables(options: &WorkloadOptions) -> Vec<String> {
    let is_secret = |variable: &&seatrial_crds::EnvVar| {
        variable.value_from.as_ref().is_some_and(|source| source.secret_key_ref.is_some())
    };
    options.env.iter().filter(is_secret).map(|variable| variable.name.clone()).collect()
}

/// Whether all keys of some Secret are variables of the user's container, whose names nobody knows here.
pub fn has_secret_environment(options: &WorkloadOptions) -> bool {
    options.env_from.iter().any(|source| source.secret_ref.is_some())
}

/// Where Secrets are mounted into the user's container.
pub fn secret_mounts(options: &WorkloadOptions) -> Vec<String> {
    let secret = |name: &str| options.pod.volumes.iter().any(|volume| volume.name == name && volume.secret.is_some());
    let mounts = options.pod.volume_mounts.iter().filter(|mount| secret(&mount.name));
    mounts.map(|mount| mount.mount_path.clone()).collect()
}

/// Whether the user's container is given a Secret, as variables or as files.
pub fn has_secrets(options: &WorkloadOptions) -> bool {
    !secret_mounts(options).is_empty() || has_secret_environment(options) || !secret_variables(options).is_empty()
}

/// The mounts of the user's container beside those of Seatrial.
pub fn user_mounts(options: &WorkloadOptions) -> Vec<VolumeMount> {
    let mut mounts: Vec<VolumeMount> = options.pod.volume_mounts.iter().map(kubernetes).collect();
    if options.pod.shared_memory.is_some() {
        mounts.push(VolumeMount {
            name: SHARED_MEMORY_VOLUME.into(),
            mount_path: "/dev/shm".into(),
            ..VolumeMount::default()
        });
    }
    mounts
}

fn user_volumes(options: &WorkloadOptions) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = options.pod.volumes.iter().map(kubernetes).collect();
    if let Some(size) = &options.pod.shared_memory {
        let memory = EmptyDirVolumeSource { medium: Some("Memory".into()), size_limit: Some(size.clone()) };
        volumes.push(Volume { name: SHARED_MEMORY_VOLUME.into(), empty_dir: Some(memory), ..Volume::default() });
    }
    volumes
}

/// The labels of a pod: the user's, and over them ours.
pub fn labels(options: &WorkloadOptions, ours: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = options.pod.labels.clone();
    labels.extend(ours.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

/// The annotations of a pod.
pub fn annotations(options: &WorkloadOptions) -> Option<BTreeMap<String, String>> {
    (!options.pod.annotations.is_empty()).then(|| options.pod.annotations.clone())
}

/// The security context of a container with user code: no capabilities, and no way to gain privileges.
/// Users may set a few fields, none of which names a capability, a privilege or a seccomp profile.
pub fn user_security(options: &WorkloadOptions, platform: &Platform) -> SecurityContext {
    let own = options.pod.security_context.clone().unwrap_or_default();
    SecurityContext {
        // Where the platform demands it, it stands on the pod.
        run_as_non_root: (!platform.run_as_non_root && own.run_as_non_root == Some(true)).then_some(true),
        run_as_user: own.run_as_user,
        run_as_group: own.run_as_group,
        read_only_root_filesystem: own.read_only_root_filesystem,
        ..restricted()
    }
}

/// What is equal for all containers of a pod, and what concerns its volumes.
pub fn pod_security(options: &WorkloadOptions, platform: &Platform) -> PodSecurityContext {
    let own = options.pod.security_context.clone().unwrap_or_default();
    PodSecurityContext {
        run_as_non_root: platform.run_as_non_root.then_some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..SeccompProfile::default() }),
        fs_group: own.fs_group,
        supplemental_groups: some_unless_empty(own.supplemental_groups),
        ..PodSecurityContext::default()
    }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
        ..SecurityContext::default()
    }
}

/// The variable that tells a container of the agent what to do.
pub fn config_variable<C: Serialize>(config: &C) -> EnvVar {
    variable(CONFIG_VARIABLE, &serde_json::to_string(config).unwrap_or_default())
}

/// The variable that tells `publish` which pod it is in.
pub fn pod_uid_variable() -> EnvVar {
    let field = ObjectFieldSelector { field_path: "metadata.uid".into(), ..ObjectFieldSelector::default() };
    EnvVar {
        name: paths::POD_UID_VARIABLE.into(),
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
        ..EnvVar::default()
    }
}

/// A container of the agent, with access to `stores`, and nothing of the user's.
pub fn agent_container(
    name: &str,
    command: &str,
    mut env: Vec<EnvVar>,
    stores: &[ResolvedStore],
    image: &str,
    platform: &Platform,
) -> Container {
    env.extend(platform.agent_env.iter().map(|plain| variable(&plain.name, &plain.value)));
    let mut mounts = vec![shared_mount(), private_mount()];
    mounts.extend(access::mounts(stores));
    Container {
        name: name.into(),
        image: Some(image.to_owned()),
        image_pull_policy: platform.agent_image_pull_policy.clone(),
        // The program itself and not the image's entrypoint, so that a mirror that rewrites images changes nothing.
        command: Some(vec!["/seatrial-agent".into(), command.into()]),
        env: Some(env),
        resources: Some(platform.agent_resources.clone()),
        security_context: Some(agent_security(platform)),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The container that checks inputs: it has the shared volume for reading, no access to any store, and no token.
pub fn check_container(config: &CheckConfig, judge: &Judge, platform: &Platform) -> Container {
    Container {
        name: CHECK.into(),
        image: Some(judge.image.clone()),
        image_pull_policy: platform.agent_image_pull_policy.clone(),
        command: Some(vec!["/seatrial-evidence".into(), "check".into()]),
        env: Some(vec![config_variable(config)]),
        resources: Some(judge.resources.clone()),
        security_context: Some(agent_security(platform)),
        volume_mounts: Some(vec![VolumeMount { read_only: Some(true), ..shared_mount() }, checks_mount()]),
        ..Container::default()
    }
}

/// A container that reads the reports about checked data.
pub fn with_reports(mut container: Container) -> Container {
    let mount = VolumeMount { read_only: Some(true), ..checks_mount() };
    container.volume_mounts.get_or_insert_default().push(mount);
    container
}

/// A pod that has the volume for such reports.
pub fn with_reports_volume(mut pod: PodSpec, has_checks: bool) -> PodSpec {
    if has_checks {
        let size_limit = Some(Quantity(CHECKS_SIZE.into()));
        let empty_dir = Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() });
        let volume = Volume { name: CHECKS_VOLUME.into(), empty_dir, ..Volume::default() };
        pod.volumes.get_or_insert_default().push(volume);
    }
    pod
}

fn checks_mount() -> VolumeMount {
    VolumeMount { name: CHECKS_VOLUME.into(), mount_path: paths::CHECKS.into(), ..VolumeMount::default() }
}

/// What a container of ours may do.
pub fn agent_security(platform: &Platform) -> SecurityContext {
    SecurityContext {
        run_as_non_root: (!platform.run_as_non_root).then_some(true),
        run_as_user: platform.agent_run_as_user,
        run_as_group: platform.agent_run_as_group,
        read_only_root_filesystem: Some(true),
        ..restricted()
    }
}

/// The mount of the volume that the containers of a pod share.
pub fn shared_mount() -> VolumeMount {
    VolumeMount { name: SHARED_VOLUME.into(), mount_path: paths::ROOT.into(), ..VolumeMount::default() }
}

/// The mount of the volume that the agent's containers share among themselves.
fn private_mount() -> VolumeMount {
    VolumeMount { name: PRIVATE_VOLUME.into(), mount_path: paths::PRIVATE.into(), ..VolumeMount::default() }
}

/// The mount of the model alone, read-only, for a model server.
pub fn model_mount() -> VolumeMount {
    VolumeMount {
        name: SHARED_VOLUME.into(),
        mount_path: paths::MODEL.into(),
        sub_path: Some("model".into()),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// A pod spec with these containers, and all that does not depend on them.
pub fn pod_spec(
    options: &WorkloadOptions,
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    stores: &[ResolvedStore],
    platform: &Platform,
) -> PodSpec {
    let pod = &options.pod;
    let empty_dir = |name: &str| Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![empty_dir(SHARED_VOLUME), empty_dir(PRIVATE_VOLUME)];
    volumes.extend(access::volumes(stores));
    volumes.extend(user_volumes(options));
    let mut pull_secrets: Vec<String> = pod.image_pull_secrets.iter().map(|reference| reference.name.clone()).collect();
    pull_secrets.extend(platform.agent_image_pull_secrets.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    pull_secrets.retain(|name| seen.insert(name.clone()));
    PodSpec {
        init_containers: some_unless_empty(init_containers),
        containers,
        volumes: some_unless_empty(volumes),
        node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
        tolerations: some_unless_empty(pod.tolerations.iter().map(kubernetes).collect()),
        service_account_name: pod.service_account_name.clone(),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: some_unless_empty(
            pull_secrets.into_iter().map(|name| LocalObjectReference { name }).collect(),
        ),
        affinity: pod.affinity.as_ref().map(kubernetes),
        topology_spread_constraints: some_unless_empty(
            pod.topology_spread_constraints.iter().map(kubernetes).collect(),
        ),
        priority_class_name: pod.priority_class_name.clone(),
        runtime_class_name: pod.runtime_class_name.clone(),
        scheduler_name: pod.scheduler_name.clone(),
        security_context: Some(pod_security(options, platform)),
        ..PodSpec::default()
    }
}

/// The user's requests and limits, as a container has them.
pub fn resources(options: &WorkloadOptions) -> Option<ResourceRequirements> {
    let Resources { requests, limits } = options.resources.clone()?;
    Some(ResourceRequirements {
        requests: (!requests.is_empty()).then_some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    })
}

fn some_unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(pairs: &[(&str, &str)]) -> WorkloadOptions {
        let convert = |(name, value): &(&str, &str)| seatrial_crds::EnvVar {
            name: (*name).into(),
            value: Some((*value).into()),
            value_from: None,
        };
        WorkloadOptions { env: pairs.iter().map(convert).collect(), ..WorkloadOptions::default() }
    }

    #[test]
    fn no_check_within_its_bounds_is_evicted() {
        let disk = crate::contract::check::CheckLimits::default().disk;
        assert_eq!(CHECKS_SIZE, format!("{}Gi", ((2 * disk) >> 30) + 1));
    }

    #[test]
    fn a_dollar_in_a_users_value_arrives_as_it_stands() {
        let variables = user_variables(&with_env(&[("A", "$(DB_PASSWORD) $$ $x")]));
        assert_eq!(variables[0].value.as_deref(), Some("$$(DB_PASSWORD) $$$$ $$x"));
    }

    #[test]
    fn the_step_wins_over_the_pipeline_variable_by_variable() {
        let merged = merge(&with_env(&[("A", "step")]), &with_env(&[("A", "pipeline"), ("B", "pipeline")]));
        let pairs: Vec<_> = merged.env.iter().map(|v| (v.name.as_str(), v.value.as_deref().unwrap())).collect();
        assert_eq!(pairs, [("B", "pipeline"), ("A", "step")]);
    }
}

#[cfg(test)]
mod options_tests;

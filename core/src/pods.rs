//! What the pods of steps and of model servers have in common.
//!
//! Users choose from an allow-list ([`seatrial_crds::PodOptions`]); everything here fits namespaces of Pod Security
//! level `restricted` (as long as images do not insist on root). Store access goes into the agent's containers alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, LocalObjectReference, PodSpec,
    ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretKeySelector, SecurityContext,
    ServiceAccountTokenProjection, Toleration, Volume, VolumeMount, VolumeProjection,
};
use seatrial_crds::names::{MANAGED_BY, MANAGED_BY_LABEL};
use seatrial_crds::{PodOptions, Resources, TolerationEffect, TolerationOperator};
use serde::Serialize;

use crate::contract::{CONFIG_VARIABLE, paths};
use crate::platform::Platform;
use crate::stores::ResolvedStore;

/// The container that brings the inputs.
pub const FETCH: &str = "seatrial-fetch";
/// The container that uploads the outputs.
pub const PUBLISH: &str = "seatrial-publish";
/// The container of a step's command.
pub const STEP: &str = "step";
/// The container of a model server.
pub const SERVER: &str = "server";

/// The volume that the containers of a pod share.
const SHARED_VOLUME: &str = "seatrial";
/// The volume of the projected token.
const TOKEN_VOLUME: &str = "seatrial-token";
/// The user and group of the agent's containers.
const AGENT_USER: i64 = 65532;
/// How long a projected token lives, in seconds; the kubelet replaces it in time.
const TOKEN_SECONDS: i64 = 3600;

/// A literal value as it must be written to arrive literally: the kubelet expands `$(NAME)` in values, too, which
/// would read other variables, secrets among them; a doubled `$` stands for one.
pub fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

/// An environment variable with a literal value.
pub fn variable(name: impl Into<String>, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(literal(value)), ..EnvVar::default() }
}

/// The options of a step's or server's pod: the first wins over the second, variables by name, maps by key.
pub fn merge(own: &PodOptions, shared: &PodOptions) -> PodOptions {
    let mut env = shared.env.clone();
    env.retain(|theirs| own.env.iter().all(|ours| ours.name != theirs.name));
    env.extend(own.env.iter().cloned());
    let mut node_selector = shared.node_selector.clone();
    node_selector.extend(own.node_selector.clone());
    let mut metadata = shared.pod_metadata.clone().unwrap_or_default();
    let own_metadata = own.pod_metadata.clone().unwrap_or_default();
    metadata.labels.extend(own_metadata.labels);
    metadata.annotations.extend(own_metadata.annotations);
    let choose = |own: &Option<String>, shared: &Option<String>| own.clone().or_else(|| shared.clone());
    let pick = |own_is_empty: bool| if own_is_empty { shared } else { own };
    PodOptions {
        image: choose(&own.image, &shared.image),
        env,
        resources: own.resources.clone().or_else(|| shared.resources.clone()),
        node_selector,
        tolerations: pick(own.tolerations.is_empty()).tolerations.clone(),
        service_account_name: choose(&own.service_account_name, &shared.service_account_name),
        image_pull_secrets: pick(own.image_pull_secrets.is_empty()).image_pull_secrets.clone(),
        pod_metadata: Some(metadata),
    }
}

/// The user's variables, as a container has them.
pub fn user_variables(options: &PodOptions) -> Vec<EnvVar> {
    let convert = |variable: &seatrial_crds::EnvVar| EnvVar {
        name: variable.name.clone(),
        value: variable.value.as_deref().map(literal),
        value_from: variable.secret_key.as_ref().map(|key| secret_key(&key.name, &key.key, false)),
    };
    options.env.iter().map(convert).collect()
}

/// The names of the user's variables whose values come from Secrets.
pub fn secret_variables(options: &PodOptions) -> Vec<String> {
    let secret = options.env.iter().filter(|variable| variable.secret_key.is_some());
    secret.map(|variable| variable.name.clone()).collect()
}

/// The labels of a pod: the user's, and over them ours.
pub fn labels(options: &PodOptions, ours: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = options.pod_metadata.clone().unwrap_or_default().labels;
    labels.extend(ours.clone());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

/// What a container of user code may do: nothing that it was not born with.
pub fn user_security(platform: &Platform) -> SecurityContext {
    SecurityContext { run_as_non_root: platform.run_as_non_root.then_some(true), ..restricted() }
}

fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..SeccompProfile::default() }),
        ..SecurityContext::default()
    }
}

/// A container of the agent: told what to do by `config`, with access to `stores`, and nothing of the user's.
pub fn agent_container<C: Serialize>(
    name: &str,
    command: &str,
    config: &C,
    stores: &[ResolvedStore],
    image: &str,
    platform: &Platform,
) -> Container {
    let json = serde_json::to_string(config).unwrap_or_default();
    let mut env: Vec<EnvVar> = vec![variable(CONFIG_VARIABLE, &json)];
    env.extend(platform.agent_env.iter().map(|plain| variable(&plain.name, &plain.value)));
    for store in stores {
        if let (Some(secret), crate::contract::Authentication::Keys { variable_prefix }) =
            (&store.secret_name, &store.config.authentication)
        {
            let key = |suffix: &str, key: &str, optional| EnvVar {
                name: format!("{variable_prefix}_{suffix}"),
                value_from: Some(secret_key(secret, key, optional)),
                ..EnvVar::default()
            };
            env.push(key("ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID", false));
            env.push(key("SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", false));
            env.push(key("SESSION_TOKEN", "AWS_SESSION_TOKEN", true));
        }
    }
    let mut mounts = vec![shared_mount()];
    if stores.iter().any(|store| store.audience.is_some()) {
        mounts.push(VolumeMount {
            name: TOKEN_VOLUME.into(),
            mount_path: paths::TOKEN.rsplit_once('/').map_or("/", |(folder, _)| folder).into(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    Container {
        name: name.into(),
        image: Some(image.to_owned()),
        image_pull_policy: platform.agent_image_pull_policy.clone(),
        // The program itself and not the image's entrypoint, so that a mirror that rewrites images changes nothing.
        command: Some(vec!["/seatrial-agent".into(), command.into()]),
        env: Some(env),
        resources: Some(platform.agent_resources.clone()),
        security_context: Some(SecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(AGENT_USER),
            run_as_group: Some(AGENT_USER),
            read_only_root_filesystem: Some(true),
            ..restricted()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// The mount of the volume that the containers of a pod share.
pub fn shared_mount() -> VolumeMount {
    VolumeMount { name: SHARED_VOLUME.into(), mount_path: paths::ROOT.into(), ..VolumeMount::default() }
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

/// What is left of a pod once its containers are known.
pub fn pod_spec(
    options: &PodOptions,
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    stores: &[ResolvedStore],
    platform: &Platform,
) -> PodSpec {
    let has_agent = !init_containers.is_empty() || containers.len() > 1;
    let mut volumes = vec![];
    if has_agent {
        let empty_dir = Some(EmptyDirVolumeSource::default());
        volumes.push(Volume { name: SHARED_VOLUME.into(), empty_dir, ..Volume::default() });
    }
    if let Some(audience) = stores.iter().find_map(|store| store.audience.as_ref()) {
        volumes.push(token_volume(audience));
    }
    let mut pull_secrets: Vec<String> =
        options.image_pull_secrets.iter().map(|reference| reference.name.clone()).collect();
    if has_agent {
        pull_secrets.extend(platform.agent_image_pull_secrets.iter().cloned());
    }
    let mut seen = std::collections::BTreeSet::new();
    pull_secrets.retain(|name| seen.insert(name.clone()));
    PodSpec {
        init_containers: some_unless_empty(init_containers),
        containers,
        volumes: some_unless_empty(volumes),
        node_selector: (!options.node_selector.is_empty()).then(|| options.node_selector.clone()),
        tolerations: some_unless_empty(options.tolerations.iter().map(toleration).collect()),
        service_account_name: options.service_account_name.clone(),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: some_unless_empty(
            pull_secrets.into_iter().map(|name| LocalObjectReference { name }).collect(),
        ),
        ..PodSpec::default()
    }
}

/// The user's requests and limits, as a container has them.
pub fn resources(options: &PodOptions) -> Option<ResourceRequirements> {
    let Resources { requests, limits } = options.resources.clone()?;
    Some(ResourceRequirements {
        requests: (!requests.is_empty()).then_some(requests),
        limits: (!limits.is_empty()).then_some(limits),
        ..ResourceRequirements::default()
    })
}

fn token_volume(audience: &str) -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(audience.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: paths::TOKEN.rsplit_once('/').map_or("token", |(_, file)| file).to_owned(),
    };
    Volume {
        name: TOKEN_VOLUME.into(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn toleration(own: &seatrial_crds::Toleration) -> Toleration {
    Toleration {
        key: own.key.clone(),
        operator: own.operator.map(|operator| {
            match operator {
                TolerationOperator::Equal => "Equal",
                TolerationOperator::Exists => "Exists",
            }
            .to_owned()
        }),
        value: own.value.clone(),
        effect: own.effect.map(|effect| {
            match effect {
                TolerationEffect::NoSchedule => "NoSchedule",
                TolerationEffect::PreferNoSchedule => "PreferNoSchedule",
                TolerationEffect::NoExecute => "NoExecute",
            }
            .to_owned()
        }),
        toleration_seconds: own.toleration_seconds,
    }
}

fn secret_key(name: &str, key: &str, optional: bool) -> EnvVarSource {
    EnvVarSource {
        secret_key_ref: Some(SecretKeySelector {
            name: name.to_owned(),
            key: key.to_owned(),
            optional: optional.then_some(true),
        }),
        ..EnvVarSource::default()
    }
}

fn some_unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(pairs: &[(&str, &str)]) -> PodOptions {
        let convert = |(name, value): &(&str, &str)| seatrial_crds::EnvVar {
            name: (*name).into(),
            value: Some((*value).into()),
            secret_key: None,
        };
        PodOptions { env: pairs.iter().map(convert).collect(), ..PodOptions::default() }
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

//! What makes the options of pods valid: what the API server would refuse of a Job or Deployment, said before one is
//! made.

use seatrial_crds::names::GROUP;
use seatrial_crds::{
    ObjectMetadata, PodOptions, Toleration, TolerationEffect, TolerationOperator, WorkloadOptions, limits,
};

use super::{Problem, problem, unique};
use crate::quantity;

/// All mistakes of options that stand at `path`.
pub(super) fn options(path: &str, options: &WorkloadOptions, problems: &mut Vec<Problem>) {
    unique(&format!("{path}.env"), options.env.iter().map(|variable| variable.name.as_str()), problems);
    for variable in &options.env {
        let path = format!("{path}.env[{}]", variable.name);
        if let Some(prefix) = limits::RESERVED_ENV_PREFIXES.iter().find(|prefix| variable.name.starts_with(**prefix)) {
            problems.push(problem(&path, format!("names beginning with {prefix} are set by Seatrial: choose another")));
        }
        if variable.value.is_some() == variable.value_from.is_some() {
            problems.push(problem(&path, "exactly one of value and valueFrom is required"));
        }
        if let Some(source) = &variable.value_from {
            let given =
                [source.secret_key_ref.is_some(), source.config_map_key_ref.is_some(), source.field_ref.is_some()];
            if given.into_iter().filter(|given| *given).count() != 1 {
                let message = "exactly one of secretKeyRef, configMapKeyRef and fieldRef is required";
                problems.push(problem(format!("{path}.valueFrom"), message));
            }
        }
    }
    pod(&format!("{path}.pod"), &options.pod, problems);
    for (field, list) in options.resources.iter().flat_map(|own| [("requests", &own.requests), ("limits", &own.limits)])
    {
        for (name, amount) in list.iter().filter(|(_, amount)| quantity::value(amount).is_none_or(|value| value < 0.0))
        {
            let message = format!("\"{}\" is no quantity: write 500m, 2, 512Mi or 8Gi", amount.0);
            problems.push(problem(format!("{path}.resources.{field}[{name}]"), message));
        }
    }
    if let Some(own) = &options.resources {
        for (name, request) in &own.requests {
            if let Some(limit) = own.limits.get(name)
                && quantity::value(request) > quantity::value(limit)
            {
                let message =
                    format!("{} is more than its limit of {}: lower it, or raise the limit", request.0, limit.0);
                problems.push(problem(format!("{path}.resources.requests[{name}]"), message));
            }
        }
    }
}

fn pod(path: &str, pod: &PodOptions, problems: &mut Vec<Problem>) {
    keys(&format!("{path}.labels"), pod.labels.keys(), problems);
    keys(&format!("{path}.annotations"), pod.annotations.keys(), problems);
    for key in pod.node_selector.keys().filter(|key| !is_label_key(key)) {
        problems.push(problem(format!("{path}.nodeSelector"), not_a_key(key)));
    }
    for (index, toleration) in pod.tolerations.iter().enumerate() {
        if let Some(message) = toleration_problem(toleration) {
            problems.push(problem(format!("{path}.tolerations[{index}]"), message));
        }
    }
    let volume_names = || pod.volumes.iter().map(|volume| volume.name.as_str());
    unique(&format!("{path}.volumes"), volume_names(), problems);
    unique(&format!("{path}.volumeMounts"), pod.volume_mounts.iter().map(|mount| mount.mount_path.as_str()), problems);
    for volume in &pod.volumes {
        let sources = [
            volume.persistent_volume_claim.is_some(),
            volume.config_map.is_some(),
            volume.secret.is_some(),
            volume.empty_dir.is_some(),
        ];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            let message = "exactly one of persistentVolumeClaim, configMap, secret and emptyDir is required";
            problems.push(problem(format!("{path}.volumes[{}]", volume.name), message));
        }
    }
}

/// Mistakes of mounts, whose volumes may stand on the pipeline or on the step.
pub(super) fn mounts(path: &str, pod: &PodOptions, problems: &mut Vec<Problem>) {
    for mount in &pod.volume_mounts {
        let path = format!("{path}.pod.volumeMounts[{}]", mount.mount_path);
        if pod.volumes.iter().all(|volume| volume.name != mount.name) {
            problems.push(problem(
                &path,
                format!("there is no volume \"{}\": add it to volumes, or correct the name", mount.name),
            ));
        }
        if mount.mount_path == "/dev/shm" && pod.shared_memory.is_some() {
            problems.push(problem(&path, "sharedMemory is mounted there: remove one of the two"));
        }
    }
}

/// Mistakes of labels and annotations of the objects that are made.
pub(super) fn metadata(path: &str, metadata: Option<&ObjectMetadata>, problems: &mut Vec<Problem>) {
    let Some(metadata) = metadata else { return };
    keys(&format!("{path}.labels"), metadata.labels.keys(), problems);
    keys(&format!("{path}.annotations"), metadata.annotations.keys(), problems);
}

fn keys<'a>(path: &str, keys: impl Iterator<Item = &'a String>, problems: &mut Vec<Problem>) {
    for key in keys {
        if key.starts_with(GROUP) {
            problems.push(problem(path, format!("\"{key}\" is set by Seatrial: choose another prefix")));
        } else if !is_label_key(key) {
            problems.push(problem(path, not_a_key(key)));
        }
    }
}

fn not_a_key(key: &str) -> String {
    format!(
        "\"{key}\" is no name of a label: use letters, digits, -, _ and . (at most 63), after a domain and / if need be"
    )
}

/// Whether Kubernetes takes it as the name of a label or annotation.
fn is_label_key(key: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let name_is_good = name.len() <= 63
        && is_end(name.as_bytes().first())
        && is_end(name.as_bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let label = |label: &str| {
        is_end(label.as_bytes().first())
            && is_end(label.as_bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name_is_good && domain.is_none_or(|domain| domain.len() <= limits::SUBDOMAIN && domain.split('.').all(label))
}

fn toleration_problem(toleration: &Toleration) -> Option<&'static str> {
    let exists = toleration.operator == Some(TolerationOperator::Exists);
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if exists && has(&toleration.value) {
        Some("operator Exists takes no value: remove it, or use Equal")
    } else if !exists && !has(&toleration.key) {
        Some("a toleration without key needs operator Exists, and tolerates every taint")
    } else if toleration.toleration_seconds.is_some() && toleration.effect != Some(TolerationEffect::NoExecute) {
        Some("tolerationSeconds needs effect NoExecute")
    } else {
        None
    }
}

//! What the chart tells the operator, read as the operator reads it: a field that it does not know would keep it from
//! starting.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::process::Command;

use seatrial_core::platform::Platform;
use seatrial_e2e::checkout;
use serde_json::Value;

/// The operator's config as the chart renders it with these values.
fn config(values: &[&str]) -> Platform {
    let tools = Command::new(checkout().join("e2e/cluster/tools")).arg("helm").output().unwrap();
    let helm = format!("{}/helm", String::from_utf8(tools.stdout).unwrap().trim());
    let mut command = Command::new(helm);
    command.args(["template", "seatrial", "charts/seatrial", "--namespace", "sea"]).current_dir(checkout());
    command.args(["--show-only", "templates/operator/config.yaml"]);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let map: Value = serde_yaml::from_slice(&output.stdout).unwrap();
    let text = map["data"]["config.yaml"].as_str().unwrap();
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn the_operator_understands_what_the_chart_tells_it() {
    let plain = config(&[]);
    let store = plain.default_store.unwrap();
    assert_eq!(store.endpoint, "https://seatrial-store.sea.svc:9000");
    assert!(store.authority_is_published && store.certificate_authority.is_none());
    assert!(plain.run_as_non_root && plain.agent_env.is_empty() && plain.readable_prefixes.is_empty());
    assert!(!plain.agent_resources.limits.unwrap().contains_key("cpu"));
    assert_eq!((plain.agent_run_as_user, plain.agent_run_as_group), (Some(65532), Some(65532)));
    assert_eq!((plain.agent_readiness_probe, plain.ttl_seconds_after_finished), (false, Some(86_400)));
    let judge = plain.judge.unwrap();
    assert!(judge.image.starts_with("registry.local/seatrial/evidence:"), "{}", judge.image);
    assert_eq!(judge.resources.limits.unwrap()["memory"].0, "2Gi");
    assert!(config(&["judge.enabled=false"]).judge.is_none());
    let chosen_by_the_platform = config(&["podSecurity.runAsUser=null", "podSecurity.runAsGroup=null"]);
    assert_eq!((chosen_by_the_platform.agent_run_as_user, chosen_by_the_platform.agent_run_as_group), (None, None));

    let other = config(&["store.enabled=false", "defaultStore.endpoint=https://s3.example.org"]);
    let store = other.default_store.unwrap();
    assert_eq!((store.endpoint.as_str(), store.authority_is_published), ("https://s3.example.org", false));
    assert!(config(&["store.enabled=false"]).default_store.is_none());

    let all = config(&[
        "image.prefix=registry.example.org/sea",
        "image.digests.agent=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "agent.pullPolicy=Always",
        "agent.pullSecrets[0]=registry",
        "agent.env[0].name=HTTPS_PROXY",
        "agent.env[0].value=http://proxy:3128",
        "agent.resources.limits.memory=1Gi",
        "readablePrefixes[0]=https://example.org/",
        "podSecurity.runAsNonRoot=false",
        "agent.readinessProbe=true",
        "judge.resources.limits.memory=8Gi",
        "image.digests.evidence=sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "jobs.ttlSecondsAfterFinished=60",
    ]);
    let judge = all.judge.unwrap();
    assert!(judge.image.starts_with("registry.example.org/sea/evidence@sha256:1111"), "{}", judge.image);
    assert_eq!(judge.resources.limits.unwrap()["memory"].0, "8Gi");
    assert!(all.agent_image.starts_with("registry.example.org/sea/agent@sha256:0000"), "{}", all.agent_image);
    assert_eq!(all.agent_image_pull_policy.as_deref(), Some("Always"));
    assert_eq!(all.agent_image_pull_secrets, ["registry"]);
    assert_eq!((all.agent_env[0].name.as_str(), all.agent_env[0].value.as_str()), ("HTTPS_PROXY", "http://proxy:3128"));
    assert_eq!(all.agent_resources.limits.unwrap()["memory"].0, "1Gi");
    assert_eq!(
        (all.readable_prefixes.as_slice(), all.run_as_non_root),
        (["https://example.org/".to_owned()].as_slice(), false)
    );
    assert_eq!((all.agent_readiness_probe, all.ttl_seconds_after_finished), (true, Some(60)));
}

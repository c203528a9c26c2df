//! The end of a namespace.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::Value;

use crate::space::{Space, pipeline};

/// Whatever is under way in it ends with it, without errors that come again and again.
pub(crate) async fn a_namespace_that_is_deleted(space: &Space) {
    for name in ["one", "two"] {
        space.apply(&pipeline(name)).await;
        space.job(&format!("{name}-c1")).await;
        space.apply(&pipeline(name).replace("train:1", "train:2")).await;
        space.until_run(&format!("{name}-c2"), |reason, _| reason == "Queued").await;
    }
    let namespaces: Api<Namespace> = Api::all(space.client.clone());
    namespaces.delete(&space.name, &DeleteParams::default()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    while namespaces.get_opt(&space.name).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the namespace is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let log = std::fs::read_to_string(&space.log).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let bad = |line: &Value| line["namespace"] == space.name.as_str() && line["level"] != "INFO";
    let bad: Vec<_> = lines.filter(bad).collect();
    // A write may meet what has just gone; it must not be tried for ever.
    assert!(bad.len() <= 2, "{bad:#?}");
}

//! Publishes the authority's certificate, so that clients trust it and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

/// The key in the ConfigMap.
const KEY: &str = "ca.crt";
/// The pause after a failed write.
const AGAIN: Duration = Duration::from_secs(3);
/// How often the ConfigMap is read, in case somebody changed it.
const LOOK: Duration = Duration::from_secs(300);

/// Keeps the ConfigMap as it must be, for ever. Sets `ready` when it is for the first time.
pub async fn keep_published(client: Client, namespace: String, name: String, certificate: String, ready: &AtomicBool) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    loop {
        match publish(&api, &name, &certificate).await {
            Ok(written) => {
                if written {
                    tracing::info!(namespace, name, "the certificate authority is published");
                }
                ready.store(true, Ordering::Relaxed);
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                tracing::warn!(namespace, name, %error, "the certificate authority cannot be published; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Writes it unless it is there. True where it was written.
async fn publish(api: &Api<ConfigMap>, name: &str, certificate: &str) -> Result<bool, kube::Error> {
    let current = api.get(name).await?;
    if current.data.as_ref().and_then(|data| data.get(KEY)).is_some_and(|there| there == certificate) {
        return Ok(false);
    }
    let patch = Patch::Merge(json!({"data": {KEY: certificate}}));
    let params = PatchParams { field_manager: Some("seatrial-store".into()), ..PatchParams::default() };
    api.patch(name, &params, &patch).await?;
    Ok(true)
}

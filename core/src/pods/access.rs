//! How the agent of a pod gets into its stores: a volume of credentials for each, mounted into the agent's containers
//! alone. Each store has its own: a token whose audience is one store is worth nothing at another.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use seatrial_crds::names::TRUST_BUNDLE;

use crate::contract::paths;
use crate::stores::ResolvedStore;

/// How long a projected token lives, in seconds; the kubelet replaces it in time.
const TOKEN_SECONDS: i64 = 3600;

/// The volumes that these stores need, each once.
pub(super) fn volumes(stores: &[ResolvedStore]) -> Vec<Volume> {
    once(stores).filter_map(|(store, folder)| volume(store, folder)).collect()
}

/// The mounts of these volumes.
pub(super) fn mounts(stores: &[ResolvedStore]) -> Vec<VolumeMount> {
    let mount = |(store, folder): (&ResolvedStore, &str)| {
        Some(VolumeMount {
            name: volume(store, folder)?.name,
            mount_path: folder.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        })
    };
    once(stores).filter_map(mount).collect()
}

/// The folders that stores need, each with a store that does. Two prefixes of one Store share theirs.
fn once(stores: &[ResolvedStore]) -> impl Iterator<Item = (&ResolvedStore, &str)> {
    let mut seen = BTreeSet::new();
    let all = stores.iter().flat_map(|store| store.config.folders().map(move |folder| (store, folder)));
    all.filter(move |(_, folder)| seen.insert(*folder))
}

fn volume(store: &ResolvedStore, folder: &str) -> Option<Volume> {
    if store.config.authentication.folder() != Some(folder) {
        return Some(trust_bundle());
    }
    // The last folder is a hash or a word of ours, which any name may end in.
    let own = folder.rsplit('/').next().unwrap_or_default();
    let (name, secret, projected) = match (&store.secret_name, &store.audience) {
        (Some(secret), _) => (format!("seatrial-keys-{own}"), Some(keys(secret)), None),
        (None, Some(audience)) => (format!("seatrial-token-{own}"), None, Some(token(audience))),
        (None, None) => return None,
    };
    Some(Volume { name, secret, projected, ..Volume::default() })
}

/// The namespace's trust bundle, as a file that the kubelet renews. It is there by the time that a pod is: without it,
/// the pod waits, and its events say for what.
fn trust_bundle() -> Volume {
    let map = ConfigMapVolumeSource { name: TRUST_BUNDLE.into(), ..ConfigMapVolumeSource::default() };
    Volume { name: "seatrial-trust".into(), config_map: Some(map), ..Volume::default() }
}

/// A Secret with keys: as files, which the kubelet renews when the Secret is, in contrast to variables.
fn keys(secret: &str) -> SecretVolumeSource {
    SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        // Where there is none, the agent says so, in words of its own, rather than the kubelet again and again.
        optional: Some(true),
        ..SecretVolumeSource::default()
    }
}

fn token(audience: &str) -> ProjectedVolumeSource {
    let token = ServiceAccountTokenProjection {
        audience: Some(audience.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: paths::TOKEN.to_owned(),
    };
    ProjectedVolumeSource {
        sources: Some(vec![VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }]),
        ..ProjectedVolumeSource::default()
    }
}

#[cfg(test)]
mod tests {
    use seatrial_crds::names::{TRUST_BUNDLE_KEY, TRUST_BUNDLE_SITE_KEY};
    use seatrial_crds::{Credentials, Store, StoreSpec, WebIdentity, WorkloadOptions};

    use super::*;
    use crate::contract::{Authentication, Authorities};
    use crate::platform::{DefaultStore, Platform};
    use crate::{pods, stores};

    fn store(name: &str, prefix: &str, credentials: Credentials) -> Box<Store> {
        let spec = StoreSpec { prefix: prefix.into(), credentials: Some(credentials), ..StoreSpec::default() };
        Box::new(Store::new(name, spec))
    }

    fn identity(audience: Option<&str>) -> Credentials {
        let identity =
            WebIdentity { role: "role".into(), audience: audience.map(Into::into), ..WebIdentity::default() };
        Credentials { web_identity: Some(identity), ..Credentials::default() }
    }

    /// As variables, keys that are renewed would never arrive.
    #[test]
    fn the_keys_of_a_store_are_files() {
        let credentials = Credentials { secret_name: Some("lake-keys".into()), ..Credentials::default() };
        let platform = Platform::default();
        let lake = store("lake", "s3://lake/", credentials);
        let found = [stores::for_uri("s3://lake/raw/", "ns", &[lake], &platform).unwrap()];
        let container = pods::agent_container(pods::FETCH, "fetch", vec![], &found, "agent", &platform);
        let volume = volumes(&found).remove(0);
        assert_eq!(volume.secret.unwrap().secret_name.as_deref(), Some("lake-keys"));
        let mounts = container.volume_mounts.unwrap();
        let mount = mounts.iter().find(|mount| mount.name == volume.name).unwrap();
        assert_eq!(found[0].config.authentication, Authentication::Keys { folder: mount.mount_path.clone() });
        assert_eq!(container.env, Some(vec![]));
    }

    /// A token that one store could show at another would open it.
    #[test]
    fn each_store_has_a_token_of_its_own_audience_which_user_code_never_sees() {
        let platform = Platform { default_store: Some(DefaultStore::example()), ..Platform::default() };
        let own = [
            store("lake", "s3://lake/", identity(None)),
            store("labels", "s3://labels/", identity(Some("labels.example"))),
        ];
        let uris = ["s3://ns/x", "s3://lake/x", "s3://labels/x"];
        let all = uris.map(|uri| stores::for_uri(uri, "ns", &own, &platform).unwrap());
        let fetch = pods::agent_container(pods::FETCH, "fetch", vec![], &all[1..], "agent", &platform);
        let options = WorkloadOptions::default();
        let pod = pods::pod_spec(&options, vec![fetch.clone()], vec![], &all, &platform);
        let volumes = pod.volumes.unwrap();
        let token = |store: &ResolvedStore| {
            let Authentication::WebIdentity { token_file, .. } = &store.config.authentication else {
                panic!("{store:?}")
            };
            let mount =
                mounts(std::slice::from_ref(store)).into_iter().find(|mount| mount.name.contains("token")).unwrap();
            let volume = volumes.iter().find(|volume| volume.name == mount.name).unwrap();
            let source = volume.projected.as_ref().unwrap().sources.as_ref().unwrap()[0].clone();
            let token = source.service_account_token.unwrap();
            assert_eq!(*token_file, format!("{}/{}", mount.mount_path, token.path));
            (token.audience.unwrap(), mount)
        };
        let tokens: Vec<_> = all.iter().map(token).collect();
        let audiences: Vec<_> = tokens.iter().map(|(audience, _)| audience.as_str()).collect();
        assert_eq!(audiences, ["seatrial-store", "sts.amazonaws.com", "labels.example"]);
        // The container has the tokens of the stores that it reads, and no other.
        let mounted = fetch.volume_mounts.unwrap();
        let has: Vec<bool> = tokens.iter().map(|(_, mount)| mounted.contains(mount)).collect();
        assert_eq!(has, [false, true, true]);
    }

    /// As text in the pod's configuration, a new authority would never arrive.
    #[test]
    fn the_authority_of_the_default_store_is_a_file_of_the_namespaces_trust_bundle() {
        let platform = Platform { default_store: Some(DefaultStore::example()), ..Platform::default() };
        let none: [Box<Store>; 0] = [];
        let found = [stores::for_artifacts("ns", &none, &platform).unwrap()];
        let (volumes, mounts) = (volumes(&found), mounts(&found));
        let volume = volumes.iter().find(|volume| volume.config_map.is_some()).unwrap();
        assert_eq!(volume.config_map.as_ref().unwrap().name, TRUST_BUNDLE);
        let mount = mounts.iter().find(|mount| mount.name == volume.name).unwrap();
        let file = format!("{}/{TRUST_BUNDLE_KEY}", mount.mount_path);
        assert_eq!(found[0].config.authorities, Authorities::Only(file));
        assert!(!serde_json::to_string(&found[0].config).unwrap().contains("pem"));
    }

    /// A company's whole bundle is larger than an environment variable may be.
    #[test]
    fn the_authorities_of_a_site_are_a_file_that_all_but_the_default_store_look_at() {
        let mut platform = Platform { default_store: Some(DefaultStore::example()), ..Platform::default() };
        platform.agent_authorities = Some("site".into());
        let own = [store("lake", "s3://lake/", identity(None))];
        let both = ["s3://lake/x", "s3://ns/x"].map(|uri| stores::for_uri(uri, "ns", &own, &platform).unwrap());
        let [lake, default] = both.each_ref().map(|store| &store.config.authorities);
        let mounts = mounts(&both[..1]);
        let mount = mounts.iter().find(|mount| mount.name == "seatrial-trust").unwrap();
        assert_eq!(*lake, Authorities::PublicAnd(format!("{}/{TRUST_BUNDLE_SITE_KEY}", mount.mount_path)));
        assert!(matches!(default, Authorities::Only(_)), "a public authority does not vouch for the embedded store");
        let fetch = pods::agent_container(pods::FETCH, "fetch", vec![], &both, "agent", &platform);
        assert!(!serde_json::to_string(&fetch).unwrap().contains("site\""));
    }

    /// Kubernetes refuses a pod with two volumes of one name.
    #[test]
    fn two_prefixes_of_one_store_share_its_volume() {
        let lake = store("lake", "s3://lake/", identity(None));
        let whole = stores::for_uri("s3://lake/raw/", "ns", &[lake], &Platform::default()).unwrap();
        let mut part = whole.clone();
        part.config.prefix = "s3://lake/ml/".into();
        let both = [whole, part];
        assert_eq!((volumes(&both).len(), mounts(&both).len()), (1, 1));
    }
}

//! Finds the store that a URI lies in, and how the agent authenticates to it.

mod status;

use std::cmp::Reverse;

use jiff::Timestamp;
use seatrial_crds::{Store, StoreSpec, WebIdentity};

use crate::contract::{Authentication, Authorities, DEFAULT_REGION, Digest, StoreConfig, layout, paths};
use crate::platform::Platform;

pub use status::plan;

/// The name of the Store that takes a namespace's artifacts.
pub const DEFAULT: &str = "default";

/// The role that is asked for at the embedded store's STS. Clients insist on one; the store looks at the token alone.
const ROLE: &str = "arn:aws:iam::000000000000:role/seatrial";

/// The audience of AWS' own STS.
const AWS_AUDIENCE: &str = "sts.amazonaws.com";

/// The folder of the token for the cluster's default store; those of Stores are hashes.
const DEFAULT_TOKEN: &str = "default";

/// A store, and what a container needs besides its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedStore {
    /// What the agent is told.
    pub config: StoreConfig,
    /// The Secret with the keys, if there is one.
    pub secret_name: Option<String>,
    /// The audience of the projected token, if one is needed.
    pub audience: Option<String>,
}

/// Why there is no store for a URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    /// No Store has a prefix of it.
    #[error(
        "no Store of the namespace has a prefix of \"{0}\": create a Store with such a spec.prefix, or correct the URI"
    )]
    NoStoreForUri(String),
    /// Nothing takes the namespace's artifacts.
    #[error(
        "there is no store for artifacts: create a Store named \"default\" in the namespace, or enable the chart's store"
    )]
    NoArtifactStore,
    /// The namespace's default store is read-only.
    #[error("the Store \"default\" has the prefix \"{0}\", which cannot be written to: use an s3:// prefix")]
    ReadOnly(String),
    /// The embedded store has not published its certificate authority.
    #[error(
        "the cluster's default store is not ready yet: its certificate authority is not published; look at the store's pod"
    )]
    NotReady,
    /// The URI of an artifact is not where the layout puts one of its digest.
    #[error("the uri \"{0}\" does not lead to an artifact of its digest: artifacts are written by runs alone")]
    NotAnArtifact(String),
    /// The URI names a metadata service, which hands out a node's credentials.
    #[error("\"{0}\" names a metadata service or a link-local address, which is never fetched")]
    Forbidden(String),
}

impl StoreProblem {
    /// The reason in a condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoStoreForUri(_) | Self::NoArtifactStore => "StoreNotFound",
            Self::ReadOnly(_) => "StoreReadOnly",
            Self::NotReady => "StoreNotReady",
            Self::NotAnArtifact(_) => "InvalidArtifact",
            Self::Forbidden(_) => "ForbiddenAddress",
        }
    }
}

/// The store of a URI: the longest prefix wins among the namespace's stores, the cluster's default store for the
/// namespace's own bucket, and the prefixes that everyone may read.
///
/// # Errors
/// Where there is none, or it is not ready.
pub fn for_uri(
    uri: &str,
    namespace: &str,
    stores: &[impl AsRef<Store>],
    platform: &Platform,
) -> Result<ResolvedStore, StoreProblem> {
    if is_forbidden(uri) {
        return Err(StoreProblem::Forbidden(uri.to_owned()));
    }
    let own = stores.iter().map(AsRef::as_ref).filter(|store| uri.starts_with(&store.spec.prefix));
    let own = own.max_by_key(|store| (store.spec.prefix.len(), Reverse(seniority(store))));
    let readable = platform.readable_prefixes.iter().filter(|prefix| uri.starts_with(prefix.as_str()));
    let readable = readable.max_by_key(|prefix| prefix.len());
    match (own, readable) {
        (Some(store), readable) if readable.is_none_or(|prefix| prefix.len() <= store.spec.prefix.len()) => {
            Ok(named(store, platform))
        }
        (_, Some(prefix)) => Ok(anonymous(prefix, platform)),
        _ if uri.starts_with(&default_prefix(namespace)) && platform.default_store.is_some() => {
            embedded(namespace, platform)
        }
        _ => Err(StoreProblem::NoStoreForUri(uri.to_owned())),
    }
}

/// The store that takes a namespace's artifacts.
///
/// # Errors
/// Where there is none, or it is not ready, or cannot be written to.
pub fn for_artifacts(
    namespace: &str,
    stores: &[impl AsRef<Store>],
    platform: &Platform,
) -> Result<ResolvedStore, StoreProblem> {
    let own = stores.iter().map(AsRef::as_ref).find(|store| store.metadata.name.as_deref() == Some(DEFAULT));
    match own {
        Some(store) if !store.spec.prefix.starts_with("s3://") => {
            Err(StoreProblem::ReadOnly(store.spec.prefix.clone()))
        }
        Some(store) => Ok(named(store, platform)),
        None if platform.default_store.is_some() => embedded(namespace, platform),
        None => Err(StoreProblem::NoArtifactStore),
    }
}

/// The store of an artifact that a run wrote. Its URI ends in where the layout puts it: what is before is the prefix
/// that its objects are beneath, whatever takes the namespace's artifacts by now.
///
/// # Errors
/// As [`for_uri`], and where the URI does not fit the digest.
pub fn for_artifact(
    uri: &str,
    digest: &Digest,
    namespace: &str,
    stores: &[impl AsRef<Store>],
    platform: &Platform,
) -> Result<ResolvedStore, StoreProblem> {
    let prefix = uri.strip_suffix(&layout::artifact(digest)).filter(|prefix| prefix.ends_with('/'));
    let prefix = prefix.ok_or_else(|| StoreProblem::NotAnArtifact(uri.to_owned()))?;
    let mut store = for_uri(uri, namespace, stores, platform)?;
    store.config.prefix = prefix.to_owned();
    Ok(store)
}

/// Of Stores that have one prefix the least is used: the one that takes the artifacts, since it is taken by its name; else the
/// oldest, and of those of one second the first by name.
fn seniority(store: &Store) -> (bool, Option<Timestamp>, Option<&str>) {
    let metadata = &store.metadata;
    let name = metadata.name.as_deref();
    (name != Some(DEFAULT), metadata.creation_timestamp.as_ref().map(|time| time.0), name)
}

fn default_prefix(namespace: &str) -> String {
    format!("s3://{namespace}/")
}

fn named(store: &Store, platform: &Platform) -> ResolvedStore {
    let name = store.metadata.name.as_deref().unwrap_or_default();
    let own = crate::digest::short(&[name]);
    let credentials = store.spec.credentials.as_ref();
    let secret_name = credentials.and_then(|credentials| credentials.secret_name.clone());
    let identity = credentials.and_then(|credentials| credentials.web_identity.as_ref());
    let (authentication, audience) = match (&secret_name, identity) {
        (Some(_), _) => (Authentication::Keys { folder: format!("{}/{own}", paths::KEYS) }, None),
        (None, Some(identity)) => (
            Authentication::WebIdentity {
                token_file: token_file(&own),
                sts_endpoint: sts_endpoint(&store.spec, identity),
                role: identity.role.clone(),
            },
            Some(identity.audience.clone().unwrap_or_else(|| AWS_AUDIENCE.to_owned())),
        ),
        (None, None) => (Authentication::Anonymous, None),
    };
    ResolvedStore {
        config: StoreConfig {
            name: store.metadata.name.clone(),
            prefix: store.spec.prefix.clone(),
            endpoint: store.spec.endpoint.clone(),
            region: store.spec.region.clone(),
            authentication,
            authorities: of_the_site(platform),
            redirect_hosts: store.spec.redirect_hosts.clone(),
        },
        secret_name,
        audience,
    }
}

/// Whom agents trust where a store has no authority of its own.
fn of_the_site(platform: &Platform) -> Authorities {
    match platform.agent_authorities {
        Some(_) => Authorities::PublicAnd(paths::SITE_AUTHORITIES.to_owned()),
        None => Authorities::Public,
    }
}

/// The file of the token for one store.
fn token_file(own: &str) -> String {
    format!("{}/{own}/{}", paths::TOKENS, paths::TOKEN)
}

/// Where a Store's token is exchanged for keys: services other than AWS do it at their own endpoint.
fn sts_endpoint(store: &StoreSpec, identity: &WebIdentity) -> String {
    let named = identity.sts_endpoint.as_ref().or(store.endpoint.as_ref()).cloned();
    named.unwrap_or_else(|| format!("https://sts.{}.amazonaws.com", store.region.as_deref().unwrap_or(DEFAULT_REGION)))
}

fn anonymous(prefix: &str, platform: &Platform) -> ResolvedStore {
    ResolvedStore {
        config: StoreConfig {
            name: None,
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            authentication: Authentication::Anonymous,
            authorities: of_the_site(platform),
            redirect_hosts: vec![],
        },
        secret_name: None,
        audience: None,
    }
}

fn embedded(namespace: &str, platform: &Platform) -> Result<ResolvedStore, StoreProblem> {
    let store = platform.default_store.as_ref().ok_or(StoreProblem::NoArtifactStore)?;
    if store.authority_is_published && store.certificate_authority.is_none() {
        return Err(StoreProblem::NotReady);
    }
    Ok(ResolvedStore {
        config: StoreConfig {
            name: None,
            prefix: default_prefix(namespace),
            endpoint: Some(store.endpoint.clone()),
            region: None,
            authentication: Authentication::WebIdentity {
                token_file: token_file(DEFAULT_TOKEN),
                sts_endpoint: store.endpoint.clone(),
                role: ROLE.to_owned(),
            },
            authorities: match &store.certificate_authority {
                Some(_) => Authorities::Only(paths::STORE_AUTHORITY.to_owned()),
                None => of_the_site(platform),
            },
            redirect_hosts: vec![],
        },
        secret_name: None,
        audience: Some(store.audience.clone()),
    })
}

/// True for addresses where clouds hand out a node's credentials. The agent refuses what resolves to them as well.
fn is_forbidden(uri: &str) -> bool {
    !uri.starts_with("s3://") && is_forbidden_url(uri)
}

/// Whether a URL's host is one that is never asked.
pub(crate) fn is_forbidden_url(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    is_forbidden_host(host)
}

/// Whether a host, with or without a port, is a metadata service, a link-local address, or an IPv6 literal, which may be
/// either.
pub(crate) fn is_forbidden_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let name = host.split(':').next().unwrap_or_default();
    host.starts_with('[') || name.starts_with("169.254.") || name.starts_with("metadata.") || name == "metadata"
}

/// The stores, each once, in their order.
pub(crate) fn each_once<'a>(stores: impl IntoIterator<Item = &'a ResolvedStore>) -> Vec<ResolvedStore> {
    let mut known: Vec<ResolvedStore> = vec![];
    for store in stores {
        if known.iter().all(|known| known.config.prefix != store.config.prefix) {
            known.push(store.clone());
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use seatrial_crds::Credentials;

    use super::*;
    use crate::platform::DefaultStore;

    fn store(name: &str, prefix: &str) -> Box<Store> {
        Box::new(Store::new(name, StoreSpec { prefix: prefix.into(), ..StoreSpec::default() }))
    }

    fn platform(authority: Option<&str>) -> Platform {
        Platform {
            default_store: Some(DefaultStore {
                endpoint: "https://store.seatrial-system.svc:9000".into(),
                audience: "seatrial-store".into(),
                certificate_authority: authority.map(Into::into),
                authority_is_published: true,
            }),
            ..Platform::default()
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let stores = [store("a", "s3://lake/"), store("b", "s3://lake/raw/")];
        let found = for_uri("s3://lake/raw/x/", "ns", &stores, &Platform::default()).unwrap();
        assert_eq!(found.config.prefix, "s3://lake/raw/");
        let platform = Platform { readable_prefixes: vec!["s3://lake/raw/x/".into()], ..Platform::default() };
        assert_eq!(for_uri("s3://lake/raw/x/y", "ns", &stores, &platform).unwrap().config.prefix, "s3://lake/raw/x/");
    }

    #[test]
    fn a_uri_without_a_store_is_a_problem_that_says_what_to_do() {
        let none: [Box<Store>; 0] = [];
        let problem = for_uri("s3://lake/raw/", "ns", &none, &platform(Some("pem"))).unwrap_err();
        assert_eq!(problem.reason(), "StoreNotFound");
        assert!(problem.to_string().contains("create a Store"), "{problem}");
    }

    /// What the agent says of a redirect names the Store; what it follows is what that names.
    #[test]
    fn a_store_hands_on_its_name_and_the_hosts_that_it_may_redirect_to() {
        let mut hub = store("hub", "https://hub.example/");
        hub.spec.redirect_hosts = vec!["cdn.example".into()];
        let platform = Platform { readable_prefixes: vec!["https://open.example/".into()], ..Platform::default() };
        let found = for_uri("https://hub.example/m", "ns", &[hub.clone()], &platform).unwrap().config;
        assert_eq!((found.name.as_deref(), found.redirect_hosts), (Some("hub"), vec!["cdn.example".to_owned()]));
        let found = for_uri("https://open.example/m", "ns", &[hub], &platform).unwrap().config;
        assert_eq!((found.name, found.redirect_hosts), (None, vec![]));
    }

    #[test]
    fn a_token_is_exchanged_where_the_store_says_or_does_so_itself() {
        let sts = |endpoint: Option<&str>, region: Option<&str>, named: Option<&str>| {
            let mut lake = store("lake", "s3://lake/");
            lake.spec.endpoint = endpoint.map(Into::into);
            lake.spec.region = region.map(Into::into);
            let identity = WebIdentity { sts_endpoint: named.map(Into::into), ..WebIdentity::default() };
            lake.spec.credentials = Some(Credentials { web_identity: Some(identity), ..Credentials::default() });
            match for_uri("s3://lake/x", "ns", &[lake], &Platform::default()).unwrap().config.authentication {
                Authentication::WebIdentity { sts_endpoint, .. } => sts_endpoint,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sts(None, None, None), "https://sts.us-east-1.amazonaws.com");
        assert_eq!(sts(None, Some("eu-west-1"), None), "https://sts.eu-west-1.amazonaws.com");
        assert_eq!(sts(Some("https://minio:9000"), Some("eu-west-1"), None), "https://minio:9000");
        assert_eq!(sts(Some("http://minio:9000"), None, Some("https://sts:1")), "https://sts:1");
    }

    #[test]
    fn another_namespaces_bucket_is_not_ours() {
        let none: [Box<Store>; 0] = [];
        assert!(for_uri("s3://ns/data/", "ns", &none, &platform(Some("pem"))).is_ok());
        assert!(for_uri("s3://other/data/", "ns", &none, &platform(Some("pem"))).is_err());
        assert!(for_uri("s3://ns-b/data/", "ns", &none, &platform(Some("pem"))).is_err());
    }

    #[test]
    fn artifacts_go_to_the_store_named_default_and_else_to_the_clusters() {
        let mut default = store("default", "s3://ours/ml/");
        default.spec.credentials = Some(Credentials { secret_name: Some("keys".into()), ..Credentials::default() });
        let found = for_artifacts("ns", &[default], &platform(Some("pem"))).unwrap();
        assert_eq!((found.config.prefix.as_str(), found.secret_name.as_deref()), ("s3://ours/ml/", Some("keys")));
        let none: [Box<Store>; 0] = [];
        let found = for_artifacts("ns", &none, &platform(Some("pem"))).unwrap();
        assert_eq!((found.config.prefix.as_str(), found.audience.as_deref()), ("s3://ns/", Some("seatrial-store")));
        assert_eq!(for_artifacts("ns", &none, &platform(None)), Err(StoreProblem::NotReady));
        assert_eq!(for_artifacts("ns", &none, &Platform::default()), Err(StoreProblem::NoArtifactStore));
        assert!(matches!(
            for_artifacts("ns", &[store("default", "https://x/")], &platform(None)),
            Err(StoreProblem::ReadOnly(_))
        ));
    }

    #[test]
    fn an_artifact_is_found_beneath_the_prefix_that_it_was_written_to() {
        let digest = Digest::of(b"x");
        let uri = format!("s3://ours/ml/{}", layout::artifact(&digest));
        let stores = [store("wide", "s3://ours/"), store("narrow", "s3://ours/ml/seatrial/")];
        let found = for_artifact(&uri, &digest, "ns", &stores, &Platform::default()).unwrap();
        assert_eq!(found.config.prefix, "s3://ours/ml/");
        let other = for_artifact(&uri, &Digest::of(b"y"), "ns", &stores, &Platform::default());
        assert_eq!(other.unwrap_err().reason(), "InvalidArtifact");
    }

    #[test]
    fn metadata_services_are_refused_even_with_a_store() {
        let stores = [store("a", "http://169.254.169.254/")];
        for uri in
            ["http://169.254.169.254/latest/", "http://METADATA:80/x", "http://metadata.internal/x", "http://[::1]/x"]
        {
            let problem = for_uri(uri, "ns", &stores, &Platform::default()).unwrap_err();
            assert_eq!(problem.reason(), "ForbiddenAddress", "{uri}");
        }
    }

    #[test]
    fn a_default_store_that_publishes_no_authority_has_a_public_one() {
        let none: [Box<Store>; 0] = [];
        let mut platform = platform(None);
        platform.default_store.as_mut().unwrap().authority_is_published = false;
        let found = for_artifacts("ns", &none, &platform).unwrap();
        assert_eq!((found.config.prefix.as_str(), found.config.authorities), ("s3://ns/", Authorities::Public));
    }
}

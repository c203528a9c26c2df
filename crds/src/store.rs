//! Store: how the URIs of a prefix are reached.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schema::{rule, set_list};

/// Where data lives and how to get in.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatrial.dev",
    version = "v1alpha1",
    kind = "Store",
    plural = "stores",
    namespaced,
    category = "seatrial",
    status = "StoreStatus",
    derive = "PartialEq",
    doc = "Store says where data lives and how to get in. Of all stores of a namespace the one with the longest prefix of a URI is used for it. The store named `default` takes the artifacts of the namespace's runs.",
    printcolumn(name = "Prefix", type_ = "string", json_path = ".spec.prefix"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint", priority = 1),
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.credentials.secretName", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[kube(crates(kube_core = "kube_core", k8s_openapi = "k8s_openapi"))]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.prefix.startsWith('s3://') || (!has(self.endpoint) && !has(self.region) && !has(self.credentials))",
         "endpoint, region and credentials belong to s3:// stores: an http(s) store is read without credentials"),
    rule("!has(self.redirectHosts) || !self.prefix.startsWith('s3://')",
         "redirectHosts belongs to http(s) stores: an S3 service is asked at its endpoint alone"),
    rule("!has(self.redirectHosts) || self.redirectHosts.all(host, !host.startsWith('169.254.') && !host.startsWith('metadata.') && !host.startsWith('metadata:') && host != 'metadata')",
         "redirectHosts must not name a metadata service or a link-local address"),
    rule("!has(self.credentials) || !has(self.credentials.webIdentity) || !has(self.endpoint) || self.endpoint.startsWith('https://') || has(self.credentials.webIdentity.stsEndpoint)",
         "credentials.webIdentity needs an https endpoint, or a stsEndpoint: a token never travels unprotected"),
    rule("!self.prefix.contains('/../') && !self.prefix.contains('/./')",
         "prefix must not contain . or .. as a folder"),
    rule("self.prefix == oldSelf.prefix", "prefix is immutable: artifacts are found by it; create another Store instead"),
    rule("!self.prefix.contains('://169.254.') && !self.prefix.contains('://metadata.') && !self.prefix.contains('://[') && !(has(self.endpoint) && (self.endpoint.contains('://169.254.') || self.endpoint.contains('://metadata.') || self.endpoint.contains('://[')))",
         "prefix and endpoint must not name a metadata service, a link-local address or an IPv6 literal"),
]))]
pub struct StoreSpec {
    /// prefix is what the URIs of this store begin with, ending in `/`: `s3://bucket/`, `s3://bucket/folder/`,
    /// `https://host/folder/`. Immutable. HTTP(S) stores are read-only.
    #[schemars(length(max = limits::PREFIX), regex(pattern = r"^(s3|https?)://[^\x00-\x20/?#@\\]+/([^\x00-\x20?#\\]*/)?$"))]
    pub prefix: String,
    /// endpoint is the URL of the S3 service; without it, AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI), regex(pattern = r"^https?://[^\x00-\x20/?#@\\]+/?$"))]
    pub endpoint: Option<String>,
    /// region is the S3 region; without it, us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[-a-z0-9]+$"))]
    pub region: Option<String>,
    /// credentials say how to get in: exactly one of secretName and webIdentity; without credentials the store is used
    /// anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// redirectHosts are the hosts that answers of an HTTP(S) store may redirect to, as those of model hubs and release
    /// pages do: `cdn.example.org`, with a port that is not the scheme's own `cdn.example.org:8443`, with any first label
    /// `*.example.org`. Redirects within the store's own host need no entry. At most five are followed, never from https to
    /// http, to a metadata service, or from a public address to a private one; no credentials go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = hosts, inner(length(max = limits::HOST), regex(pattern = limits::HOST_PATTERN)))]
    pub redirect_hosts: Vec<String>,
}

/// What a Store is used for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// observedGeneration is the generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// conditions: Ready (steps and servers are told to use it; whether it answers is said by those that ask it), Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = crate::manifests::condition_list)]
    pub conditions: Vec<Condition>,
}

fn hosts(schema: &mut Schema) {
    set_list(schema, limits::REDIRECT_HOSTS);
}

/// How to get into a store: exactly one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.secretName) != has(self.webIdentity)", "exactly one of secretName and webIdentity is required"),
]))]
pub struct Credentials {
    /// secretName is the Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be,
    /// AWS_SESSION_TOKEN. Only Seatrial's own containers of a pod see them; the operator never reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::SUBDOMAIN), regex(pattern = limits::SUBDOMAIN_PATTERN))]
    pub secret_name: Option<String>,
    /// webIdentity exchanges a token of the pod's service account for keys that last an hour, as AWS and MinIO do
    /// (AssumeRoleWithWebIdentity): there is no key to keep. Only Seatrial's own containers of a pod see the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_identity: Option<WebIdentity>,
}

/// How a token of the pod's service account is exchanged for keys. The cluster's issuer must be known to the service that
/// does so, as an OIDC provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!has(self.audience) || !self.audience.contains('kubernetes.default')",
         "audience must not be that of the cluster's API server: whoever receives the token could use it there"),
    rule("!has(self.stsEndpoint) || !(self.stsEndpoint.contains('://169.254.') || self.stsEndpoint.contains('://metadata.') || self.stsEndpoint.contains('://['))",
         "stsEndpoint must not name a metadata service, a link-local address or an IPv6 literal"),
]))]
pub struct WebIdentity {
    /// role is the role to assume: `arn:aws:iam::123456789012:role/churn`.
    #[schemars(length(min = 1, max = limits::ROLE), regex(pattern = r"^[\x21-\x7e]+$"))]
    pub role: String,
    /// audience is for whom the token is made out, and whom the role's trust policy must name; without it,
    /// `sts.amazonaws.com`. Each store of a pod has a token of its own, which no other accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = limits::AUDIENCE), regex(pattern = r"^[\x21-\x7e]+$"))]
    pub audience: Option<String>,
    /// stsEndpoint is the URL of the service that exchanges the token, https only; without it, the store's endpoint, and
    /// for AWS that of the store's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::URI), regex(pattern = r"^https://[^\x00-\x20/?#@\\]+/?$"))]
    pub sts_endpoint: Option<String>,
}

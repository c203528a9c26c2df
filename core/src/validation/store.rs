//! What makes a Store valid.

use seatrial_crds::StoreSpec;

use super::{Problem, problem};
use crate::stores;

/// All mistakes of a Store's spec that the schema's patterns do not see.
pub fn store(spec: &StoreSpec) -> Vec<Problem> {
    let mut problems = vec![];
    let is_s3 = spec.prefix.starts_with("s3://");
    for (field, is_given) in [
        ("endpoint", spec.endpoint.is_some()),
        ("region", spec.region.is_some()),
        ("credentials", spec.credentials.is_some()),
    ] {
        if is_given && !is_s3 {
            let message = "belongs to s3:// stores: an http(s) store is read without credentials";
            problems.push(problem(format!("spec.{field}"), message));
        }
    }
    if is_s3 && !spec.redirect_hosts.is_empty() {
        let message = "belongs to http(s) stores: an S3 service is asked at its endpoint alone";
        problems.push(problem("spec.redirectHosts", message));
    }
    for host in spec.redirect_hosts.iter().filter(|host| stores::is_forbidden_host(host)) {
        let message = format!("\"{host}\" is a metadata service or a link-local address, which is never fetched");
        problems.push(problem("spec.redirectHosts", message));
    }
    if spec.prefix.contains("/../") || spec.prefix.contains("/./") {
        problems.push(problem("spec.prefix", "must not contain . or .. as a folder"));
    }
    for (field, url) in [("prefix", Some(&spec.prefix)), ("endpoint", spec.endpoint.as_ref())] {
        if url.is_some_and(|url| stores::is_forbidden_url(url)) {
            let message = "names a metadata service, a link-local address or an IPv6 literal, which are never asked";
            problems.push(problem(format!("spec.{field}"), message));
        }
    }
    problems
}

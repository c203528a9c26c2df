//! What makes a Store valid.

use seatrial_crds::StoreSpec;

use super::{Problem, problem};

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
    for host in &spec.redirect_hosts {
        if host.starts_with("169.254.") || host.starts_with("metadata.") {
            let message = format!("\"{host}\" is a metadata service or a link-local address, which is never fetched");
            problems.push(problem("spec.redirectHosts", message));
        }
    }
    problems
}

//! The conditions of requests, such as `If-None-Match: *`. One that this store does not implement is refused: if it were
//! ignored, a client would believe that it was checked.

use http::HeaderMap;
use s3s::dto::{ETag, ETagCondition, ObjectVersionId, PartNumber, Timestamp};
use s3s::{S3Result, s3_error};

/// What must be so for a write to succeed.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// It succeeds whatever is there.
    Always,
    /// There is no object of this key.
    Absent,
    /// The object of this key has this ETag.
    Is(ETag),
}

impl Condition {
    /// The condition that a request's headers ask for.
    pub(super) fn of(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Self> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::Always),
            (None, Some(condition)) if condition.is_any() => Ok(Self::Absent),
            (Some(condition), None) => match condition.into_etag() {
                Some(etag) => Ok(Self::Is(etag)),
                None => Err(s3_error!(NotImplemented, "If-Match takes an ETag")),
            },
            _ => Err(s3_error!(NotImplemented, "If-None-Match takes * alone")),
        }
    }
}

/// Whether an object is one that a reader wants.
pub(super) fn readable(
    e_tag: &ETag,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let is_it = |condition: &ETagCondition| condition.as_etag().is_none_or(|wanted| wanted == e_tag);
    if if_match.is_some_and(|condition| !is_it(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(is_it) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// Refuses what was asked for and is not there.
pub(super) fn unknown(asked: &[(&str, bool)]) -> S3Result<()> {
    match asked.iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => Err(s3_error!(NotImplemented, "this store does not know {name}: ask without it")),
        None => Ok(()),
    }
}

/// Refuses what a reader may ask for and this store does not have: conditions by date, parts of an object, versions.
pub(super) fn unknown_of_read(
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
    part_number: Option<PartNumber>,
    version_id: Option<&ObjectVersionId>,
) -> S3Result<()> {
    unknown(&[
        ("If-Modified-Since", if_modified_since.is_some()),
        ("If-Unmodified-Since", if_unmodified_since.is_some()),
        ("partNumber", part_number.is_some()),
        ("versionId", is_version(version_id)),
    ])
}

/// Refuses sums of a body that nobody would check.
pub(super) fn unchecked(headers: &HeaderMap) -> S3Result<()> {
    let sum = headers
        .keys()
        .map(http::HeaderName::as_str)
        .find(|name| *name == "content-md5" || (name.starts_with("x-amz-checksum-") && !is_about_sums(name)));
    match sum {
        Some(name) => Err(s3_error!(
            NotImplemented,
            "this store does not check {name}: leave it out, or send Content-MD5 or x-amz-checksum-sha256 with an object or a \
             part"
        )),
        None => Ok(()),
    }
}

/// Names an algorithm, and no sum.
fn is_about_sums(name: &str) -> bool {
    matches!(name, "x-amz-checksum-algorithm" | "x-amz-checksum-type" | "x-amz-checksum-mode")
}

/// Refuses sums of an object's or a part's body that are neither SHA-256 nor MD5.
pub(super) fn unchecked_of_body(headers: &HeaderMap) -> S3Result<()> {
    let mut others = headers.clone();
    for checked in ["x-amz-checksum-sha256", "content-md5"] {
        others.remove(checked);
    }
    unchecked(&others)
}

/// True for a version that no object of this store has: there are none.
pub(super) fn is_version(version: Option<&String>) -> bool {
    version.is_some_and(|version| version != "null")
}

//! Who may do what: a namespace's keys, its own bucket, and the operations that the store has.

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

use crate::keys;

/// Operations on objects, and the two that clients use to look around.
const ALLOWED: [&str; 14] = [
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjects",
    "GetBucketLocation",
    "GetObject",
    "HeadBucket",
    "HeadObject",
    "ListObjects",
    "ListObjectsV2",
    "PutObject",
    "UploadPart",
];

/// Confines every request to the bucket of its keys' namespace. Sources of copies and keys of bulk deletes are in
/// bodies and headers: the backend checks them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Confined;

#[async_trait::async_trait]
impl S3Access for Confined {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let keys = context.credentials().map(|credentials| credentials.access_key.clone());
        let keys = keys.ok_or_else(|| s3_error!(AccessDenied, "requests must be signed"))?;
        let (namespace, _) = keys::parse(&keys).ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let operation = context.s3_op().name();
        if !ALLOWED.contains(&operation) {
            return Err(s3_error!(NotImplemented, "this store has no {operation}"));
        }
        match context.s3_path() {
            S3Path::Root => Err(s3_error!(AccessDenied, "buckets cannot be listed")),
            S3Path::Bucket { bucket } | S3Path::Object { bucket, .. } if bucket.as_ref() != namespace.name => {
                Err(s3_error!(AccessDenied, "these keys are for the bucket {}, not for {bucket}", namespace.name))
            }
            S3Path::Bucket { .. } | S3Path::Object { .. } => Ok(()),
        }
    }
}

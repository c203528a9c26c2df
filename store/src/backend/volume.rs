//! Translates from the file system to S3: its errors, and ETags.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use s3s::dto::ETag;
use s3s::{S3Error, s3_error};

/// Names a content: objects are never changed in place, so each has a file of its own.
pub(super) fn etag(metadata: &Metadata) -> ETag {
    let (inode, seconds, nanos) = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    ETag::Strong(format!("{inode:x}-{:x}-{seconds:x}{nanos:08x}", metadata.len()))
}

/// True where there is no room. Some errors went through tokio, which keeps their kind alone.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The S3 error for an error of the file system.
pub(super) fn storage(error: io::Error) -> S3Error {
    if is_full(&error) {
        tracing::error!("the volume is full");
        let mut refusal = s3_error!(ServiceUnavailable, "the store's volume is full: free space, or enlarge it");
        refusal.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
        return refusal;
    }
    tracing::error!(%error, "the volume cannot be used");
    s3_error!(error, InternalError, "the store's volume cannot be used")
}

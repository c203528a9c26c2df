//! Single objects, and the removal of several.

use std::fs;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;

use super::{modified, namespace};
use crate::backend::body::Body;
use crate::backend::checksums::{self, Expected};
use crate::backend::conditions::{Condition, is_version, readable, unchecked_of_body, unknown, unknown_of_read};
use crate::backend::files::{self, Content, Draft};
use crate::backend::usage::Origin;
use crate::backend::volume::{etag, storage};
use crate::backend::{Backend, names};

/// How much of an object is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

impl Backend {
    /// `PutObject`: stores an object.
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        // An invalid key is refused before the body is read.
        let place = self.place(&namespace, &input.key)?;
        unchecked_of_body(&request.headers)?;
        unknown(&[("x-amz-write-offset-bytes", input.write_offset_bytes.is_some())])?;
        let condition = Condition::of(input.if_match, input.if_none_match)?;
        let checksum_sha256 = input.checksum_sha256;
        let sums = Expected::of(checksum_sha256.as_deref(), input.content_md5.as_deref())?;
        let (bucket, length) = (namespace.folder(), input.content_length);
        let (its_place, its_condition) = (place.clone(), condition.clone());
        let ask = move |own: &Self| own.room(&bucket, length, &its_place, &its_condition);
        let (room, body) = self.admit(input.body, length, ask).await?;
        let commit = move |own: &Self, draft: &Draft, size: u64| {
            let content = Content { draft: draft.path(), size, origin: Origin::Room(&room) };
            own.commit(&content, &place, &condition)
        };
        let body = Body { stream: body, length, sums };
        let e_tag = if body.is_small() {
            let small = body.read().await?;
            let write = move |own: &Self| {
                let (draft, size) = small.draft(&own.drafts)?;
                commit(own, &draft, size)
            };
            self.blocking(write).await?
        } else {
            let (draft, size) = self.draft(body).await?;
            self.blocking(move |own| commit(own, &draft, size)).await?
        };
        let e_tag = Some(e_tag);
        Ok(S3Response::new(PutObjectOutput { e_tag, checksum_sha256, ..PutObjectOutput::default() }))
    }

    /// `GetObject`: sends an object, or a range of it.
    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        unknown_of_read(
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
            input.part_number,
            input.version_id.as_ref(),
        )?;
        let path = self.place(&namespace, &input.key)?.file;
        // The sum is that of the whole object, so that a range has none.
        let is_sum_wanted = checksums::is_wanted(input.checksum_mode.as_ref()) && input.range.is_none();
        // An open file keeps its content, even if another object takes its name meanwhile.
        let (file, metadata, checksum_sha256) = self
            .blocking(move |_| {
                files::stat(&path)?;
                let file = fs::File::open(&path).map_err(|_| s3_error!(NoSuchKey))?;
                let metadata = file.metadata().map_err(storage)?;
                let sum = if is_sum_wanted { checksums::of(&file) } else { None };
                Ok((file, metadata, sum))
            })
            .await?;
        let e_tag = etag(&metadata);
        readable(&e_tag, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let range = match input.range {
            Some(range) => Some(range.check(metadata.len())?),
            None => None,
        };
        let (start, end) = range.as_ref().map_or((0, metadata.len()), |range| (range.start, range.end));
        let mut file = tokio::fs::File::from_std(file);
        file.seek(SeekFrom::Start(start)).await.map_err(storage)?;
        let length = end.saturating_sub(start);
        let body = StreamingBlob::wrap(ReaderStream::with_capacity(file.take(length), CHUNK));
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: i64::try_from(length).ok(),
            checksum_type: checksum_sha256.as_deref().map(checksums::kind),
            checksum_sha256,
            content_range: range.map(|_| format!("bytes {start}-{}/{}", end.saturating_sub(1), metadata.len())),
            accept_ranges: Some("bytes".to_owned()),
            last_modified: modified(&metadata),
            e_tag: Some(e_tag),
            ..GetObjectOutput::default()
        }))
    }

    /// `HeadObject`: sends the metadata of an object.
    pub(super) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        unknown_of_read(
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
            input.part_number,
            input.version_id.as_ref(),
        )?;
        let path = self.place(&namespace, &input.key)?.file;
        let is_sum_wanted = checksums::is_wanted(input.checksum_mode.as_ref());
        let (metadata, checksum_sha256) = self
            .blocking(move |_| {
                let metadata = files::stat(&path)?;
                if !is_sum_wanted {
                    return Ok((metadata, None));
                }
                // Metadata and sum are of one open file, even if another object takes its name meanwhile.
                let file = fs::File::open(&path).map_err(|_| s3_error!(NoSuchKey))?;
                Ok((file.metadata().map_err(storage)?, checksums::of(&file)))
            })
            .await?;
        readable(&etag(&metadata), input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(metadata.len()).ok(),
            checksum_type: checksum_sha256.as_deref().map(checksums::kind),
            checksum_sha256,
            accept_ranges: Some("bytes".to_owned()),
            last_modified: modified(&metadata),
            e_tag: Some(etag(&metadata)),
            ..HeadObjectOutput::default()
        }))
    }

    /// `DeleteObject`: removes an object.
    pub(super) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        unknown(&[
            ("If-Match with a deletion", input.if_match.is_some()),
            ("x-amz-if-match-last-modified-time", input.if_match_last_modified_time.is_some()),
            ("x-amz-if-match-size", input.if_match_size.is_some()),
            ("versionId", is_version(input.version_id.as_ref())),
        ])?;
        let place = self.place(&namespace, &input.key)?;
        self.blocking(move |own| own.commits.remove(&place.file, &place.bucket)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    /// `DeleteObjects`: removes several objects.
    pub(super) async fn delete_all(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        let bucket = self.bucket(&namespace);
        let output = self
            .blocking(move |own| {
                let (mut deleted, mut errors) = (vec![], vec![]);
                for ObjectIdentifier { key, e_tag, last_modified_time, size, version_id } in input.delete.objects {
                    let has_condition = e_tag.is_some() || last_modified_time.is_some() || size.is_some();
                    let asked = [("conditions", has_condition), ("VersionId", is_version(version_id.as_ref()))];
                    let file = unknown(&asked).and_then(|()| names::file(&bucket, &key));
                    match file.and_then(|file| own.commits.remove(&file, &bucket)) {
                        Ok(()) => deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() }),
                        Err(error) => errors.push(Error {
                            key: Some(key),
                            code: Some(error.code().as_str().to_owned()),
                            message: error.message().map(str::to_owned),
                            ..Error::default()
                        }),
                    }
                }
                let (deleted, errors) = (Some(deleted), Some(errors));
                Ok(DeleteObjectsOutput { deleted, errors, ..DeleteObjectsOutput::default() })
            })
            .await?;
        Ok(S3Response::new(output))
    }

    /// `CopyObject`: makes a second object with the same content, as a hard link.
    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        let CopySource::Bucket { bucket, key, version_id: None } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "a source is a bucket and a key"));
        };
        if bucket.as_ref() != input.bucket {
            return Err(s3_error!(AccessDenied, "a source is in the same bucket"));
        }
        unknown(&[
            ("x-amz-copy-source-if-match", input.copy_source_if_match.is_some()),
            ("x-amz-copy-source-if-none-match", input.copy_source_if_none_match.is_some()),
            ("x-amz-copy-source-if-modified-since", input.copy_source_if_modified_since.is_some()),
            ("x-amz-copy-source-if-unmodified-since", input.copy_source_if_unmodified_since.is_some()),
            ("If-Match with a copy", request.headers.contains_key(http::header::IF_MATCH)),
            ("If-None-Match with a copy", request.headers.contains_key(http::header::IF_NONE_MATCH)),
        ])?;
        let source = self.place(&namespace, key)?.file;
        let place = self.place(&namespace, &input.key)?;
        let bucket = namespace.folder();
        // Objects are never changed in place, so that a hard link serves as a copy. The quota counts it as one.
        let (metadata, e_tag) = self
            .blocking(move |own| {
                files::stat(&source)?;
                let draft = Draft::link(&own.drafts, &source)?;
                let metadata = files::stat(draft.path())?;
                let size = metadata.len();
                let room = own.room(&bucket, i64::try_from(size).ok(), &place, &Condition::Always)?;
                let content = Content { draft: draft.path(), size, origin: Origin::Room(&room) };
                let e_tag = own.commit(&content, &place, &Condition::Always)?;
                Ok((metadata, e_tag))
            })
            .await?;
        let result =
            CopyObjectResult { e_tag: Some(e_tag), last_modified: modified(&metadata), ..CopyObjectResult::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() }))
    }
}

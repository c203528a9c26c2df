//! S3's operations.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use super::body::Body;
use super::checksums::{self, Expected};
use super::conditions::{Condition, is_version, readable, unchecked, unchecked_of_body, unknown};
use super::files::{self, Content, Draft};
use super::list::Item;
use super::multipart::Completed;
use super::usage::Origin;
use super::volume::{etag, storage};
use super::{Backend, Completion, PAGE, names};
use crate::keys::{self, Namespace};

/// How much of an object is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

fn modified(metadata: &fs::Metadata) -> Option<Timestamp> {
    metadata.modified().ok().map(SystemTime::into).map(|time: time::OffsetDateTime| time.into())
}

/// The namespace of a request's keys, whose bucket it asks for.
fn namespace<T>(request: &S3Request<T>, bucket: &str) -> S3Result<Namespace> {
    let keys = request.credentials.as_ref().and_then(|credentials| keys::parse(&credentials.access_key));
    let namespace = keys.map(|(namespace, _)| namespace).filter(|namespace| namespace.name == bucket);
    namespace.ok_or_else(|| s3_error!(AccessDenied, "these keys are for another bucket than {bucket}"))
}

/// Objects and groups of a page, as both versions of the operation answer them.
fn answer(items: Vec<Item>) -> (ObjectList, CommonPrefixList) {
    let (mut objects, mut groups) = (vec![], vec![]);
    for item in items {
        match item {
            Item::Object(key, metadata) => objects.push(Object {
                key: Some(key),
                size: i64::try_from(metadata.len()).ok(),
                last_modified: modified(&metadata),
                e_tag: Some(etag(&metadata)),
                ..Object::default()
            }),
            Item::Group(prefix) => groups.push(CommonPrefix { prefix: Some(prefix) }),
        }
    }
    (objects, groups)
}

fn by_folder(delimiter: Option<&str>) -> S3Result<bool> {
    match delimiter {
        None | Some("") => Ok(false),
        Some("/") => Ok(true),
        Some(_) => Err(s3_error!(NotImplemented, "the one delimiter is /")),
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        // A key that cannot be is refused before its body is read.
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

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        unknown(&[
            ("If-Modified-Since", input.if_modified_since.is_some()),
            ("If-Unmodified-Since", input.if_unmodified_since.is_some()),
            ("partNumber", input.part_number.is_some()),
            ("versionId", is_version(input.version_id.as_ref())),
        ])?;
        let path = self.place(&namespace, &input.key)?.file;
        // The sum is of the whole.
        let is_sum_wanted = checksums::is_wanted(input.checksum_mode.as_ref()) && input.range.is_none();
        // What is opened stays as it is, whatever takes its name meanwhile.
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

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        unknown(&[
            ("If-Modified-Since", input.if_modified_since.is_some()),
            ("If-Unmodified-Since", input.if_unmodified_since.is_some()),
            ("partNumber", input.part_number.is_some()),
            ("versionId", is_version(input.version_id.as_ref())),
        ])?;
        let path = self.place(&namespace, &input.key)?.file;
        let is_sum_wanted = checksums::is_wanted(input.checksum_mode.as_ref());
        let (metadata, checksum_sha256) = self
            .blocking(move |_| {
                if !is_sum_wanted {
                    return Ok((files::stat(&path)?, None));
                }
                files::stat(&path)?;
                // Both of one content, whatever takes its name meanwhile.
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

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
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

    async fn delete_objects(
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

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
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
        // Objects are never changed in place: a second name is a copy. It counts as one, too.
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

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        let after = input.continuation_token.clone().or(input.start_after.clone()).unwrap_or_default();
        let limit = input.max_keys.unwrap_or(PAGE);
        let grouped = by_folder(input.delimiter.as_deref())?;
        let (items, more) = self.page(&namespace, input.prefix.clone(), grouped, after, limit).await?;
        let last = items.last().map(|item| item.key().to_owned());
        let count = i32::try_from(items.len()).ok();
        let (contents, common_prefixes) = answer(items);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: Some(limit),
            key_count: count,
            is_truncated: Some(more),
            continuation_token: input.continuation_token,
            next_continuation_token: last.filter(|_| more),
            start_after: input.start_after,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let input = request.input;
        let limit = input.max_keys.unwrap_or(PAGE);
        let grouped = by_folder(input.delimiter.as_deref())?;
        let after = input.marker.clone().unwrap_or_default();
        let (items, more) = self.page(&namespace, input.prefix.clone(), grouped, after, limit).await?;
        let last = items.last().map(|item| item.key().to_owned());
        let (contents, common_prefixes) = answer(items);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            marker: input.marker,
            max_keys: Some(limit),
            is_truncated: Some(more),
            next_marker: last.filter(|_| more),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..ListObjectsOutput::default()
        }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        // A namespace's bucket is always there; its folder comes with the first object.
        namespace(&request, &request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        namespace(&request, &request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let namespace = namespace(&request, &request.input.bucket)?;
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        self.place(&namespace, &key)?;
        let output = self
            .blocking(move |own| {
                let upload_id = Some(own.uploads.begin(&namespace.folder(), &key)?);
                let (bucket, key) = (Some(bucket), Some(key));
                Ok(CreateMultipartUploadOutput { bucket, key, upload_id, ..CreateMultipartUploadOutput::default() })
            })
            .await?;
        Ok(S3Response::new(output))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        unchecked_of_body(&request.headers)?;
        let bucket = namespace(&request, &request.input.bucket)?.folder();
        let UploadPartInput { key, upload_id, part_number, body, content_length, checksum_sha256, .. } = request.input;
        let sums = Expected::of(checksum_sha256.as_deref(), request.input.content_md5.as_deref())?;
        let (id, its_bucket, its_key) = (upload_id.clone(), bucket.clone(), key.clone());
        let upload = self.blocking(move |own| own.uploads.find(&id, &its_bucket, &its_key)).await?;
        let its_bucket = bucket.clone();
        let ask = move |own: &Self| own.usage.reserve(&its_bucket, content_length, upload.size_of(part_number)?);
        let (room, body) = self.admit(body, content_length, ask).await?;
        let turn = self.uploads.turn(&upload_id).await;
        let (id, its_bucket, its_key) = (upload_id.clone(), bucket.clone(), key.clone());
        let slot = self
            .blocking(move |own| {
                let _turn = turn;
                let upload = own.uploads.find(&id, &its_bucket, &its_key)?;
                let length = content_length.and_then(|length| u64::try_from(length).ok());
                let slot = length.map(|length| upload.slot(part_number, length)).transpose()?.flatten();
                slot.map(|slot| Ok((slot.open().map_err(storage)?, Arc::new(slot)))).transpose()
            })
            .await?;
        let e_tag = if let Some((file, slot)) = slot {
            let body = Body { stream: body, length: content_length, sums };
            let (size, sum) = body.write(file, Some(slot.clone()), |_, _| Ok(())).await?;
            let turn = self.uploads.turn(&upload_id).await;
            let keep = move |own: &Self| {
                let _turn = turn;
                own.uploads.find(&upload_id, &bucket, &key)?.keep_placed(&slot, size, sum, &room)
            };
            self.blocking(keep).await?
        } else {
            let (draft, size) = self.draft(Body { stream: body, length: content_length, sums }).await?;
            let turn = self.uploads.turn(&upload_id).await;
            let keep = move |own: &Self| {
                let _turn = turn;
                own.uploads.find(&upload_id, &bucket, &key)?.keep(draft.path(), size, part_number, &room)
            };
            self.blocking(keep).await?
        };
        let e_tag = Some(e_tag);
        Ok(S3Response::new(UploadPartOutput { e_tag, checksum_sha256, ..UploadPartOutput::default() }))
    }

    /// It goes on whatever becomes of the client that asked for it, and the client is told in time that it does.
    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        unchecked(&request.headers)?;
        let namespace = namespace(&request, &request.input.bucket)?;
        let CompleteMultipartUploadInput { bucket, key, upload_id: id, multipart_upload, .. } = request.input;
        let condition = Condition::of(request.input.if_match, request.input.if_none_match)?;
        unknown(&[("x-amz-mp-object-size", request.input.mpu_object_size.is_some())])?;
        let place = self.place(&namespace, &key)?;
        let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let asked = Completion { id, bucket: namespace.folder(), key: key.clone(), parts, place, condition };
        let own = self.clone();
        let mut work = tokio::spawn(async move {
            let turn = own.uploads.turn(&asked.id).await;
            own.blocking(move |own| {
                let _turn = turn;
                own.complete(&asked)
            })
            .await
        });
        let output = move |Completed { e_tag, sum }| CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(e_tag),
            checksum_type: sum.as_deref().map(checksums::kind),
            checksum_sha256: sum,
            ..CompleteMultipartUploadOutput::default()
        };
        match timeout(self.answer_within, &mut work).await {
            Ok(done) => Ok(S3Response::new(output(done.map_err(|error| s3_error!(error, InternalError))??))),
            Err(_) => {
                let later = async move { Ok(output(work.await.map_err(|error| s3_error!(error, InternalError))??)) };
                let future = Some(Box::pin(later) as _);
                Ok(S3Response::new(CompleteMultipartUploadOutput {
                    future,
                    ..CompleteMultipartUploadOutput::default()
                }))
            }
        }
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let bucket = namespace(&request, &request.input.bucket)?.folder();
        let AbortMultipartUploadInput { key, upload_id, .. } = request.input;
        let turn = self.uploads.turn(&upload_id).await;
        let end = move |own: &Self| {
            let _turn = turn;
            own.uploads.find(&upload_id, &bucket, &key)?.end()
        };
        self.blocking(end).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

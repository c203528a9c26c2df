//! Objects as files. The library's own file backend would not do: there, several writers can all be the first.
//!
//! ```text
//! <data>/objects/<bucket>/…   objects, see `names`
//! <data>/uploads/<id>/…       uploads in parts
//! <data>/drafts/<nonce>       what is being written
//! ```

mod files;
mod list;
mod multipart;
mod names;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;

use files::{Commits, Condition, Draft, etag, storage};
use list::{Item, Query};
use multipart::Upload;

/// The largest page of a list, S3's own.
const PAGE: i32 = 1000;
/// How much of an object is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// The store's files.
#[derive(Clone, Debug)]
pub struct Backend {
    objects: PathBuf,
    uploads: PathBuf,
    drafts: PathBuf,
    commits: Arc<Commits>,
}

impl Backend {
    /// Opens a data folder, and removes what a crash left half done.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        let folder = |name: &str| {
            let folder = data.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            anyhow::Ok(folder)
        };
        let backend = Self {
            objects: folder("objects")?,
            uploads: folder("uploads")?,
            drafts: folder("drafts")?,
            commits: Arc::default(),
        };
        for draft in fs::read_dir(&backend.drafts)? {
            fs::remove_file(draft?.path())?;
        }
        backend.sweep()?;
        Ok(backend)
    }

    /// Removes uploads that were abandoned.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub fn sweep(&self) -> io::Result<()> {
        multipart::sweep(&self.uploads)
    }

    fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        if crate::keys::is_namespace(bucket) { Ok(self.objects.join(bucket)) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn file(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        names::file(&self.bucket(bucket)?, key)
    }

    /// Does what blocks, beside what does not.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let own = self.clone();
        tokio::task::spawn_blocking(move || work(&own)).await.map_err(|error| s3_error!(error, InternalError))?
    }

    /// A draft with a body, on the disk, and its size.
    async fn draft(&self, body: Option<StreamingBlob>, expected: Option<i64>) -> S3Result<(Draft, u64)> {
        let (draft, file) = self.blocking(|own| Draft::create(&own.drafts)).await?;
        let size = Draft::fill(file, body, expected).await?;
        Ok((draft, size))
    }

    async fn page(
        &self,
        bucket: &str,
        prefix: Option<String>,
        by_folder: bool,
        after: String,
        limit: i32,
    ) -> S3Result<(Vec<Item>, bool)> {
        let folder = self.bucket(bucket)?;
        let limit = usize::try_from(limit.clamp(0, PAGE)).unwrap_or_default();
        let prefix = prefix.unwrap_or_default();
        self.blocking(move |_| list::page(&folder, &Query { prefix: &prefix, by_folder, after: &after, limit })).await
    }
}

fn modified(metadata: &fs::Metadata) -> Option<Timestamp> {
    metadata.modified().ok().map(SystemTime::into).map(|time: time::OffsetDateTime| time.into())
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
        let input = request.input;
        // A key that cannot be is refused before its body is read.
        let (folder, target) = (self.bucket(&input.bucket)?, self.file(&input.bucket, &input.key)?);
        let condition = Condition::of(input.if_match, input.if_none_match)?;
        let (draft, size) = self.draft(input.body, input.content_length).await?;
        let commit = move |own: &Self| own.commits.commit(draft.path(), size, &target, &folder, &condition);
        let e_tag = self.blocking(commit).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(e_tag), ..PutObjectOutput::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let path = self.file(&input.bucket, &input.key)?;
        let stat_path = path.clone();
        // What is opened stays as it is, whatever takes its name meanwhile.
        let (file, metadata) = self
            .blocking(move |_| {
                files::stat(&stat_path)?;
                let file = fs::File::open(&stat_path).map_err(|_| s3_error!(NoSuchKey))?;
                let metadata = file.metadata().map_err(storage)?;
                Ok((file, metadata))
            })
            .await?;
        let e_tag = etag(&metadata);
        if input.if_match.and_then(ETagCondition::into_etag).is_some_and(|expected| expected != e_tag) {
            return Err(s3_error!(PreconditionFailed));
        }
        if input.if_none_match.and_then(ETagCondition::into_etag).is_some_and(|known| known == e_tag) {
            return Err(s3_error!(NotModified));
        }
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
            content_range: range.map(|_| format!("bytes {start}-{}/{}", end.saturating_sub(1), metadata.len())),
            accept_ranges: Some("bytes".to_owned()),
            last_modified: modified(&metadata),
            e_tag: Some(e_tag),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let path = self.file(&request.input.bucket, &request.input.key)?;
        let metadata = self.blocking(move |_| files::stat(&path)).await?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(metadata.len()).ok(),
            accept_ranges: Some("bytes".to_owned()),
            last_modified: modified(&metadata),
            e_tag: Some(etag(&metadata)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (folder, path) =
            (self.bucket(&request.input.bucket)?, self.file(&request.input.bucket, &request.input.key)?);
        self.blocking(move |_| files::remove(&path, &folder)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let output = self
            .blocking(move |_| {
                let (mut deleted, mut errors) = (vec![], vec![]);
                for ObjectIdentifier { key, .. } in input.delete.objects {
                    match names::file(&bucket, &key).and_then(|path| files::remove(&path, &bucket)) {
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
        let input = request.input;
        let CopySource::Bucket { bucket, key, version_id: None } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "a source is a bucket and a key"));
        };
        if bucket.as_ref() != input.bucket {
            return Err(s3_error!(AccessDenied, "a source is in the same bucket"));
        }
        let source = self.file(bucket, key)?;
        let (folder, target) = (self.bucket(&input.bucket)?, self.file(&input.bucket, &input.key)?);
        // Objects are never changed in place: a second name is a copy.
        let (metadata, e_tag) = self
            .blocking(move |own| {
                files::stat(&source)?;
                let draft = Draft::link(&own.drafts, &source)?;
                let metadata = files::stat(draft.path())?;
                let size = metadata.len();
                let e_tag = own.commits.commit(draft.path(), size, &target, &folder, &Condition::Always)?;
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
        let input = request.input;
        let after = input.continuation_token.clone().or(input.start_after.clone()).unwrap_or_default();
        let limit = input.max_keys.unwrap_or(PAGE);
        let grouped = by_folder(input.delimiter.as_deref())?;
        let (items, more) = self.page(&input.bucket, input.prefix.clone(), grouped, after, limit).await?;
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
        let input = request.input;
        let limit = input.max_keys.unwrap_or(PAGE);
        let grouped = by_folder(input.delimiter.as_deref())?;
        let after = input.marker.clone().unwrap_or_default();
        let (items, more) = self.page(&input.bucket, input.prefix.clone(), grouped, after, limit).await?;
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
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        _: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        self.file(&bucket, &key)?;
        let output = self
            .blocking(move |own| {
                let upload_id = Some(Upload::begin(&own.uploads, &bucket, &key)?);
                let (bucket, key) = (Some(bucket), Some(key));
                Ok(CreateMultipartUploadOutput { bucket, key, upload_id, ..CreateMultipartUploadOutput::default() })
            })
            .await?;
        Ok(S3Response::new(output))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let UploadPartInput { bucket, key, upload_id, part_number, body, content_length, .. } = request.input;
        let uploads = self.uploads.clone();
        let upload = self.blocking(move |_| Upload::find(&uploads, &upload_id, &bucket, &key)).await?;
        let (draft, size) = self.draft(body, content_length).await?;
        let e_tag = self.blocking(move |_| upload.keep(draft.path(), size, part_number)).await?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(e_tag), ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, if_match, if_none_match, .. } =
            request.input;
        let condition = Condition::of(if_match, if_none_match)?;
        let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let (folder, target) = (self.bucket(&bucket)?, self.file(&bucket, &key)?);
        let output = self
            .blocking(move |own| {
                let upload = Upload::find(&own.uploads, &upload_id, &bucket, &key)?;
                let (draft, file) = Draft::create(&own.drafts)?;
                let size = upload.join(&parts, &file)?;
                let e_tag = Some(own.commits.commit(draft.path(), size, &target, &folder, &condition)?);
                upload.end()?;
                let (bucket, key) = (Some(bucket), Some(key));
                Ok(CompleteMultipartUploadOutput { bucket, key, e_tag, ..CompleteMultipartUploadOutput::default() })
            })
            .await?;
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        self.blocking(move |own| Upload::find(&own.uploads, &upload_id, &bucket, &key)?.end()).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

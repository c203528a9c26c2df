//! The operations of multipart uploads.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use tokio::time::timeout;

use super::namespace;
use crate::backend::body::Body;
use crate::backend::checksums::{self, Expected};
use crate::backend::conditions::{Condition, unchecked, unchecked_of_body, unknown};
use crate::backend::multipart::Completed;
use crate::backend::volume::storage;
use crate::backend::{Backend, Completion};

impl Backend {
    /// `CreateMultipartUpload`: begins an upload in parts.
    pub(super) async fn begin_upload(
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

    /// `UploadPart`: stores a part.
    pub(super) async fn take_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
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

    /// `CompleteMultipartUpload`: makes an object of the parts. It goes on even if the client goes away. A client that waits
    /// gets a sign of life in time.
    pub(super) async fn complete_upload(
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

    /// `AbortMultipartUpload`: removes an upload with its parts.
    pub(super) async fn abort_upload(
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

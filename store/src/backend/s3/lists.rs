//! Lists of objects.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{modified, namespace};
use crate::backend::list::Item;
use crate::backend::volume::etag;
use crate::backend::{Backend, PAGE};

impl Backend {
    /// A page of a list.
    pub(super) async fn list(
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

    /// `ListObjects`, the first version of the operation.
    pub(super) async fn list_by_marker(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
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

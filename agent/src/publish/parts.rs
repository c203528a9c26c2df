//! Uploads a large file in parts, several at once. What an outage interrupts goes on with the parts that it met.

use futures::{TryStreamExt, stream};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error, PutPayload};
use seatrial_core::contract::ExitCode;

use crate::error::AgentError;
use crate::flow::{MEMORY, PARTS as AT_ONCE};
use crate::publish::reader::{File, Reader};
use crate::publish::target::Target;
use crate::remote::failure;
use crate::remote::outage::Failure;
use crate::remote::refusal::{Refusal, find};

/// The size of a part, in bytes, as long as the file's size allows. Files up to it go in one piece.
pub(crate) const PART: u64 = 8 * MIB;
/// The largest part, in bytes.
const LARGEST: u64 = 64 * MIB;
const _: () = assert!(LARGEST <= MEMORY, "every part must fit in memory");
const MIB: u64 = 1 << 20;
/// The parts of an upload that S3 allows.
const PARTS: u64 = 10_000;

/// The size of the parts of a file.
///
/// # Errors
/// Where the file is so large that not even parts of the largest size are few enough.
pub(crate) fn size(file: &File) -> Result<u64, AgentError> {
    of(file.size).ok_or_else(|| {
        let path = file.folder.path().join(&file.name);
        let most = LARGEST * PARTS;
        let message = format!(
            "{} has {} bytes, a store takes {most} at most in one file: write several smaller ones",
            path.display(),
            file.size
        );
        AgentError::new(ExitCode::BadOutput, message)
    })
}

fn of(size: u64) -> Option<u64> {
    let part = size.div_ceil(PARTS).div_ceil(MIB).saturating_mul(MIB).max(PART);
    (part <= LARGEST).then_some(part)
}

/// Sends a file in parts of this size.
pub(crate) async fn send(target: &Target<'_>, file: &File, key: &Path, part: u64) -> Result<(), Failure> {
    let objects = target.store.objects()?;
    let id = objects.create_multipart(key).await.map_err(|error| failure::uploading(&error))?;
    target.begin(key, &id);
    let sent = send_parts(target, file, key, part, &id).await;
    if sent.is_err() {
        // It would take the space that the next try needs. Where this fails, too, the store sweeps it some day.
        let _ = objects.abort_multipart(key, &id).await;
    }
    target.end(&id);
    sent
}

async fn send_parts(target: &Target<'_>, file: &File, key: &Path, part: u64, id: &String) -> Result<(), Failure> {
    let reader = Reader::open(file, &target.buffers).await?;
    let read = stream::try_unfold((reader, 0_usize), async |(reader, number)| {
        // A part has its place in memory before it is read, and until the store has it.
        let share = target.flow.hold(part).await;
        let (reader, content) = reader.next(part).await?;
        if content.is_empty() {
            return reader.check().map(|()| None).map_err(Failure::from);
        }
        Ok(Some(((number, PutPayload::from(content), share), (reader, number.saturating_add(1)))))
    });
    let sent = read.map_ok(async |(number, content, share)| {
        let what = format!("part {} of {}", number.saturating_add(1), file.name);
        let put = async || match target.store.objects()?.put_part(key, id, number, content.clone()).await {
            Ok(part) => Ok(Some(part)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure::uploading(&error)),
        };
        let part = target.outages.wait_out(&what, put).await?.ok_or_else(forgotten)?;
        drop(share);
        Ok((number, part))
    });
    let mut parts: Vec<(usize, PartId)> = sent.try_buffer_unordered(AT_ONCE).try_collect().await?;
    parts.sort_unstable_by_key(|(number, _)| *number);
    complete(target, file, key, id, parts.into_iter().map(|(_, part)| part).collect()).await
}

/// Puts the parts together. Where an answer is lost, the object may be there all the same, or on its way.
async fn complete(
    target: &Target<'_>,
    file: &File,
    key: &Path,
    id: &String,
    parts: Vec<PartId>,
) -> Result<(), Failure> {
    let mut no: Option<Failure> = None;
    let completed = target
        .outages
        .wait_out(&format!("the parts of {}", file.name), async || {
            let completed = target.store.objects()?.complete_multipart(key, id, parts.clone()).await;
            let Err(error) = completed else { return Ok(true) };
            let is_answer = matches!(error, Error::NotFound { .. }) || find::<Refusal>(&error).is_some();
            match target.holds(key, &file.digest, file.size).await {
                Ok(true) => Ok(true),
                // The store said no, as when it is full, and means it: the parts must go.
                Ok(false) if is_answer => {
                    no = Some(match error {
                        Error::NotFound { .. } => forgotten(),
                        error => failure::uploading(&error),
                    });
                    Ok(false)
                }
                _ => Err(failure::uploading(&error)),
            }
        })
        .await?;
    if completed { Ok(()) } else { Err(no.unwrap_or_else(forgotten)) }
}

/// The whole file is sent anew.
fn forgotten() -> Failure {
    Failure::Outage("the store knows nothing of the upload any more".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_file_and_stay_few_and_small_enough() {
        const GIB: u64 = 1 << 30;
        for (size, expected) in [
            (9 * MIB, 8 * MIB),
            (78 * GIB, 8 * MIB),
            (80 * GIB, 9 * MIB),
            (500 * GIB, 52 * MIB),
            (640_000 * MIB, 64 * MIB),
        ] {
            let part = of(size).unwrap();
            assert_eq!(part, expected, "{size}");
            assert!(size.div_ceil(part) <= PARTS && part <= LARGEST, "{size}");
        }
        assert_eq!(of(640_000 * MIB + 1), None);
        assert_eq!(of(u64::MAX), None);
    }
}

//! Uploads in parts: a folder each, bound to a bucket and a key and to nobody's keys, which are renewed meanwhile.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use s3s::dto::{CompletedPart, ETag};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::files::{etag, measured, storage};

/// How long an upload may lie before it is swept.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// S3's bounds of a part's number.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    bucket: String,
    key: String,
}

/// An upload under way.
#[derive(Debug)]
pub(super) struct Upload {
    folder: PathBuf,
}

impl Upload {
    /// Begins one, and names it.
    pub(super) fn begin(uploads: &Path, bucket: &str, key: &str) -> S3Result<String> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let folder = uploads.join(&id);
        let target = Target { bucket: bucket.to_owned(), key: key.to_owned() };
        let json = serde_json::to_vec(&target).map_err(|error| s3_error!(error, InternalError))?;
        fs::create_dir(&folder).map_err(storage)?;
        if let Err(error) = fs::write(folder.join("target"), json) {
            let _ = fs::remove_dir_all(&folder);
            return Err(storage(error));
        }
        Ok(id)
    }

    /// Finds one again.
    pub(super) fn find(uploads: &Path, id: &str, bucket: &str, key: &str) -> S3Result<Self> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = uploads.join(id);
        let target = Some(&folder).filter(|_| is_id).and_then(|folder| fs::read(folder.join("target")).ok());
        let target: Option<Target> = target.and_then(|json| serde_json::from_slice(&json).ok());
        if target.is_some_and(|target| target.bucket == bucket && target.key == key) {
            Ok(Self { folder })
        } else {
            Err(s3_error!(NoSuchUpload))
        }
    }

    /// Takes a part of this size, in place of an earlier one of its number.
    pub(super) fn keep(&self, draft: &Path, size: u64, number: i32) -> S3Result<ETag> {
        if !NUMBERS.contains(&number) {
            return Err(s3_error!(InvalidArgument, "a part's number is 1 to 10000"));
        }
        let e_tag = etag(&measured(draft, size)?);
        fs::rename(draft, self.part(number)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => s3_error!(NoSuchUpload),
            _ => storage(error),
        })?;
        Ok(e_tag)
    }

    /// Puts the parts together in a draft, and says how many bytes they have.
    pub(super) fn join(&self, parts: &[CompletedPart], mut whole: &File) -> S3Result<u64> {
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload has at least one part"));
        }
        let (mut last, mut size) = (0, 0_u64);
        for part in parts {
            let number = part.part_number.unwrap_or_default();
            if number <= last {
                return Err(s3_error!(InvalidPartOrder));
            }
            last = number;
            let mut file =
                File::open(self.part(number)).map_err(|_| s3_error!(InvalidPart, "there is no part {number}"))?;
            let metadata = file.metadata().map_err(storage)?;
            let found = etag(&metadata);
            size = size.saturating_add(metadata.len());
            if part.e_tag.as_ref().is_some_and(|expected| *expected != found) {
                return Err(s3_error!(InvalidPart, "the part {number} is another"));
            }
            io::copy(&mut file, &mut whole).map_err(storage)?;
        }
        whole.sync_all().map_err(storage)?;
        Ok(size)
    }

    /// Removes it with all its parts.
    pub(super) fn end(&self) -> S3Result<()> {
        fs::remove_dir_all(&self.folder).map_err(storage)
    }

    fn part(&self, number: i32) -> PathBuf {
        self.folder.join(format!("part-{number}"))
    }
}

/// Removes uploads that nobody goes on with.
pub(super) fn sweep(uploads: &Path) -> io::Result<()> {
    for entry in fs::read_dir(uploads)? {
        let entry = entry?;
        let age = entry.metadata()?.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

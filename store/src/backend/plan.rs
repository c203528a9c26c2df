//! What is to become of an upload's parts, on the disk before anything is changed for it, and never changed: see `join`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use s3s::dto::{CompletedPart, ETag};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::parts::{self, whole_file};
use super::volume::storage;
use crate::durable::sync;

/// A part of which an upload is to be made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) number: i32,
    pub(super) e_tag: ETag,
    pub(super) size: u64,
    /// The sum of its content, if its client sent one.
    #[serde(default)]
    pub(super) sum: Option<String>,
    /// Where it began in the whole when this was planned, if it was there.
    #[serde(default)]
    pub(super) offset: Option<u64>,
}

/// What becomes of an upload's parts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) parts: Vec<Planned>,
}

/// How many bytes an upload has: all that its client sent, or, once it is being completed, what it becomes.
pub(super) fn held(upload: &Path) -> io::Result<u64> {
    match Plan::read(upload) {
        Ok(Some(plan)) => Ok(plan.size()),
        _ => parts::held(upload),
    }
}

/// Puts a small file of an upload on the disk, whole or not at all.
pub(super) fn keep(upload: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let draft = upload.join(format!("{name}.new"));
    let written = fs::write(&draft, content).and_then(|()| sync(&draft)).and_then(|()| {
        fs::rename(&draft, upload.join(name))?;
        sync(upload)
    });
    written.inspect_err(|_| drop(fs::remove_file(&draft)))
}

impl Plan {
    /// The plan of an upload, if one was made.
    pub(super) fn read(upload: &Path) -> S3Result<Option<Self>> {
        match fs::read(upload.join("plan")) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| s3_error!(error, InternalError)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage(error)),
        }
    }

    /// A new one: the parts must be there, and be those that the client sent.
    pub(super) fn make(upload: &Path, asked: &[CompletedPart]) -> S3Result<Self> {
        if asked.is_empty() {
            return Err(s3_error!(MalformedXML, "an upload has at least one part"));
        }
        let mut parts: Vec<Planned> = Vec::with_capacity(asked.len());
        for part in asked {
            let number = part.part_number.unwrap_or_default();
            if parts.last().is_some_and(|last| number <= last.number) {
                return Err(s3_error!(InvalidPartOrder));
            }
            let found = parts::find(upload, number).map_err(storage)?;
            let found = found.ok_or_else(|| s3_error!(InvalidPart, "there is no part {number}"))?;
            let parts::Part { size, e_tag, sum, offset } = found;
            if part.e_tag.as_ref().is_some_and(|expected| *expected != e_tag) {
                return Err(s3_error!(InvalidPart, "the part {number} is another"));
            }
            if part.checksum_sha256.as_ref().is_some_and(|expected| Some(expected) != sum.as_ref()) {
                return Err(s3_error!(InvalidPart, "the part {number} has not the SHA-256 that is asked for"));
            }
            parts.push(Planned { number, e_tag, size, sum, offset });
        }
        Ok(Self { parts })
    }

    /// Puts it on the disk. From now on, parts of this upload are neither added nor replaced.
    pub(super) fn keep(&self, upload: &Path) -> S3Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| s3_error!(error, InternalError))?;
        // Whoever finds the plan and no whole knows that it was completed.
        let whole = File::options().create(true).truncate(false).write(true).open(whole_file(upload));
        whole.and_then(|_| keep(upload, "plan", &json)).map_err(storage)
    }

    /// True where a client asks for what was planned.
    pub(super) fn is_for(&self, asked: &[CompletedPart]) -> bool {
        let same = |(planned, asked): (&Planned, &CompletedPart)| {
            asked.part_number == Some(planned.number)
                && asked.e_tag.as_ref().is_none_or(|expected| *expected == planned.e_tag)
        };
        self.parts.len() == asked.len() && self.parts.iter().zip(asked).all(same)
    }

    /// How many bytes all parts have.
    pub(super) fn size(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size))
    }

    /// The file that becomes the object.
    pub(super) fn file(&self, upload: &Path) -> PathBuf {
        if self.is_in_place() { whole_file(upload) } else { upload.join("gathered") }
    }

    /// The parts, and where each begins in the object.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&Planned, u64)> {
        self.parts.iter().scan(0_u64, |end, part| {
            let start = *end;
            *end = start.saturating_add(part.size);
            Some((part, start))
        })
    }

    /// True where the places that parts have are those that they need.
    pub(super) fn is_in_place(&self) -> bool {
        self.placed().all(|(part, start)| part.offset.is_none_or(|offset| offset == start))
    }
}

//! The parts of an upload on the disk.
//!
//! ```text
//! <upload>/whole      what is to be the object: parts that came to their place in it
//! <upload>/placed-N   says that the part N is in its place, which, and with which sum
//! <upload>/part-N     a part that is not in its place; it counts before `placed-N`
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use s3s::dto::ETag;
use serde::{Deserialize, Serialize};

use super::checksums;
use super::volume::etag;

/// What is known of a part in its place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The size of each place in this upload, in bytes.
    pub(super) slot: u64,
    /// Of the part itself.
    pub(super) size: u64,
    pub(super) e_tag: ETag,
    /// The sum of its content, if its client sent one.
    pub(super) sum: Option<String>,
}

impl Record {
    fn offset(&self, number: i32) -> u64 {
        u64::try_from(number).unwrap_or_default().saturating_sub(1).saturating_mul(self.slot)
    }
}

/// A part, wherever it is.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) size: u64,
    pub(super) e_tag: ETag,
    pub(super) sum: Option<String>,
    /// Where it begins in the whole, if it is there.
    pub(super) offset: Option<u64>,
}

/// The part of a number, if there is one.
pub(super) fn find(upload: &Path, number: i32) -> io::Result<Option<Part>> {
    let file = part_file(upload, number);
    match fs::metadata(&file) {
        Ok(metadata) => {
            let (size, e_tag, sum) = (metadata.len(), etag(&metadata), checksums::at(&file));
            return Ok(Some(Part { size, e_tag, sum, offset: None }));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let Some(record) = record(&record_file(upload, number))? else { return Ok(None) };
    let offset = Some(record.offset(number));
    let Record { size, e_tag, sum, .. } = record;
    Ok(Some(Part { size, e_tag, sum, offset }))
}

/// Says that a part is in its place. An earlier one of its number counts no more.
pub(super) fn keep(upload: &Path, number: i32, record: &Record) -> io::Result<()> {
    let draft = upload.join(format!("placed-{number}.new"));
    fs::write(&draft, serde_json::to_vec(record)?)?;
    fs::rename(draft, record_file(upload, number))?;
    forget(&part_file(upload, number))
}

/// Takes a file for a part, in place of an earlier one of its number.
pub(super) fn adopt(upload: &Path, number: i32, file: &Path) -> io::Result<()> {
    let earlier = record(&record_file(upload, number))?;
    fs::rename(file, part_file(upload, number))?;
    forget(&record_file(upload, number))?;
    if let Some(earlier) = earlier {
        clear(&File::options().write(true).open(whole_file(upload))?, earlier.offset(number), earlier.slot);
    }
    Ok(())
}

/// Gives back the room of a place in the whole, if the file system can.
pub(super) fn clear(whole: &File, start: u64, size: u64) {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    if let Err(error) = fallocate(whole, flags, start, size) {
        tracing::debug!(%error, "a place cannot be given back");
    }
}

/// The size of each place in an upload, once there is a part in its place.
pub(super) fn slot_size(upload: &Path) -> io::Result<Option<u64>> {
    for entry in fs::read_dir(upload)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("placed-"))
            && let Some(record) = record(&entry.path())?
        {
            return Ok(Some(record.slot));
        }
    }
    Ok(None)
}

/// The bytes of all parts of an upload.
pub(super) fn held(upload: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(upload)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        let number = name.strip_prefix("part-").or_else(|| name.strip_prefix("placed-"));
        let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
        // One that is there twice, since a crash came, counts once.
        let is_twice = name.starts_with("placed-") && part_file(upload, number).exists();
        let part = if is_twice { None } else { find(upload, number)? };
        sum = sum.saturating_add(part.map_or(0, |part| part.size));
    }
    Ok(sum)
}

/// A record that a crash left half written is none.
fn record(file: &Path) -> io::Result<Option<Record>> {
    match fs::read(file) {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The file of a part that is not in its place.
pub(super) fn part_file(upload: &Path, number: i32) -> PathBuf {
    upload.join(format!("part-{number}"))
}

/// What says that a part is in its place.
fn record_file(upload: &Path, number: i32) -> PathBuf {
    upload.join(format!("placed-{number}"))
}

/// The file that holds the parts together.
pub(super) fn whole_file(upload: &Path) -> PathBuf {
    upload.join("whole")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn placed(size: u64) -> Record {
        Record { slot: 100, size, e_tag: ETag::Strong(format!("placed {size}")), sum: None }
    }

    #[test]
    fn the_last_part_of_a_number_counts_wherever_it_is() {
        let folder = TempDir::new().unwrap();
        let upload = folder.path();
        let file = |size: usize| {
            fs::write(upload.join("draft"), vec![0; size]).unwrap();
            adopt(upload, 3, &upload.join("draft")).unwrap();
        };
        fs::write(whole_file(upload), [b'x'; 300]).unwrap();
        let is = || find(upload, 3).unwrap().map(|part| (part.size, part.offset));
        assert_eq!((is(), slot_size(upload).unwrap(), held(upload).unwrap()), (None, None, 0));
        keep(upload, 3, &placed(100)).unwrap();
        assert_eq!((is(), slot_size(upload).unwrap(), held(upload).unwrap()), (Some((100, Some(200))), Some(100), 100));
        file(70);
        assert_eq!((is(), slot_size(upload).unwrap(), held(upload).unwrap()), (Some((70, None)), None, 70));
        let whole = fs::read(whole_file(upload)).unwrap();
        assert!(whole[..200].iter().all(|byte| *byte == b'x') && whole[200..].iter().all(|byte| *byte == 0));
        keep(upload, 3, &placed(80)).unwrap();
        assert_eq!((is(), held(upload).unwrap()), (Some((80, Some(200))), 80));
        // A crash came in the middle of either: the one that was confirmed counts, or the one that came in its place.
        fs::write(part_file(upload, 3), [0; 9]).unwrap();
        assert_eq!((is(), held(upload).unwrap()), (Some((9, None)), 9));
        fs::remove_file(part_file(upload, 3)).unwrap();
        fs::write(record_file(upload, 3), r#"{"slot":1"#).unwrap();
        assert_eq!((is(), slot_size(upload).unwrap()), (None, None));
    }
}

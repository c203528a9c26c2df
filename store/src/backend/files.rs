//! Writes files so that each appears whole or not at all, and survives a crash once it is confirmed.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use s3s::dto::ETag;
use s3s::{S3Error, S3Result, s3_error};

use super::conditions::Condition;
use super::folders::Folders;
use super::syncs::Syncs;
use super::usage::{Origin, Usage};
use super::volume::{etag, storage};

/// How often a folder that is removed between being made and being used is made again.
const TRIES: usize = 100;

/// A file that has no name among objects yet; removed when dropped.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// A new one in the folder of drafts. It blocks: whoever stops waiting for it must not leave it behind, so it is
    /// made where nobody can stop, and dropped with the answer that nobody takes.
    pub(super) fn create(folder: &Path) -> S3Result<(Self, File)> {
        let draft = Self::unmade(folder);
        let file = File::create_new(&draft.path).map_err(storage)?;
        Ok((draft, file))
    }

    /// Another name of an object, which is never changed in place. It blocks.
    pub(super) fn link(folder: &Path, object: &Path) -> S3Result<Self> {
        let draft = Self::unmade(folder);
        fs::hard_link(object, &draft.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => s3_error!(NoSuchKey),
            _ => storage(error),
        })?;
        Ok(draft)
    }

    fn unmade(folder: &Path) -> Self {
        Self { path: folder.join(hex::encode(rand::random::<[u8; 16]>())) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The metadata of a file that is about to get a name, which must hold as many bytes as were sent: whatever went wrong
/// on the way, half a content never becomes an object.
pub(super) fn measured(file: &Path, size: u64) -> S3Result<Metadata> {
    let metadata = fs::metadata(file).map_err(storage)?;
    if metadata.len() == size {
        return Ok(metadata);
    }
    let real = metadata.len();
    tracing::error!(file = %file.display(), size, real, "the volume lost a part of what was written");
    Err(s3_error!(
        InternalError,
        "the store's volume kept {real} of {size} bytes: look at its disk, then send them again"
    ))
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Lets drafts become objects, and removes objects.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// Held while an object is compared and replaced.
    comparing: Mutex<()>,
    folders: Folders,
    syncs: Syncs,
    usage: Arc<Usage>,
}

/// What is to become an object.
#[derive(Debug)]
pub(super) struct Content<'a> {
    /// Its file.
    pub(super) draft: &'a Path,
    /// How many bytes were sent.
    pub(super) size: u64,
    /// Where it comes from.
    pub(super) origin: Origin<'a>,
}

impl Commits {
    /// Commits of which buckets' bytes are counted.
    pub(super) fn counted(usage: Arc<Usage>) -> Self {
        Self { usage, ..Self::default() }
    }

    /// Gives a content its name, if the condition holds, and waits until that is on the disk. Of several writers that
    /// want to be the first, one is.
    pub(super) fn commit(
        &self,
        content: &Content<'_>,
        target: &Path,
        bucket: &Path,
        condition: &Condition,
    ) -> S3Result<ETag> {
        // Of the draft: its name may stand for another writer's content a moment later.
        let e_tag = etag(&measured(content.draft, content.size)?);
        self.usage.prepare(name_of(bucket))?;
        let named = self.name(content, target, bucket, condition);
        if named.is_err() {
            self.folders.tidy(target, bucket);
        }
        named.map(|()| e_tag)
    }

    /// Whether a condition holds now for what may have its name already.
    pub(super) fn check(&self, draft: &Path, target: &Path, condition: &Condition) -> S3Result<()> {
        let current = fs::metadata(target).ok();
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => current.is_none() || is_same(draft, target).is_ok_and(|is_same| is_same),
            Condition::Is(expected) => current.is_some_and(|current| etag(&current) == *expected),
        };
        if holds {
            return Ok(());
        }
        self.settle(target)?;
        Err(s3_error!(PreconditionFailed))
    }

    fn name(&self, content: &Content<'_>, target: &Path, bucket: &Path, condition: &Condition) -> S3Result<()> {
        for _ in 0..TRIES {
            // What is to be replaced has its folders.
            if !matches!(condition, Condition::Is(_)) {
                self.folders.make(target, bucket).map_err(storage)?;
            }
            match self.try_name(content, target, bucket, condition) {
                // A deletion removed the folder, which had become empty.
                Err(Refusal::Io(error)) if error.kind() == ErrorKind::NotFound => self.folders.forget(target),
                Err(Refusal::Io(error)) => return Err(storage(error)),
                Err(Refusal::Quota(error)) => return Err(error),
                Err(Refusal::Condition) => {
                    // Whoever loses goes on with what won, which may not be on the disk yet.
                    self.settle(target)?;
                    return Err(s3_error!(PreconditionFailed));
                }
                Ok(()) => return self.settle(target),
            }
        }
        Err(s3_error!(SlowDown, "the folder is removed again and again"))
    }

    fn try_name(
        &self,
        content: &Content<'_>,
        target: &Path,
        bucket: &Path,
        condition: &Condition,
    ) -> Result<(), Refusal> {
        let _comparing = self.comparing.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = self.usage.size_of(target);
        let link = || link(content.draft, target, condition);
        self.usage.replace(name_of(bucket), &content.origin, content.size, replaced, link)
    }

    /// Removes an object, and the folders that it leaves empty. One that is not there is removed already.
    pub(super) fn remove(&self, file: &Path, bucket: &Path) -> S3Result<()> {
        self.usage.prepare(name_of(bucket))?;
        if !self.unlink(file, bucket)? {
            return Ok(());
        }
        self.settle(file)?;
        self.folders.tidy(file, bucket);
        Ok(())
    }

    /// Removes the name of an object, if there is one. The size that is counted is that of the file which is removed:
    /// nothing takes its place meanwhile.
    fn unlink(&self, file: &Path, bucket: &Path) -> S3Result<bool> {
        let _comparing = self.comparing.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.usage.size_of(file);
        match fs::remove_file(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) if error.raw_os_error() == Some(Errno::ENOTDIR as i32) => return Ok(false),
            other => other.map_err(storage)?,
        }
        self.usage.removed(name_of(bucket), size);
        Ok(true)
    }

    /// Waits until a name is on the disk. A folder that is gone holds nothing that could be lost.
    fn settle(&self, file: &Path) -> S3Result<()> {
        match file.parent().map_or(Ok(()), |folder| self.syncs.wait(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(storage),
        }
    }
}

/// Gives a draft its name, if the condition holds, which nobody changes meanwhile.
fn link(draft: &Path, target: &Path, condition: &Condition) -> Result<(), Refusal> {
    match condition {
        Condition::Always => fs::rename(draft, target)?,
        // The one operation of a file system that creates a name only if there is none.
        Condition::Absent => match fs::hard_link(draft, target) {
            // It was given its name already, and a crash came before that was confirmed.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && is_same(draft, target)? => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(Refusal::Condition),
            other => other?,
        },
        Condition::Is(expected) => {
            let current = fs::metadata(target).map_err(|_| Refusal::Condition)?;
            if etag(&current) != *expected {
                return Err(Refusal::Condition);
            }
            fs::rename(draft, target)?;
        }
    }
    Ok(())
}

/// The folder of a bucket, by which it is counted.
fn name_of(bucket: &Path) -> &str {
    bucket.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

enum Refusal {
    Condition,
    Quota(S3Error),
    Io(io::Error),
}

impl From<S3Error> for Refusal {
    fn from(error: S3Error) -> Self {
        Self::Quota(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Two names of one file.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// An object's metadata.
pub(super) fn stat(file: &Path) -> S3Result<Metadata> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(metadata),
        Ok(_) => Err(s3_error!(NoSuchKey)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(s3_error!(NoSuchKey)),
        Err(error) => Err(storage(error)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_shorter_than_what_was_sent_gets_no_name() {
        let folder = TempDir::new().unwrap();
        let (draft, target) = (folder.path().join("draft"), folder.path().join("bucket/fkey"));
        fs::write(&draft, "short").unwrap();
        for condition in [Condition::Always, Condition::Absent] {
            let commits = Commits::default();
            let content = Content { draft: &draft, size: 6, origin: Origin::Upload("") };
            let refused = commits.commit(&content, &target, &folder.path().join("bucket"), &condition).unwrap_err();
            assert!(refused.message().unwrap().contains("5 of 6 bytes"), "{refused}");
            assert!(!target.exists());
        }
    }
}

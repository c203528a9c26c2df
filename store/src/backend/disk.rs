//! Checks that a volume can do what the store relies on: hard links that fail where a name is taken, and `fsync` of folders.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use nix::sys::statvfs::statvfs;

use super::volume::is_full;
use crate::durable::sync;

/// The volume is short of room where less than one of so many parts of it is free.
const TIGHT: u64 = 10;

/// Makes a data folder this process's, as long as what it gives is kept.
pub(super) fn claim(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.with_context(|| format!("{} cannot be made", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "another process uses {}, and there can be one: end it (another pod with this volume, for one), or give \
             this store a folder of its own",
            data.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| {
            format!("{} cannot be locked: the store needs a volume with a file system of its own", path.display())
        }),
    }
}

/// Tries what the store rests on: a second name for a file, refused where there is one, and on the disk with its
/// folder. Network shares and some drivers in user space cannot do it.
pub(super) fn probe(drafts: &Path, objects: &Path) -> anyhow::Result<()> {
    // No namespace has a name with a dot.
    let (draft, name) = (drafts.join("probe"), objects.join(".probe"));
    let tried = try_links(&draft, &name);
    for path in [&draft, &name] {
        let _ = fs::remove_file(path);
    }
    match tried {
        // What is there can be read and deleted.
        Err(error) if is_full(&error) => {
            tracing::warn!("the volume is full: free space, or enlarge it");
            Ok(())
        }
        other => other.with_context(|| {
            format!(
                "the volume of {} cannot do what the store needs, hard links and folders that can be put on the disk: \
                 use one with a file system such as ext4 or XFS",
                objects.display()
            )
        }),
    }
}

fn try_links(draft: &Path, name: &Path) -> io::Result<()> {
    let _ = fs::remove_file(name);
    File::create(draft)?.sync_all()?;
    fs::hard_link(draft, name)?;
    if !fs::hard_link(draft, name).is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        return Err(io::Error::other("it makes a name again that there is"));
    }
    if fs::metadata(draft)?.ino() != fs::metadata(name)?.ino() {
        return Err(io::Error::other("two names of one file are two files"));
    }
    name.parent().map_or(Ok(()), sync)
}

/// True where little of a volume is free.
#[expect(clippy::useless_conversion, reason = "the width of these fields differs between platforms")]
pub(super) fn is_tight(data: &Path) -> bool {
    statvfs(data).is_ok_and(|space| u64::from(space.blocks_available()) < u64::from(space.blocks()) / TIGHT)
}

/// How long neither content nor names of a file changed.
pub(super) fn unchanged_for(file: &Path, now: SystemTime) -> Option<Duration> {
    let metadata = fs::metadata(file).ok()?;
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    now.duration_since(changed).ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_folder_is_one_processs() {
        let data = TempDir::new().unwrap();
        let first = claim(data.path()).unwrap();
        let error = claim(data.path()).unwrap_err().to_string();
        assert!(
            error.contains("another process uses") && error.contains(&data.path().display().to_string()),
            "{error}"
        );
        drop(first);
        claim(data.path()).unwrap();
    }

    /// Two file systems stand for one that has no hard links.
    #[test]
    fn a_volume_without_hard_links_is_refused_in_words() {
        let (here, there) = (TempDir::new_in("/dev/shm").unwrap(), TempDir::new().unwrap());
        let error = format!("{:#}", probe(here.path(), there.path()).unwrap_err());
        assert!(error.contains("hard links") && error.contains("ext4 or XFS"), "{error}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count() + fs::read_dir(there.path()).unwrap().count(), 0);
        probe(here.path(), here.path()).unwrap();
    }
}

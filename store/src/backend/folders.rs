//! The folders of keys: made for the first object in them, removed with the last, and on the disk before anything in
//! them is confirmed.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::durable::sync;

/// How many folders are remembered.
const REMEMBERED: usize = 20_000;

/// Knows which folders are on the disk, so that not every write waits for all above it.
#[derive(Debug, Default)]
pub(super) struct Folders {
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Makes the folders of a file, and waits until they are on the disk.
    pub(super) fn make(&self, file: &Path, bucket: &Path) -> io::Result<()> {
        let Some(folder) = file.parent() else { return Ok(()) };
        // Kept while the disk works: whoever finds a folder that another one makes must not be faster than it is.
        let mut durable = self.durable();
        if durable.contains(folder) {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let above = |folder: &Path| folder.parent().map(Path::to_path_buf);
        let made: Vec<&Path> = folder
            .ancestors()
            .take_while(|above| above.starts_with(bucket))
            .take_while(|above| !durable.contains(*above))
            .collect();
        for parent in made.iter().copied().filter_map(above) {
            sync(&parent)?;
        }
        if durable.len() > REMEMBERED {
            durable.clear();
        }
        durable.extend(made.into_iter().map(Path::to_path_buf));
        Ok(())
    }

    /// Removes the folders of a file that are empty.
    pub(super) fn tidy(&self, file: &Path, bucket: &Path) {
        let mut durable = self.durable();
        for folder in file.ancestors().skip(1).take_while(|above| above.starts_with(bucket) && *above != bucket) {
            match fs::remove_dir(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => break,
                _ => durable.remove(folder),
            };
        }
    }

    /// Looks again at the folders of a file, one of which was not there.
    pub(super) fn forget(&self, file: &Path) {
        self.durable().retain(|folder| !file.starts_with(folder));
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn folders_come_and_go_with_what_they_hold() {
        let data = TempDir::new().unwrap();
        let bucket = data.path().join("growth");
        let (file, other) = (bucket.join("da/db/fc"), bucket.join("da/fd"));
        let folders = Folders::default();
        for _ in 0..2 {
            folders.make(&file, &bucket).unwrap();
            fs::write(&other, "").unwrap();
            folders.tidy(&file, &bucket);
            assert!(!bucket.join("da/db").exists() && other.exists());
            folders.make(&file, &bucket).unwrap();
            assert!(bucket.join("da/db").exists(), "it is made again, though it was known");
        }
        fs::remove_dir(bucket.join("da/db")).unwrap();
        folders.forget(&file);
        folders.make(&file, &bucket).unwrap();
        assert!(bucket.join("da/db").exists(), "whoever removed it");
    }
}

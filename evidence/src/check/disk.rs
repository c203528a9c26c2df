//! The disk that checking an input may use.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use seatrial_core::contract::check::MAX_RULES;

use crate::problem::Problem;

/// Files that the process may have open at once, so that the number of each descriptor is below: one for the keys of each rule, and
/// as many others.
pub(super) const DESCRIPTORS: u64 = 2 * MAX_RULES as u64;

/// The disk that the check of an input may use, for all rules together.
#[derive(Debug)]
pub(super) struct Disk {
    bytes: u64,
    left: AtomicU64,
}

impl Disk {
    pub(super) const fn new(bytes: u64) -> Self {
        Self { bytes, left: AtomicU64::new(bytes) }
    }

    /// All of it.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes so many bytes for something, a plural.
    pub(super) fn take(&self, bytes: u64, what: &str) -> Result<(), Problem> {
        let taken = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| {
            Problem::Failed(format!(
                "{what} do not fit into the {} MiB of disk that the check of an input may use: divide the data into smaller \
                 inputs, or take rules of uniqueness and queries out of the contract",
                self.bytes >> 20
            ))
        })
    }
}

/// Bytes of this process's files that have no name any more: those of rows and keys, and what SQLite spills. A sandbox that lets
/// nobody list descriptors lets a process look at its own.
pub(super) fn temporary_bytes() -> u64 {
    let file = |descriptor: u64| std::fs::metadata(format!("/proc/self/fd/{descriptor}")).ok();
    let files = (0..DESCRIPTORS).filter_map(file).filter(|file| file.is_file() && file.nlink() == 0);
    files.map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn files_without_a_name_are_seen() {
        let mut file = tempfile::tempfile().unwrap();
        // Other tests have such files, too.
        file.write_all(&[0; 1 << 20]).unwrap();
        assert!(temporary_bytes() >= 1 << 20);
    }
}

//! Waits until data are on the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until a file, or the names in a folder, are on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

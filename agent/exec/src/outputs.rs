//! Makes outputs readable for the container that uploads them, which runs as another user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Read and, for folders, search permission for all, on everything beneath a folder. Links are left alone. What cannot
/// be changed is left as it is: the upload says what it cannot read.
pub(crate) fn make_readable(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        let (needed, is_folder) = match metadata.file_type() {
            kind if kind.is_dir() => (0o555, true),
            kind if kind.is_file() => (0o444, false),
            _ => continue,
        };
        let mode = metadata.permissions().mode();
        if mode & needed != needed {
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode | needed));
        }
        if is_folder {
            make_readable(&path);
        }
    }
}

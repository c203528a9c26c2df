//! The outputs' folders: made as the command's own user, and made readable for the container that uploads them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

/// Makes the folder of each output. We run as the command's user, so that it may do with them whatever one does with
/// folders of one's own: change their mode, remove them and make them again, move others into their place.
pub(crate) fn make(outputs: &Path, names: &[String]) -> io::Result<()> {
    names.iter().try_for_each(|name| {
        let folder = outputs.join(name);
        match fs::create_dir(&folder) {
            // For processes of other users in the same container, whatever our umask.
            Ok(()) => fs::set_permissions(&folder, Permissions::from_mode(0o777)),
            // Of a try before a crash of the node.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_folder(&folder) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display()))),
        }
    })
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Read and, for folders, search permission for all, on everything beneath a folder, until the deadline. Links are left
/// alone. What cannot be changed is left as it is: the upload says what it cannot read.
pub(crate) fn make_readable(folder: &Path, deadline: Option<Instant>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        let (needed, is_folder) = match metadata.file_type() {
            kind if kind.is_dir() => (0o555, true),
            kind if kind.is_file() => (0o444, false),
            _ => continue,
        };
        let mode = metadata.permissions().mode();
        if mode & needed != needed {
            let _ = fs::set_permissions(&path, Permissions::from_mode(mode | needed));
        }
        if is_folder {
            make_readable(&path, deadline);
        }
    }
}

//! What the user's command left in an output's folder. Nothing there is trusted: links are refused, not followed.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use seatrial_core::contract::ExitCode;
use tokio::fs::File;

use crate::error::AgentError;

/// One file of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it is called in the artifact.
    pub(crate) name: String,
}

/// All files beneath an output's folder, in no order. Folders without files leave no trace in an artifact.
pub(crate) fn files(folder: &Path) -> Result<Vec<OutputFile>, AgentError> {
    let missing = |error: &io::Error| {
        let message = format!("the output folder {} is not there: {error}; do not remove it", folder.display());
        AgentError::new(ExitCode::BadOutput, message)
    };
    if !fs::symlink_metadata(folder).map_err(|error| missing(&error))?.is_dir() {
        return Err(refused(folder, "is no folder any more"));
    }
    let mut found = vec![];
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((path, prefix)) = open.pop() {
        let unreadable = |error: io::Error| AgentError::reading_output(&path, &error);
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(|error| AgentError::reading_output(&path, &error))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| refused(&entry.path(), "has a name that is no UTF-8"))?;
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|error| AgentError::reading_output(&path, &error))?;
            if kind.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() {
                found.push(OutputFile { path: entry.path(), name });
            } else {
                return Err(refused(&entry.path(), "is a link or a special file: write a regular file"));
            }
        }
    }
    Ok(found)
}

/// Opens a file of the user's, unless it has become a link since it was listed.
pub(crate) async fn open_output(path: &Path) -> Result<File, AgentError> {
    let mut options = fs::File::options();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let file = options.open(path).map_err(|error| AgentError::reading_output(path, &error))?;
    Ok(File::from_std(file))
}

fn refused(path: &Path, why: &str) -> AgentError {
    AgentError::new(ExitCode::BadOutput, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_are_named_by_their_path_beneath_the_folder() {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("a/b/empty")).unwrap();
        fs::write(root.path().join("a/b/c"), "x").unwrap();
        fs::write(root.path().join("d"), "x").unwrap();
        let mut names: Vec<_> = files(root.path()).unwrap().into_iter().map(|file| file.name).collect();
        names.sort();
        assert_eq!(names, ["a/b/c", "d"]);
    }

    #[test]
    fn links_and_special_files_are_refused_by_name() {
        let root = TempDir::new().unwrap();
        symlink("/etc/passwd", root.path().join("innocent")).unwrap();
        let error = files(root.path()).unwrap_err();
        assert_eq!(error.code, ExitCode::BadOutput);
        assert!(error.message.contains("innocent"), "{}", error.message);
        let linked = root.path().join("folder");
        symlink("/etc", &linked).unwrap();
        assert!(files(&linked).is_err());
    }

    #[tokio::test]
    async fn a_file_that_becomes_a_link_is_not_followed() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("x");
        symlink("/etc/passwd", &path).unwrap();
        assert_eq!(open_output(&path).await.unwrap_err().code, ExitCode::BadOutput);
    }
}

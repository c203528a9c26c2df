//! The files that the user's command left in an output's folder. Nothing there is trusted: links are refused, not followed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use seatrial_core::contract::{Draft, ExitCode, ListingError, MAX_FILES, MAX_PATH_BYTES};

use crate::error::AgentError;
use crate::pod::beneath::{Beneath, Kind};

/// The folder of an output.
#[derive(Debug)]
pub(crate) struct OutputFolder(Beneath);

impl OutputFolder {
    /// Opens it, once: what its name stands for later makes no difference.
    pub(crate) fn open(volume: &Beneath, folder: &Path) -> Result<Self, AgentError> {
        volume.folder(folder).map(Self).map_err(|error| {
            let path = volume.path.join(folder);
            let message = format!("the output folder {} cannot be opened: {error}; do not replace it", path.display());
            AgentError::new(ExitCode::BadOutput, message)
        })
    }

    /// What it is called.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// All files beneath it, in no order. Folders without files leave no trace in an artifact.
    pub(crate) fn files(&self) -> Result<Draft, AgentError> {
        let (mut found, mut seen) = (Draft::default(), 0_usize);
        let mut open = vec![String::new()];
        while let Some(prefix) = open.pop() {
            let name = if prefix.is_empty() { "." } else { prefix.as_str() };
            let folder = self.0.folder(Path::new(name)).map_err(|error| self.unreadable(&prefix, &error))?;
            folder
                .for_each(|name, kind| {
                    seen += 1;
                    if seen > MAX_FILES {
                        return Err(Trouble::Refused(format!(
                            "has more than {MAX_FILES} files and folders: write fewer and larger ones, or an archive"
                        )));
                    }
                    let Some(name) = name.to_str() else {
                        return Err(Trouble::Named(name.display().to_string(), "has a name that is no UTF-8".into()));
                    };
                    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
                    match kind {
                        Kind::Other => {
                            let why = "is a link or a special file: write a regular file";
                            Err(Trouble::Named(path, why.into()))
                        }
                        Kind::Folder if path.len() > MAX_PATH_BYTES => {
                            Err(Trouble::Named(path, format!("lies deeper than {MAX_PATH_BYTES} bytes of path")))
                        }
                        Kind::Folder => {
                            open.push(path);
                            Ok(())
                        }
                        // Judged before anything is sent, not after hours of sending.
                        Kind::File => match found.add(&path) {
                            Ok(_) => Ok(()),
                            Err(error @ (ListingError::TooMany | ListingError::TooLong)) => {
                                Err(Trouble::Refused(format!("has {error}")))
                            }
                            Err(error) => Err(Trouble::Named(path, format!("has a name that no store takes: {error}"))),
                        },
                    }
                })
                .map_err(|trouble| match trouble {
                    Trouble::Io(error) => self.unreadable(&prefix, &error),
                    Trouble::Refused(why) => refused(self.path(), &why),
                    Trouble::Named(name, why) => refused(&self.path().join(name), &why),
                })?;
        }
        Ok(found)
    }

    /// Opens a file for reading, unless it has become something else since it was listed.
    pub(crate) fn file(&self, name: &str) -> Result<File, AgentError> {
        self.0.file(Path::new(name)).map_err(|error| self.unreadable(name, &error))
    }

    /// The whole of a file, if it has at most so many bytes.
    pub(crate) fn read_small(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = vec![];
        self.0.file(Path::new(name))?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::other(format!("it has more than {limit} bytes")));
        }
        Ok(content)
    }

    /// The error of a file that cannot be read.
    pub(crate) fn unreadable(&self, name: &str, error: &io::Error) -> AgentError {
        AgentError::reading_output(&self.path().join(name), error)
    }
}

/// What ends a walk.
enum Trouble {
    Io(io::Error),
    Refused(String),
    Named(String, String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refused(path: &Path, why: &str) -> AgentError {
    AgentError::new(ExitCode::BadOutput, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn open(root: &TempDir, folder: &str) -> Result<OutputFolder, AgentError> {
        OutputFolder::open(&Beneath::volume(root.path()).unwrap(), Path::new(folder))
    }

    #[test]
    fn files_are_named_by_their_path_beneath_the_folder() {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("x/a/b/empty")).unwrap();
        fs::write(root.path().join("x/a/b/c"), "x").unwrap();
        fs::write(root.path().join("x/d"), "x").unwrap();
        let files = open(&root, "x").unwrap().files().unwrap();
        let mut names: Vec<&str> = (0..files.len()).filter_map(|place| files.path(place)).collect();
        names.sort();
        assert_eq!(names, ["a/b/c", "d"]);
    }

    #[test]
    fn what_no_artifact_can_hold_is_refused_by_name() {
        type Spoil = fn(&Path);
        let cases: [(Spoil, &str); 4] = [
            (|folder| symlink("/etc/passwd", folder.join("innocent")).unwrap(), "innocent is a link"),
            (|folder| fs::write(folder.join("a\\b"), "").unwrap(), "a\\b has a name that no store takes"),
            (|folder| fs::write(folder.join("a\nb"), "").unwrap(), "no store takes"),
            (
                |folder| {
                    let deep = (0..30).fold(folder.to_path_buf(), |path, _| path.join("x".repeat(40)));
                    fs::create_dir_all(&deep).unwrap();
                },
                "lies deeper than 1024 bytes",
            ),
        ];
        for (spoil, expected) in cases {
            let root = TempDir::new().unwrap();
            fs::create_dir(root.path().join("x")).unwrap();
            spoil(&root.path().join("x"));
            let error = open(&root, "x").unwrap().files().unwrap_err();
            assert_eq!(error.code, ExitCode::BadOutput);
            assert!(error.message.contains(expected), "{}", error.message);
        }
    }

    #[test]
    fn a_folder_that_is_a_link_is_no_output() {
        let root = TempDir::new().unwrap();
        symlink("/etc", root.path().join("x")).unwrap();
        assert_eq!(open(&root, "x").unwrap_err().code, ExitCode::BadOutput);
    }

    #[test]
    fn small_files_are_read_up_to_their_limit() {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("x")).unwrap();
        fs::write(root.path().join("x/y"), "12345").unwrap();
        let folder = open(&root, "x").unwrap();
        assert_eq!(folder.read_small("y", 5).unwrap(), b"12345");
        assert!(folder.read_small("y", 4).unwrap_err().to_string().contains("more than 4 bytes"));
    }
}

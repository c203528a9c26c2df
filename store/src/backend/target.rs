//! What an upload is to become: the file by which an upload is found.
//!
//! ```text
//! <upload>/target     bucket and key, written first and removed first: a folder without it is no upload
//! ```

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// The name of the file.
const FILE: &str = "target";

/// An upload's bucket and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Target {
    /// That of the upload in a folder; `None` where there is no upload, or half a one.
    pub(super) fn read(upload: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(upload.join(FILE)).ok()?).ok()
    }

    /// Makes a folder an upload.
    pub(super) fn write(&self, upload: &Path) -> io::Result<()> {
        fs::write(upload.join(FILE), serde_json::to_vec(self)?)
    }

    /// Lets a folder be no upload any more.
    pub(super) fn remove(upload: &Path) -> io::Result<()> {
        fs::remove_file(upload.join(FILE))
    }
}

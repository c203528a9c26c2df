//! Keys of a store, as files of a mounted Secret. The kubelet replaces them when the Secret changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use seatrial_core::contract::{KEY_ID, SECRET_KEY, SESSION_TOKEN};

/// The link that the kubelet turns to another folder when a Secret changes: all files of one folder belong together.
const CURRENT: &str = "..data";

/// Keys that are read again for each request: those that arrive in the middle of an upload count from then on.
#[derive(Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub(crate) fn in_folder(folder: &str) -> Self {
        Self { folder: PathBuf::from(folder) }
    }

    /// The keys as the files have them now.
    ///
    /// # Errors
    /// What is missing, in a sentence without secrets.
    pub(crate) fn read(&self) -> Result<AwsCredential, String> {
        let current = fs::canonicalize(self.folder.join(CURRENT)).unwrap_or_else(|_| self.folder.clone());
        match (key(&current, KEY_ID), key(&current, SECRET_KEY)) {
            (Some(key_id), Some(secret_key)) => {
                Ok(AwsCredential { key_id, secret_key, token: key(&current, SESSION_TOKEN) })
            }
            _ => Err(format!(
                "the Secret of the Store has no keys, or does not exist: set {KEY_ID} and {SECRET_KEY} in it"
            )),
        }
    }
}

fn key(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.read().map(Arc::new).map_err(|why| object_store::Error::Generic { store: "S3", source: why.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// As the kubelet keeps a Secret: files that are links by way of a link, which alone is replaced.
    #[test]
    fn the_keys_are_those_that_the_kubelet_mounted_last() {
        let root = TempDir::new().unwrap();
        let keys = Keys::in_folder(&root.path().display().to_string());
        assert!(keys.read().unwrap_err().contains("no keys"));
        for (version, token) in [("one", Some("session\n")), ("two", None)] {
            let folder = root.path().join(format!("..{version}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(KEY_ID), format!("id-{version}\n")).unwrap();
            fs::write(folder.join(SECRET_KEY), format!("secret-{version}")).unwrap();
            if let Some(token) = token {
                fs::write(folder.join(SESSION_TOKEN), token).unwrap();
            }
            let next = root.path().join("..next");
            symlink(&folder, &next).unwrap();
            fs::rename(next, root.path().join(CURRENT)).unwrap();
            let read = keys.read().unwrap();
            assert_eq!((read.key_id, read.secret_key), (format!("id-{version}"), format!("secret-{version}")));
            assert_eq!(read.token, token.map(|token| token.trim().to_owned()));
        }
    }
}

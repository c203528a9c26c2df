//! The digest of a folder, as `fetch` and `publish` compute it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use seatrial_core::contract::{Digest, Draft, Hasher};

/// The digest of all files beneath a folder; of a file, as if it were alone in one.
pub(crate) fn digest(path: &Path) -> anyhow::Result<Digest> {
    let mut files = Draft::default();
    if path.is_dir() {
        walk(path, "", &mut files)?;
    } else {
        let name = path.file_name().and_then(|name| name.to_str()).context("the path has no name")?;
        add(path, name, &mut files)?;
    }
    Ok(files.listing()?.digest())
}

fn walk(folder: &Path, prefix: &str, files: &mut Draft) -> anyhow::Result<()> {
    for found in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let found = found?;
        let path = found.path();
        let name = found.file_name();
        let name = name.to_str().with_context(|| format!("{} has a name that is no UTF-8", path.display()))?;
        let kind = found.file_type()?;
        if kind.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            add(&path, &format!("{prefix}{name}"), files)?;
        } else {
            bail!("{} is a link or a special file, which no artifact holds", path.display());
        }
    }
    Ok(())
}

fn add(path: &Path, name: &str, files: &mut Draft) -> anyhow::Result<()> {
    let mut hasher = Hasher::new();
    let mut file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let size = io::copy(&mut file, &mut hasher)?;
    let place = files.add(name)?;
    files.set(place, size, Some(&hasher.digest()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use seatrial_core::contract::{Entry, Listing};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_folder_has_the_digest_of_its_listing() {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), "abc").unwrap();
        let sha256 = Digest::of(b"abc").hex().to_owned();
        let listing = Listing::new(vec![Entry { path: "a/b".into(), size: 3, sha256 }]).unwrap();
        assert_eq!(digest(folder.path()).unwrap(), listing.digest());
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        assert!(digest(folder.path()).unwrap_err().to_string().contains("link"));
    }
}

//! Lists keys in their order, a page at a time, reading only folders that can hold keys of the page.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use s3s::S3Result;

use super::files::storage;
use super::names::{self, segment};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// What keys begin with.
    pub(super) prefix: &'a str,
    /// Whether keys with a further `/` are grouped by what is before it.
    pub(super) by_folder: bool,
    /// Keys up to this one are left out.
    pub(super) after: &'a str,
    /// How many keys and groups a page has.
    pub(super) limit: usize,
}

/// One entry of a page.
#[derive(Debug)]
pub(super) enum Item {
    /// An object, with its key.
    Object(String, Metadata),
    /// A group of keys, with what they begin with, ending in `/`.
    Group(String),
}

impl Item {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Object(key, _) | Self::Group(key) => key,
        }
    }
}

/// A page, and whether there is more.
pub(super) fn page(bucket: &Path, query: &Query<'_>) -> S3Result<(Vec<Item>, bool)> {
    let mut items = vec![];
    if query.limit == 0 {
        // Nothing would come next, either: there is no key to go on from.
        return Ok((items, false));
    }
    // Folders of the prefix need not be searched for.
    let base = query.prefix.rfind('/').map_or("", |end| query.prefix.get(..=end).unwrap_or_default());
    let Some(folder) = names::folder(bucket, base) else { return Ok((items, false)) };
    walk(&folder, base, query, &mut items)?;
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    Ok((items, more))
}

fn walk(folder: &Path, base: &str, query: &Query<'_>, items: &mut Vec<Item>) -> S3Result<()> {
    for (key, path, is_folder) in entries(folder, base)? {
        if items.len() > query.limit {
            return Ok(());
        }
        // Either may be the longer one.
        let is_within = key.starts_with(query.prefix);
        let is_above = is_folder && query.prefix.starts_with(&key);
        if !is_within && !is_above {
            continue;
        }
        if is_folder {
            let behind = key.as_str() <= query.after && !query.after.starts_with(&key);
            if behind {
                continue;
            }
            if query.by_folder && is_within {
                // A group that was on an earlier page is named by its own prefix.
                if key.as_str() > query.after {
                    items.push(Item::Group(key));
                }
            } else {
                walk(&path, &key, query, items)?;
            }
        } else if key.as_str() > query.after {
            match fs::metadata(&path) {
                Ok(metadata) => items.push(Item::Object(key, metadata)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(storage(error)),
            }
        }
    }
    Ok(())
}

/// The entries of a folder in the order of their keys; folders' keys end in `/`.
fn entries(folder: &Path, base: &str) -> S3Result<Vec<(String, PathBuf, bool)>> {
    let reading = match fs::read_dir(folder) {
        Ok(reading) => reading,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(vec![]),
        Err(error) => return Err(storage(error)),
    };
    let mut found = vec![];
    for entry in reading {
        let entry = entry.map_err(storage)?;
        let name = entry.file_name();
        let Some((part, is_folder)) = name.to_str().and_then(segment) else { continue };
        let end = if is_folder { "/" } else { "" };
        found.push((format!("{base}{part}{end}"), entry.path(), is_folder));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn bucket(keys: &[&str]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for key in keys {
            let file = names::file(folder.path(), key).unwrap();
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, key).unwrap();
        }
        folder
    }

    fn all(bucket: &TempDir, prefix: &str, by_folder: bool, limit: usize) -> Vec<String> {
        let (mut keys, mut after) = (vec![], String::new());
        loop {
            let (items, more) = page(bucket.path(), &Query { prefix, by_folder, after: &after, limit }).unwrap();
            keys.extend(items.iter().map(|item| item.key().to_owned()));
            if !more {
                return keys;
            }
            after = keys.last().unwrap().clone();
        }
    }

    #[test]
    fn keys_come_in_their_order_whatever_the_page() {
        let mut keys = ["a", "a/b", "a-b", "a/b/c", "a0", "b/x", "b/y/z", "ä/ö", "a/bb", "a/b-"];
        let bucket = bucket(&keys);
        keys.sort_unstable();
        for limit in 1..12 {
            assert_eq!(all(&bucket, "", false, limit), keys, "{limit}");
        }
    }

    #[test]
    fn a_prefix_may_end_anywhere() {
        let bucket = bucket(&["a/b", "a/bc", "a/b/c", "ab", "b"]);
        for limit in 1..6 {
            assert_eq!(all(&bucket, "a/b", false, limit), ["a/b", "a/b/c", "a/bc"]);
            assert_eq!(all(&bucket, "a/", false, limit), ["a/b", "a/b/c", "a/bc"]);
            assert_eq!(all(&bucket, "a", false, limit), ["a/b", "a/b/c", "a/bc", "ab"]);
        }
        for nothing in ["c", "a/b/c/", "../", "a/../", "a//"] {
            assert!(all(&bucket, nothing, false, 5).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_page_without_keys_is_the_last() {
        let bucket = bucket(&["a", "b"]);
        let query = Query { prefix: "", by_folder: false, after: "", limit: 0 };
        let (items, more) = page(bucket.path(), &query).unwrap();
        assert!(items.is_empty() && !more);
    }

    #[test]
    fn by_folder_groups_what_is_beneath() {
        let bucket = bucket(&["a", "a/b", "a/c", "b/d/e", "b/f", "c"]);
        for limit in 1..6 {
            assert_eq!(all(&bucket, "", true, limit), ["a", "a/", "b/", "c"]);
            assert_eq!(all(&bucket, "b/", true, limit), ["b/d/", "b/f"]);
            assert_eq!(all(&bucket, "b", true, limit), ["b/"]);
        }
    }
}

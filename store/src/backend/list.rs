//! Lists keys in their order, a page at a time, reading only folders that can hold keys of the page.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;

use s3s::S3Result;

use super::names;
use super::volume::storage;
use super::windows::{Start, Windows};

/// The query of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// The prefix of the keys.
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
pub(super) fn page(windows: &Windows, bucket: &Path, query: &Query<'_>) -> S3Result<(Vec<Item>, bool)> {
    let mut items = vec![];
    if query.limit == 0 {
        // Nothing would come next, either: there is no key to go on from.
        return Ok((items, false));
    }
    // Folders of the prefix need not be searched for.
    let base = query.prefix.rfind('/').map_or("", |end| query.prefix.get(..=end).unwrap_or_default());
    let Some(folder) = names::folder(bucket, base) else { return Ok((items, false)) };
    Walk { windows, query, items: &mut items }.folder(&folder, base)?;
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    Ok((items, more))
}

/// A way through folders.
struct Walk<'a> {
    windows: &'a Windows,
    query: &'a Query<'a>,
    items: &'a mut Vec<Item>,
}

impl Walk<'_> {
    /// Adds what a folder holds, whose keys begin with a base.
    fn folder(&mut self, folder: &Path, base: &str) -> S3Result<()> {
        // What is before the prefix was gone through; a folder beneath has none of it left.
        let prefix = self.query.prefix.strip_prefix(base).unwrap_or_default();
        let Some(mut start) = self.start(base) else { return Ok(()) };
        loop {
            let window = self.windows.next(folder, prefix, &start)?;
            let names = window.names(&start);
            for name in names {
                if self.items.len() > self.query.limit {
                    return Ok(());
                }
                self.entry(folder, base, name)?;
            }
            match names.last() {
                Some(last) if !window.is_last => start = Start::behind(last),
                _ => return Ok(()),
            }
        }
    }

    /// Where keys begin that are asked for, among those with a base, if there can be any.
    fn start(&self, base: &str) -> Option<Start> {
        let after = self.query.after;
        match after.strip_prefix(base) {
            Some(within) => Some(Start::of(within)),
            None if after < base => Some(Start::of("")),
            None => None,
        }
    }

    fn entry(&mut self, folder: &Path, base: &str, name: &str) -> S3Result<()> {
        let Query { by_folder, after, .. } = *self.query;
        let key = format!("{base}{name}");
        if let Some(part) = name.strip_suffix('/') {
            if by_folder {
                // A group that was on an earlier page is named by its own prefix.
                if key.as_str() > after {
                    self.items.push(Item::Group(key));
                }
                return Ok(());
            }
            return self.folder(&folder.join(format!("d{part}")), &key);
        }
        if key.as_str() > after {
            match fs::metadata(folder.join(format!("f{name}"))) {
                Ok(metadata) => self.items.push(Item::Object(key, metadata)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(storage(error)),
            }
        }
        Ok(())
    }
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
        let (mut keys, mut after, windows) = (vec![], String::new(), Windows::default());
        loop {
            let (items, more) =
                page(&windows, bucket.path(), &Query { prefix, by_folder, after: &after, limit }).unwrap();
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
        let (items, more) = page(&Windows::default(), bucket.path(), &query).unwrap();
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

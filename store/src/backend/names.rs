//! The path of an object on the disk, from its key.
//!
//! Each segment of a key becomes a name with a letter before it, `d` for a folder and `f` for the object itself:
//! `a` and `a/b` are `fa` and `da/fb`, and live side by side.

use std::path::{Path, PathBuf};

use s3s::{S3Result, s3_error};

/// The longest key in bytes, S3's own.
const KEY: usize = 1024;
/// The longest segment in bytes: a file's name without its letter.
const SEGMENT: usize = 254;

/// The file of an object, beneath its bucket's folder.
///
/// # Errors
/// Keys that are too long, have empty segments, or segments that mean something to a file system.
pub(super) fn file(bucket: &Path, key: &str) -> S3Result<PathBuf> {
    if key.len() > KEY {
        return Err(s3_error!(KeyTooLongError));
    }
    let mut path = bucket.to_path_buf();
    let mut segments = key.split('/').peekable();
    while let Some(segment) = segments.next() {
        if !means_itself(segment) {
            let message = "a key must not have empty parts, or \".\" or \"..\" for a part, or control characters";
            return Err(s3_error!(InvalidArgument, "{message}"));
        }
        if segment.len() > SEGMENT {
            return Err(s3_error!(KeyTooLongError, "a part of a key has at most {SEGMENT} bytes in this store"));
        }
        let letter = if segments.peek().is_some() { 'd' } else { 'f' };
        path.push(format!("{letter}{segment}"));
    }
    Ok(path)
}

/// The folder of all keys that begin with this, which is empty or ends in `/`; `None` where no key can.
pub(super) fn folder(bucket: &Path, base: &str) -> Option<PathBuf> {
    let mut path = bucket.to_path_buf();
    for segment in base.split_terminator('/') {
        if !means_itself(segment) || segment.len() > SEGMENT {
            return None;
        }
        path.push(format!("d{segment}"));
    }
    Some(path)
}

/// True for a segment that means nothing else to a file system, and that a list can name: XML has no way to write some
/// characters, and one such key would make the lists of all others unreadable.
fn means_itself(segment: &str) -> bool {
    let is_nameable = |letter: char| !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}');
    !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(is_nameable)
}

/// What a name on the disk stands for: a segment, and whether it is a folder.
pub(super) fn segment(name: &str) -> Option<(&str, bool)> {
    match name.split_at_checked(1)? {
        ("d", segment) => Some((segment, true)),
        ("f", segment) => Some((segment, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_and_a_folder_of_one_name_live_side_by_side() {
        let at = |key| file(Path::new("b"), key).unwrap();
        assert_eq!((at("a"), at("a/b")), (PathBuf::from("b/fa"), PathBuf::from("b/da/fb")));
        assert!(file(Path::new("b"), &format!("{}/{}", "x".repeat(254), "y".repeat(254))).is_ok());
    }

    #[test]
    fn keys_that_mean_something_to_a_file_system_are_refused() {
        let long = "x".repeat(255);
        let longer = format!("{}x", "ab/".repeat(342));
        for key in [
            "", "/", "a/", "/a", "a//b", "..", "a/../b", "./a", "a/.", "a\0b", "a\u{1}b", "a\nb", "\u{ffff}", &long,
            &longer,
        ] {
            assert!(file(Path::new("b"), key).is_err(), "{key:?}");
        }
    }
}

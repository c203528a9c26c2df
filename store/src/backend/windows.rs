//! The names in a folder, in their order, some at a time. A folder may hold a million: those that come next are kept
//! between two pages of a list, so that not every page reads the folder again, and never are all in memory.

use std::collections::{BinaryHeap, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use s3s::S3Result;

use super::names::segment;
use super::volume::storage;

/// How many names are read at once. Fewer than a page has are not kept.
const NAMES: usize = 32 * 1024;
const WORTH_KEEPING: usize = 1000;
/// How many windows are kept.
const KEPT: usize = 8;
/// How long a folder must be unchanged: within a tick of the file system's clock, a change leaves its time as it is.
const SETTLED: Duration = Duration::from_secs(2);

/// Where names begin that are asked for: at one, or behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start {
    name: String,
    is_behind: bool,
}

impl Start {
    /// The first name in a folder that can lead to keys behind this one, which begins there.
    pub(super) fn of(key: &str) -> Self {
        match key.split_once('/') {
            Some((folder, _)) => Self { name: format!("{folder}/"), is_behind: false },
            None => Self::behind(key),
        }
    }

    /// All names behind this one.
    pub(super) fn behind(name: &str) -> Self {
        Self { name: name.to_owned(), is_behind: true }
    }

    fn admits(&self, name: &str) -> bool {
        if self.is_behind { name > self.name.as_str() } else { name >= self.name.as_str() }
    }
}

/// Names in a folder. Those of folders end in `/`.
#[derive(Debug)]
pub(super) struct Window {
    folder: PathBuf,
    prefix: String,
    stamp: Stamp,
    start: Start,
    names: Vec<String>,
    /// Whether there are no names behind these.
    pub(super) is_last: bool,
}

impl Window {
    /// Those from a start on.
    pub(super) fn names(&self, start: &Start) -> &[String] {
        let first = self.names.partition_point(|name| !start.admits(name));
        self.names.get(first..).unwrap_or_default()
    }

    fn covers(&self, start: &Start) -> bool {
        self.start <= *start && (self.is_last || self.names.last().is_some_and(|last| start.admits(last)))
    }
}

/// What changes with each name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanos: i64,
}

impl Stamp {
    fn of(folder: &Path) -> Option<Self> {
        let metadata = fs::metadata(folder).ok()?;
        Some(Self { inode: metadata.ino(), seconds: metadata.mtime(), nanos: metadata.mtime_nsec() })
    }

    fn is_settled(self) -> bool {
        let changed = u64::try_from(self.seconds).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > SETTLED))
    }
}

/// What is kept between pages.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<VecDeque<Arc<Window>>>);

impl Windows {
    /// The next names that begin with a prefix, in a folder that may not be there.
    pub(super) fn next(&self, folder: &Path, prefix: &str, start: &Start) -> S3Result<Arc<Window>> {
        let stamp = Stamp::of(folder);
        if let Some(kept) = stamp.and_then(|stamp| self.find(folder, prefix, stamp, start)) {
            return Ok(kept);
        }
        let (names, is_last) = read(folder, prefix, start)?;
        // Of a folder that is not there, nothing is kept.
        let known = stamp.unwrap_or(Stamp { inode: 0, seconds: 0, nanos: 0 });
        let (folder, prefix, start) = (folder.to_owned(), prefix.to_owned(), start.clone());
        let window = Arc::new(Window { folder, prefix, stamp: known, start, names, is_last });
        if stamp.is_some_and(Stamp::is_settled) && window.names.len() > WORTH_KEEPING {
            let mut kept = self.kept();
            kept.retain(|kept| kept.folder != window.folder || kept.stamp == window.stamp);
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            kept.push_back(window.clone());
        }
        Ok(window)
    }

    fn find(&self, folder: &Path, prefix: &str, stamp: Stamp, start: &Start) -> Option<Arc<Window>> {
        let is_it = |window: &&Arc<Window>| {
            window.folder == folder && window.prefix == prefix && window.stamp == stamp && window.covers(start)
        };
        self.kept().iter().find(is_it).cloned()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Window>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first names from a start on, in their order, and whether there are no others.
fn read(folder: &Path, prefix: &str, start: &Start) -> S3Result<(Vec<String>, bool)> {
    let reading = match fs::read_dir(folder) {
        Ok(reading) => reading,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((vec![], true));
        }
        Err(error) => return Err(storage(error)),
    };
    let (mut first, mut is_last) = (BinaryHeap::new(), true);
    for entry in reading {
        let name = entry.map_err(storage)?.file_name();
        let Some((part, is_folder)) = name.to_str().and_then(segment) else { continue };
        if !part.starts_with(prefix) {
            continue;
        }
        let name = if is_folder { format!("{part}/") } else { part.to_owned() };
        if !start.admits(&name) {
            continue;
        }
        first.push(name);
        if first.len() > NAMES {
            first.pop();
            is_last = false;
        }
    }
    Ok((first.into_sorted_vec(), is_last))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use tempfile::TempDir;

    use super::*;

    fn settle(folder: &TempDir, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
        File::open(folder.path()).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    /// All names, a thousand at a time.
    fn page(windows: &Windows, folder: &TempDir, start: &Start) -> Vec<String> {
        let window = windows.next(folder.path(), "", start).unwrap();
        window.names(start).iter().take(1000).cloned().collect()
    }

    #[test]
    fn a_folder_is_read_again_only_where_it_changed() {
        let folder = TempDir::new().unwrap();
        let add = |number: usize| File::create(folder.path().join(format!("f{number:05}"))).unwrap();
        for number in 0..2500 {
            add(number);
        }
        let windows = Windows::default();
        settle(&folder, 1);
        let first = page(&windows, &folder, &Start::of(""));
        let next = Start::behind(first.last().unwrap());
        // Nobody else can change a folder and leave its time as it was.
        File::create(folder.path().join("f00999a")).unwrap();
        settle(&folder, 1);
        assert_eq!(page(&windows, &folder, &next).first().unwrap(), "01000", "the folder was read again");
        settle(&folder, 2);
        assert_eq!(page(&windows, &folder, &next).first().unwrap(), "00999a", "the folder changed");
        // What changed a moment ago may change again in the same tick.
        let fresh = Windows::default();
        add(9999);
        page(&fresh, &folder, &Start::of(""));
        assert!(fresh.kept().is_empty());
    }

    #[test]
    fn a_window_is_as_long_as_memory_allows() {
        let folder = TempDir::new().unwrap();
        for number in 0..NAMES + 10 {
            File::create(folder.path().join(format!("f{number:06}"))).unwrap();
        }
        settle(&folder, 1);
        let windows = Windows::default();
        let (mut names, mut start) = (vec![], Start::of(""));
        loop {
            let window = windows.next(folder.path(), "", &start).unwrap();
            names.extend(window.names(&start).to_vec());
            if window.is_last {
                break;
            }
            start = Start::behind(names.last().unwrap());
        }
        let expected: Vec<String> = (0..NAMES + 10).map(|number| format!("{number:06}")).collect();
        assert_eq!(names, expected);
        let kept = windows.kept();
        assert!(kept.iter().all(|window| window.names.len() <= NAMES) && kept.len() == 1);
    }

    #[test]
    fn few_windows_are_kept() {
        let folders: Vec<TempDir> = (0..2 * KEPT).map(|_| TempDir::new().unwrap()).collect();
        let windows = Windows::default();
        for folder in &folders {
            for number in 0..=WORTH_KEEPING {
                File::create(folder.path().join(format!("f{number}"))).unwrap();
            }
            settle(folder, 1);
            page(&windows, folder, &Start::of(""));
        }
        assert_eq!(windows.kept().len(), KEPT);
    }
}

//! Places for parts in the file that is to be the object, so that nothing is copied when an upload is completed.
//!
//! Clients send parts of one size, but for the last. The first that comes says the size, and part N gets the place
//! that is its own if all parts have it. A part that does not fit, or comes while its place is taken, is a file of its
//! own: what was confirmed is never written over.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use s3s::{S3Result, s3_error};

use super::parts::{self, whole_file};
use super::volume::storage;

/// What a part has at least, unless it is the last: S3's own bound, in bytes. A shorter one says nothing of the others.
const LEAST: u64 = 5 << 20;
/// The largest end of a place in bytes: file systems have files of 16 TiB.
const END: u64 = 8 << 40;

/// The places of all uploads to which somebody writes.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<String, Weak<Gate>>>);

impl Slots {
    /// The place of a part of this length, if it has one. Only whoever has the upload's turn may ask.
    pub(super) fn take(&self, id: &str, upload: &Path, number: i32, length: u64) -> S3Result<Option<Slot>> {
        let gate = match self.find(id) {
            Some(gate) => gate,
            None => {
                let known = parts::slot_size(upload).map_err(storage)?;
                let Some(size) = known.or_else(|| (number == 1 || length >= LEAST).then_some(length)) else {
                    return Ok(None);
                };
                let gate = Arc::new(Gate { size, ..Gate::default() });
                lock(&self.0).insert(id.to_owned(), Arc::downgrade(&gate));
                gate
            }
        };
        let before = u64::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let offset = before.and_then(|before| before.checked_mul(gate.size));
        let fits = length <= gate.size && gate.enter().is_ok();
        let Some(offset) = offset.filter(|offset| fits && offset.saturating_add(length) <= END) else {
            return Ok(None);
        };
        if parts::find(upload, number).map_err(storage)?.is_some() || !lock(&gate.taken).insert(number) {
            return Ok(None);
        }
        let (file, is_kept) = (whole_file(upload), AtomicBool::new(false));
        Ok(Some(Slot { gate, number, offset, file, is_kept }))
    }

    /// Refuses further writes to an upload's places, and waits for those that are under way.
    pub(super) fn close(&self, id: &str) {
        if let Some(gate) = self.find(id) {
            *gate.is_closed.write().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }

    fn find(&self, id: &str) -> Option<Arc<Gate>> {
        let mut gates = lock(&self.0);
        gates.retain(|_, gate| gate.strong_count() > 0);
        gates.get(id).and_then(Weak::upgrade)
    }
}

/// Through which all go who write to the places of one upload.
#[derive(Debug, Default)]
struct Gate {
    is_closed: RwLock<bool>,
    taken: Mutex<HashSet<i32>>,
    /// The size of a place, in bytes.
    size: u64,
}

impl Gate {
    fn enter(&self) -> S3Result<RwLockReadGuard<'_, bool>> {
        let entered = self.is_closed.read().unwrap_or_else(PoisonError::into_inner);
        if *entered { Err(s3_error!(NoSuchUpload, "the upload is being completed already")) } else { Ok(entered) }
    }
}

/// A part's place, which nobody else gets until this is dropped. Unless it is kept, its room is given back then: what is
/// refused must not fill a volume.
#[derive(Debug)]
pub(super) struct Slot {
    gate: Arc<Gate>,
    number: i32,
    offset: u64,
    file: PathBuf,
    is_kept: AtomicBool,
}

impl Slot {
    /// The file of all places, to be written to from the beginning of this one on.
    pub(super) fn open(&self) -> io::Result<File> {
        let mut file = File::options().create(true).truncate(false).write(true).open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file)
    }

    /// Keeps the upload from being completed as long as what this gives is kept.
    ///
    /// # Errors
    /// `NoSuchUpload` where it is being completed, so that its file will be an object.
    pub(super) fn enter(&self) -> S3Result<impl Drop> {
        self.gate.enter()
    }

    /// True where the file holds so many bytes from the beginning of this place on.
    pub(super) fn holds(&self, size: u64) -> io::Result<bool> {
        Ok(fs::metadata(&self.file)?.len() >= self.offset.saturating_add(size))
    }

    /// Keeps the content of this place when it is dropped.
    pub(super) fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Whose it is.
    pub(super) fn number(&self) -> i32 {
        self.number
    }

    /// The size of each place of this upload.
    pub(super) fn size(&self) -> u64 {
        self.gate.size
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Once it is being completed, another part may be copied to this place.
        if let (false, Ok(_entered)) = (self.is_kept.load(Ordering::Relaxed), self.gate.enter())
            && let Ok(file) = File::options().write(true).open(&self.file)
        {
            parts::clear(&file, self.offset, self.gate.size);
        }
        lock(&self.gate.taken).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_part_has_its_place_once_and_until_the_end() {
        let (folder, slots) = (TempDir::new().unwrap(), Slots::default());
        let take = |number, length| slots.take("id", folder.path(), number, length).unwrap();
        let first = take(1, 100).unwrap();
        assert!(take(1, 100).is_none(), "somebody writes there");
        assert!(take(2, 101).is_none(), "it does not fit");
        let third = take(3, 7).unwrap();
        assert_eq!((first.offset, third.offset, third.size()), (0, 200, 100));
        drop(first);
        assert!(take(1, 100).is_some(), "whoever was there gave up");
        fs::write(parts::part_file(folder.path(), 1), "whole").unwrap();
        assert!(take(1, 100).is_none(), "a part is there");
        // What is written to is not completed, and what is completed is not written to.
        let inside = third.enter().unwrap();
        assert!(third.gate.is_closed.try_write().is_err());
        drop(inside);
        slots.close("id");
        assert!(third.enter().is_err() && take(2, 100).is_none());
    }

    #[test]
    fn what_is_not_kept_gives_its_room_back_unless_it_is_too_late() {
        let (folder, slots) = (TempDir::new().unwrap(), Slots::default());
        let whole = || fs::read(whole_file(folder.path())).unwrap();
        let write = |number| {
            let slot = slots.take("id", folder.path(), number, 4).unwrap().unwrap();
            io::Write::write_all(&mut slot.open().unwrap(), b"xxxx").unwrap();
            slot
        };
        let (first, second, third) = (write(1), write(2), write(3));
        second.keep();
        drop((first, second));
        assert_eq!(whole(), b"\0\0\0\0xxxxxxxx");
        slots.close("id");
        drop(third);
        assert_eq!(whole(), b"\0\0\0\0xxxxxxxx");
    }

    #[test]
    fn a_short_part_that_comes_first_says_nothing_of_the_others() {
        let (folder, slots) = (TempDir::new().unwrap(), Slots::default());
        let take = |number, length| slots.take("id", folder.path(), number, length).unwrap();
        assert!(take(3, LEAST - 1).is_none());
        assert!(take(2, LEAST).is_some_and(|slot| slot.offset == LEAST));
    }

    #[test]
    fn a_file_has_an_end() {
        let (folder, slots) = (TempDir::new().unwrap(), Slots::default());
        let take = |number| slots.take("id", folder.path(), number, 5 << 30).unwrap();
        let first = take(1);
        assert!(first.is_some() && take(1638).is_some() && take(1639).is_none() && take(0).is_none());
    }
}

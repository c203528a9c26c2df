//! Uploads in parts: a folder each, bound to a bucket and a key and to nobody's keys, which are renewed meanwhile.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use s3s::dto::{CompletedPart, ETag};
use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::OwnedMutexGuard;

use super::files::measured;
use super::join::{Failure, Joined};
use super::parts::{self, Record};
use super::plan::Plan;
use super::slots::{Slot, Slots};
use super::target::Target;
use super::usage::{Room, Usage};
use super::volume::{etag, storage};

/// S3's bounds of a part's number.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;
/// How many completed uploads are remembered, for clients that ask again.
const REMEMBERED: usize = 1000;

/// The object that an upload became.
#[derive(Clone, Debug)]
pub(super) struct Completed {
    pub(super) e_tag: ETag,
    /// The sum of its parts' sums.
    pub(super) sum: Option<String>,
}

/// All uploads under way.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    /// What is done to an upload is done by one at a time. Nobody's entries go when the next comes.
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// For clients that did not get the answer and ask again.
    completed: Mutex<VecDeque<(String, Target, Completed)>>,
    slots: Arc<Slots>,
    usage: Arc<Usage>,
}

impl Uploads {
    pub(super) fn new(folder: PathBuf, usage: Arc<Usage>) -> Self {
        Self { folder, turns: Mutex::default(), completed: Mutex::default(), slots: Arc::default(), usage }
    }

    /// Waits until nobody else does anything to an upload, and keeps others waiting until this is dropped.
    pub(super) async fn turn(&self, id: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(id.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    fn is_busy(&self, id: &str) -> bool {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.get(id).is_some_and(|turn| turn.strong_count() > 0)
    }

    /// Begins one, and names it.
    pub(super) fn begin(&self, bucket: &str, key: &str) -> S3Result<String> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let folder = self.folder.join(&id);
        let target = Target { bucket: bucket.to_owned(), key: key.to_owned() };
        fs::create_dir(&folder).map_err(storage)?;
        if let Err(error) = target.write(&folder) {
            let _ = fs::remove_dir_all(&folder);
            return Err(storage(error));
        }
        Ok(id)
    }

    /// The upload of an id that a client gives.
    pub(super) fn find(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = self.folder.join(id);
        let target = Some(&folder).filter(|_| is_id).and_then(|folder| Target::read(folder));
        if target.is_some_and(|target| target.bucket == bucket && target.key == key) {
            Ok(Upload { id: id.to_owned(), folder, slots: self.slots.clone(), usage: self.usage.clone() })
        } else {
            Err(s3_error!(NoSuchUpload))
        }
    }

    /// Remembers that one was completed.
    pub(super) fn remember(&self, id: &str, bucket: &str, key: &str, object: &Completed) {
        let target = Target { bucket: bucket.to_owned(), key: key.to_owned() };
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        completed.push_back((id.to_owned(), target, object.clone()));
        if completed.len() > REMEMBERED {
            completed.pop_front();
        }
    }

    /// What became of one that was completed lately.
    pub(super) fn completed(&self, id: &str, bucket: &str, key: &str) -> Option<Completed> {
        let completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(its_id, target, _): &&(String, Target, Completed)| {
            its_id == id && target.bucket == bucket && target.key == key
        };
        completed.iter().find(is_it).map(|(_, _, object)| object.clone())
    }

    /// Removes uploads that nobody went on with for so long.
    pub(super) fn sweep(&self, now: SystemTime, patience: Duration) -> io::Result<()> {
        for folder in self.folders()? {
            let id = folder.file_name().and_then(|id| id.to_str()).unwrap_or_default();
            // One that ended meanwhile has no age.
            let changed = fs::metadata(&folder).and_then(|metadata| metadata.modified()).ok();
            let age = changed.and_then(|at| now.duration_since(at).ok());
            if !self.is_busy(id) && age.is_some_and(|age| age > patience) && remove(&folder) {
                self.usage.ended(id);
            }
        }
        Ok(())
    }

    /// Removes what nobody can go on with: uploads whose beginning or end was cut off. Nobody may begin one meanwhile.
    pub(super) fn sweep_remains(&self) -> io::Result<()> {
        for folder in self.folders()? {
            if Target::read(&folder).is_none() {
                remove(&folder);
            }
        }
        Ok(())
    }

    fn folders(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }
}

/// Removes a folder, or leaves it to the next sweep: others must not lie for it. True where it is gone.
fn remove(folder: &Path) -> bool {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "an abandoned upload could not be removed");
            false
        }
        _ => true,
    }
}

/// An upload under way.
#[derive(Debug)]
pub(super) struct Upload {
    id: String,
    folder: PathBuf,
    slots: Arc<Slots>,
    usage: Arc<Usage>,
}

impl Upload {
    /// How many bytes there are of a part.
    pub(super) fn size_of(&self, number: i32) -> S3Result<u64> {
        Ok(parts::find(&self.folder, number).map_err(storage)?.map_or(0, |part| part.size))
    }

    /// The place of a part that has this length, if it has one.
    pub(super) fn slot(&self, number: i32, length: u64) -> S3Result<Option<Slot>> {
        self.is_open(number)?;
        self.slots.take(&self.id, &self.folder, number, length)
    }

    /// Takes the part that is in its place, on the disk, with this size and this sum.
    pub(super) fn keep_placed(&self, slot: &Slot, size: u64, sum: Option<String>, room: &Room) -> S3Result<ETag> {
        let number = slot.number();
        self.is_open(number)?;
        if !slot.holds(size).map_err(gone)? {
            return Err(s3_error!(InternalError, "the store's volume lost a part of what was written: send it again"));
        }
        let e_tag = ETag::Strong(hex::encode(rand::random::<[u8; 16]>()));
        let record = Record { slot: slot.size(), size, e_tag, sum };
        self.usage.replace_part((&self.id, room), size, self.size_of(number)?, || {
            slot.keep();
            parts::keep(&self.folder, number, &record).map_err(gone)
        })?;
        Ok(record.e_tag)
    }

    fn is_open(&self, number: i32) -> S3Result<()> {
        if !NUMBERS.contains(&number) {
            return Err(s3_error!(InvalidArgument, "a part's number is 1 to 10000"));
        }
        if Plan::read(&self.folder)?.is_some() {
            return Err(s3_error!(NoSuchUpload, "the upload is being completed already"));
        }
        Ok(())
    }

    /// Takes a part of this size, for which there is room, in place of an earlier one of its number.
    pub(super) fn keep(&self, draft: &Path, size: u64, number: i32, room: &Room) -> S3Result<ETag> {
        self.is_open(number)?;
        let e_tag = etag(&measured(draft, size)?);
        self.usage.replace_part((&self.id, room), size, self.size_of(number)?, || {
            parts::adopt(&self.folder, number, draft).map_err(gone)
        })?;
        Ok(e_tag)
    }

    /// Puts the parts together, or goes on with that after a crash.
    pub(super) fn join(&self, parts: &[CompletedPart]) -> S3Result<Joined> {
        let plan = match Plan::read(&self.folder)? {
            Some(plan) if plan.is_for(parts) => plan,
            Some(_) => return Err(s3_error!(InvalidPart, "the upload is being completed with other parts")),
            None => {
                let plan = Plan::make(&self.folder, parts)?;
                // Parts that are still on their way come too late: what they write to will be an object.
                self.slots.close(&self.id);
                plan.keep(&self.folder)?;
                plan
            }
        };
        plan.join(&self.folder).map_err(|failure| match failure {
            Failure::Storage(error) => storage(error),
            Failure::Lost => {
                tracing::warn!(upload = %self.folder.display(), "an upload does not hold what it should: it is given up");
                let _ = self.end();
                s3_error!(NoSuchUpload, "the upload was completed, or lost a part: look for the object, or begin anew")
            }
        })
    }

    /// Where the parts are put together, if that began.
    pub(super) fn whole(&self) -> S3Result<Option<PathBuf>> {
        Ok(Plan::read(&self.folder)?.map(|plan| plan.file(&self.folder)))
    }

    /// Removes it with all its parts.
    pub(super) fn end(&self) -> S3Result<()> {
        // First what it is found by: half an upload is none.
        Target::remove(&self.folder).map_err(|error| match error.kind() {
            ErrorKind::NotFound => s3_error!(NoSuchUpload),
            _ => storage(error),
        })?;
        fs::remove_dir_all(&self.folder).map_err(storage)?;
        self.usage.ended(&self.id);
        Ok(())
    }
}

/// The error of a file in the folder of an upload, which may have ended meanwhile.
fn gone(error: io::Error) -> S3Error {
    match error.kind() {
        ErrorKind::NotFound => s3_error!(NoSuchUpload),
        _ => storage(error),
    }
}

//! How many bytes each bucket holds, where there is a quota: the contents of its objects, and the parts of its uploads.
//!
//! Nothing of it is written down. A bucket is counted when it is first asked for after a start, and from then on with
//! each change, so that no crash leaves a wrong count. Whoever changes a bucket waits until it is counted.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::target::Target;
use super::volume::storage;
use super::{names, plan};

/// Counts buckets, and knows what each may hold.
#[derive(Debug, Default)]
pub struct Usage {
    quota: Option<u64>,
    objects: PathBuf,
    uploads: PathBuf,
    buckets: Mutex<HashMap<String, Arc<Mutex<Option<Count>>>>>,
}

/// The bytes of one bucket.
#[derive(Debug, Default)]
struct Count {
    objects: u64,
    /// Of each upload's parts.
    uploads: HashMap<String, u64>,
    /// What is on its way.
    reserved: u64,
}

impl Count {
    fn total(&self) -> u64 {
        self.uploads.values().fold(self.objects.saturating_add(self.reserved), |sum, size| sum.saturating_add(*size))
    }
}

/// Where the content of a new object comes from.
#[derive(Debug)]
pub(super) enum Origin<'a> {
    /// A body, or a copy, for which there is room.
    Room(&'a Room),
    /// An upload's parts, which are counted already.
    Upload(&'a str),
}

/// Room for what is on its way, given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    usage: Arc<Usage>,
    bucket: String,
    size: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.usage.count(&self.bucket, |count| count.reserved = count.reserved.saturating_sub(self.size));
    }
}

impl Usage {
    /// Of the folders of objects and uploads. Without a quota, nothing is counted.
    pub(crate) fn new(quota: Option<u64>, objects: PathBuf, uploads: PathBuf) -> Self {
        Self { quota, objects, uploads, buckets: Mutex::default() }
    }

    /// How many bytes each bucket may hold, if that is bounded.
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// The folders of the buckets that are counted, and their bytes.
    pub fn used(&self) -> Vec<(String, u64)> {
        let buckets: Vec<_> = lock(&self.buckets).iter().map(|(name, count)| (name.clone(), count.clone())).collect();
        // Of one that is being counted, nothing is known yet.
        let known = |count: &Mutex<Option<Count>>| count.try_lock().ok()?.as_ref().map(Count::total);
        buckets.into_iter().filter_map(|(name, count)| Some((name, known(&count)?))).collect()
    }

    /// Counts all buckets that there are. It blocks.
    ///
    /// # Errors
    /// Where a folder cannot be read.
    pub fn count_all(&self) -> io::Result<()> {
        if self.quota.is_none() {
            return Ok(());
        }
        for bucket in fs::read_dir(&self.objects)? {
            if let Some(bucket) = bucket?.file_name().to_str() {
                self.count(bucket, |_| ())?;
            }
        }
        Ok(())
    }

    /// The bytes of a file that is to be counted.
    pub(super) fn size_of(&self, file: &Path) -> u64 {
        self.quota.map_or(0, |_| size(file))
    }

    /// Counts a bucket, if that was not done: before anything in it is changed. It blocks.
    pub(super) fn prepare(&self, bucket: &str) -> S3Result<()> {
        self.count(bucket, |_| ()).map(drop).map_err(storage)
    }

    /// Room for a content of a size, which takes the place of another one.
    ///
    /// # Errors
    /// `QuotaExceeded` where there is none, and `MissingContentLength` where nobody says how much is needed.
    pub(super) fn reserve(self: &Arc<Self>, bucket: &str, size: Option<i64>, replaced: u64) -> S3Result<Room> {
        let room = |size| Room { usage: self.clone(), bucket: bucket.to_owned(), size };
        let Some(quota) = self.quota else { return Ok(room(0)) };
        let size = size.and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| s3_error!(MissingContentLength, "a store with quotas needs a Content-Length"))?;
        let growth = size.saturating_sub(replaced);
        let reserve = |count: &mut Count| -> S3Result<()> {
            check(bucket, count.total(), growth, quota)?;
            count.reserved = count.reserved.saturating_add(growth);
            Ok(())
        };
        self.count(bucket, reserve).map_err(storage)?.unwrap_or(Ok(()))?;
        Ok(room(growth))
    }

    /// Counts that a content takes the place of another one, does it, and takes the count back if it cannot be done.
    pub(super) fn replace<T, E: From<S3Error>>(
        &self,
        bucket: &str,
        origin: &Origin<'_>,
        size: u64,
        replaced: u64,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = |count: &mut Count| -> S3Result<u64> {
            match origin {
                Origin::Room(room) => {
                    self.check_again(bucket, count, room, size, replaced)?;
                    add(&mut count.objects, size, replaced);
                    Ok(0)
                }
                Origin::Upload(id) => {
                    add(&mut count.objects, size, replaced);
                    Ok(count.uploads.remove(*id).unwrap_or_default())
                }
            }
        };
        let parts = self.count(bucket, begin).map_err(storage)?.unwrap_or(Ok(0))?;
        let done = work();
        if done.is_err() {
            let _ = self.count(bucket, |count| {
                add(&mut count.objects, replaced, size);
                if let Origin::Upload(id) = origin {
                    count.uploads.insert((*id).to_owned(), parts);
                }
            });
        }
        done
    }

    /// The same for a part of an upload.
    pub(super) fn replace_part<T>(
        &self,
        (id, room): (&str, &Room),
        size: u64,
        replaced: u64,
        work: impl FnOnce() -> S3Result<T>,
    ) -> S3Result<T> {
        let begin = |count: &mut Count| -> S3Result<()> {
            self.check_again(&room.bucket, count, room, size, replaced)?;
            add(count.uploads.entry(id.to_owned()).or_default(), size, replaced);
            Ok(())
        };
        self.count(&room.bucket, begin).map_err(storage)?.unwrap_or(Ok(()))?;
        let done = work();
        if done.is_err() {
            let _ = self.count(&room.bucket, |count| {
                add(count.uploads.entry(id.to_owned()).or_default(), replaced, size);
            });
        }
        done
    }

    /// Counts that an object of this size is gone.
    pub(super) fn removed(&self, bucket: &str, size: u64) {
        let _ = self.count(bucket, |count| add(&mut count.objects, 0, size));
    }

    /// Counts that an upload is gone, with all its parts.
    pub(super) fn ended(&self, id: &str) {
        let buckets: Vec<_> = lock(&self.buckets).values().cloned().collect();
        for bucket in buckets {
            if let Some(count) = &mut *lock(&bucket) {
                count.uploads.remove(id);
            }
        }
    }

    /// What was replaced may have been removed while the body came, and the room for it given to others.
    fn check_again(&self, bucket: &str, count: &Count, room: &Room, size: u64, replaced: u64) -> S3Result<()> {
        let others = count.total().saturating_sub(room.size);
        self.quota.map_or(Ok(()), |quota| check(bucket, others, size.saturating_sub(replaced), quota))
    }

    /// Looks at a bucket's count, which is made first if there is none. `None` where nothing is counted.
    fn count<T>(&self, bucket: &str, look: impl FnOnce(&mut Count) -> T) -> io::Result<Option<T>> {
        if self.quota.is_none() {
            return Ok(None);
        }
        let count = lock(&self.buckets).entry(bucket.to_owned()).or_default().clone();
        let mut count = lock(&count);
        let known = match &mut *count {
            Some(known) => known,
            unknown => unknown.insert(self.read(bucket)?),
        };
        Ok(Some(look(known)))
    }

    fn read(&self, bucket: &str) -> io::Result<Count> {
        let is_object = |name: &str| names::segment(name).is_some_and(|(_, is_folder)| !is_folder);
        let objects = size_of(&self.objects.join(bucket), is_object)?;
        let mut uploads = HashMap::new();
        for upload in entries(&self.uploads)? {
            let folder = upload.path();
            let is_of_bucket = Target::read(&folder).is_some_and(|target| target.bucket == bucket);
            if let (Some(id), true) = (upload.file_name().to_str(), is_of_bucket) {
                uploads.insert(id.to_owned(), plan::held(&folder)?);
            }
        }
        Ok(Count { objects, uploads, reserved: 0 })
    }
}

/// Refuses what would grow beyond a quota. What does not grow is never refused.
fn check(bucket: &str, used: u64, growth: u64, quota: u64) -> S3Result<()> {
    if growth == 0 || used.saturating_add(growth) <= quota {
        return Ok(());
    }
    let name = bucket.split_once('.').map_or(bucket, |(name, _)| name);
    tracing::warn!(bucket, used, growth, quota, "a bucket's quota is used up");
    let mut refusal = S3Error::with_message_fmt(
        S3ErrorCode::Custom("QuotaExceeded".into()),
        format_args!(
            "the bucket {name} holds {used} of the {quota} bytes that it may hold, with what is on its way, and this needs \
             {growth} more: delete objects or abort uploads there, or ask the platform team for more (store.namespaceQuota)"
        ),
    );
    // As a full volume: those who wait with their work until there is room lose nothing.
    refusal.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
    Err(refusal)
}

fn add(sum: &mut u64, added: u64, removed: u64) {
    *sum = sum.saturating_add(added).saturating_sub(removed);
}

/// The bytes of all files beneath a folder whose names are wanted.
fn size_of(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<u64> {
    let (mut sum, mut open) = (0_u64, vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in entries(&folder)? {
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(&is_wanted) {
                sum = sum.saturating_add(size(&entry.path()));
            }
        }
    }
    Ok(sum)
}

/// The entries of a folder that may not be there.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// The bytes of a file; of one that is not there, none.
pub(super) fn size(file: &Path) -> u64 {
    fs::metadata(file).ok().filter(fs::Metadata::is_file).map_or(0, |metadata| metadata.len())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
